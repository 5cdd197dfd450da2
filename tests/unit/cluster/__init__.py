"""Nodes, leases and the bus."""
