"""Tests of chatd.federation.amp."""
