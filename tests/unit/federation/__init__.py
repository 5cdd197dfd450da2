"""Tests of chatd.federation."""
