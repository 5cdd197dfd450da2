"""Tests of chatd.app."""
