"""Mutes of people in groups."""

from __future__ import annotations

from typing import Any

from chatd.base.names import Address
from chatd.commands import values as ask
from chatd.commands.values import Command

BUDI = Address("budi", "realm2")

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.mute.add", "messi", {"user": "messi"}, ask.AddMute(Address("messi"))),
    (
        "admin.mute.add",
        "budi@realm2 group=g expires=1h reason=loud",
        {"user": "budi@realm2", "group": "g", "expires": 3600, "reason": "loud"},
        ask.AddMute(BUDI, Address("g"), 3600, "loud"),
    ),
    ("admin.mute.list", "limit=5", {"limit": 5}, ask.ListMutes(5)),
    (
        "admin.mute.remove",
        "budi@realm2 group=g",
        {"user": "budi@realm2", "group": "g"},
        ask.RemoveMute(BUDI, Address("g")),
    ),
)
