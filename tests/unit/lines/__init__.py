"""Tests of chatd.lines."""
