"""Tests of chatd.client."""
