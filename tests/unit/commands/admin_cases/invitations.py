"""The commands with which operators invite people to the realm."""

from __future__ import annotations

from typing import Any

from chatd.commands import values as ask
from chatd.commands.values import Command

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.invite.new", "", {}, ask.InviteToRealm()),
    (
        "admin.invite.new",
        "uses=20 expires=14d note=the_team",
        {"uses": 20, "expires": "14d", "note": "the team"},
        ask.InviteToRealm(20, 14 * 86_400, "the team"),
    ),
    ("admin.invite.list", "", {}, ask.ListRealmInvitations()),
    (
        "admin.invite.list",
        "limit=5 before=9",
        {"limit": 5, "before": 9},
        ask.ListRealmInvitations(5, 9),
    ),
    ("admin.invite.revoke", "3", {"invitation": 3}, ask.RevokeRealmInvitation(3)),
    ("admin.user.reset", "messi", {"user": "messi"}, ask.ResetPassword("messi")),
)
