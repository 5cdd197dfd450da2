"""The commands with which operators manage other realms."""

from __future__ import annotations

from typing import Any

from chatd.commands import values as ask
from chatd.commands.values import Command

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.realm.list", "", {}, ask.ListPeers()),
    (
        "admin.realm.add",
        "realm2 127.0.0.1 8890",
        {"realm": "realm2", "host": "127.0.0.1", "port": 8890},
        ask.LinkRealm("realm2", "127.0.0.1", 8890),
    ),
    ("admin.realm.remove", "realm2", {"realm": "realm2"}, ask.UnlinkRealm("realm2")),
)
