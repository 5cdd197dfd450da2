"""Tests of chatd.files."""
