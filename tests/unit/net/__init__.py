"""Tests of chatd.net."""
