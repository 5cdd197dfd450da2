"""Tests of chatd.web."""
