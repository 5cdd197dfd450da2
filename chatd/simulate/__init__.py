"""Simulates several realms in one thread, to test what they promise together."""
