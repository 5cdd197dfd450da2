"""Nodes that write to one PostgreSQL database, each in a thread that is stepped statement by statement.

A seed decides what the nodes do, which of them makes the next step, and what goes wrong. So a run can be
repeated. `python -m tests.support.interleavings --seeds 1-1000` runs many; see `runs`.
"""
