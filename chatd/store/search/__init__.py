"""Searching messages, behind one interface (`interface.py`), and its implementation."""
