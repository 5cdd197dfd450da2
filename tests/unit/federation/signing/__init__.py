"""Tests of chatd.federation.signing."""
