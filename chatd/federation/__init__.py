"""Conversations across realms: what is sent to other realms, and what they send."""
