"""What the realm stores, as operators see it."""

from __future__ import annotations

from chatd.base.names import Address
from chatd.commands.values.base import Command

__all__ = [
    "ClearRetention",
    "SetRetention",
    "ShowRetention",
    "ShowUsage",
]


class ShowUsage(Command, frozen=True):
    """`by` is accounts, groups or realms."""

    by: str = "accounts"
    limit: int | None = None


class ShowRetention(Command, frozen=True):
    pass


class SetRetention(Command, frozen=True):
    """Ages are in seconds, and sizes in bytes; 0 is no limit. What is not given stays as it is. Without a
    `group` it is about the realm."""

    group: Address | None = None
    age: int | None = None
    size: int | None = None
    file_age: int | None = None
    file_size: int | None = None


class ClearRetention(Command, frozen=True):
    """Without a `group` it is about the realm."""

    group: Address | None = None
