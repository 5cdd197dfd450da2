"""Tests of chatd.commands."""
