"""Bans of accounts, networks and realms."""

from __future__ import annotations

from chatd.base.ban_targets import BanKind, BanTarget
from chatd.commands.values.base import Command

__all__ = ["AddAccessBan", "ListAccessBans", "RemoveAccessBan"]


class AddAccessBan(Command, frozen=True):
    """`expires` is in seconds; without it, the ban has no end. `force` bans the network of the one who asks
    too."""

    target: BanTarget
    reason: str | None = None
    expires: int | None = None
    force: bool | None = None


class ListAccessBans(Command, frozen=True):
    kind: BanKind | None = None
    limit: int | None = None


class RemoveAccessBan(Command, frozen=True):
    target: BanTarget
