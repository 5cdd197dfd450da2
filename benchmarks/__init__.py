"""Measures of chatd under load, beside a bare Twisted relay on the same machine (see README.md)."""
