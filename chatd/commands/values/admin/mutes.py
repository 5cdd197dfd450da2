"""Mutes of people in groups."""

from __future__ import annotations

from chatd.base.names import Address
from chatd.commands.values.base import Command

__all__ = ["AddMute", "ListMutes", "RemoveMute"]


class AddMute(Command, frozen=True):
    """Without a `group`, it is about all groups. `expires` is in seconds; without it, the mute has no end."""

    user: Address
    group: Address | None = None
    expires: int | None = None
    reason: str | None = None


class ListMutes(Command, frozen=True):
    limit: int | None = None


class RemoveMute(Command, frozen=True):
    user: Address
    group: Address | None = None
