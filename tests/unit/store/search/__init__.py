"""Tests of chatd.store.search."""
