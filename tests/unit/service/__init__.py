"""Tests of chatd.service."""
