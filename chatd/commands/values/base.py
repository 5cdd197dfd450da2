"""What all commands have in common."""

from __future__ import annotations

import msgspec

__all__ = [
    "Command",
]


class Command(msgspec.Struct, frozen=True):
    """A request of a client."""
