"""Tests of chatd.base."""
