"""Tests of chatd.simulate."""
