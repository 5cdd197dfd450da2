"""Bans of accounts, networks and realms."""

from __future__ import annotations

from typing import Any

from chatd.base.ban_targets import BanTarget
from chatd.commands import values as ask
from chatd.commands.values import Command

MESSI = BanTarget("account", "messi")
NETWORK = BanTarget("network", "192.0.2.0/24")

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.ban.add", "messi", {"target": "messi"}, ask.AddAccessBan(MESSI)),
    (
        "admin.ban.add",
        "192.0.2.0/24 expires=7d force=on too loud",
        {"target": "192.0.2.0/24", "reason": "too loud", "expires": "7d", "force": True},
        ask.AddAccessBan(NETWORK, "too loud", 7 * 86_400, True),
    ),
    ("admin.ban.list", "", {}, ask.ListAccessBans()),
    (
        "admin.ban.list",
        "network limit=5",
        {"kind": "network", "limit": 5},
        ask.ListAccessBans("network", 5),
    ),
    (
        "admin.ban.remove",
        "@@realm2",
        {"target": "@@realm2"},
        ask.RemoveAccessBan(BanTarget("realm", "realm2")),
    ),
)
