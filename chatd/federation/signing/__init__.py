"""Signed entries: what a realm states about an entry of a group, and the proof that it has stated it."""
