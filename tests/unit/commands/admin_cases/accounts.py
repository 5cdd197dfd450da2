"""The commands with which operators manage accounts."""

from __future__ import annotations

from typing import Any

from chatd.base.texts import Secret
from chatd.commands import values as ask
from chatd.commands.values import Command

TEN = Secret("0123456789")

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.user.list", "", {}, ask.ListAccounts()),
    (
        "admin.user.list",
        "role=moderator limit=5 after=budi",
        {"role": "moderator", "limit": 5, "after": "budi"},
        ask.ListAccounts(role="moderator", limit=5, after="budi"),
    ),
    (
        "admin.user.list",
        "state=disabled name=Mes",
        {"state": "disabled", "name": "Mes"},
        ask.ListAccounts(name="Mes", state="disabled"),
    ),
    ("admin.user.show", "a", {"user": "a"}, ask.InspectAccount("a")),
    (
        "admin.user.add",
        "a 0123456789",
        {"user": "a", "password": "0123456789"},
        ask.AddAccount("a", TEN),
    ),
    (
        "admin.user.add",
        "a role=operator 0123456789 name=Lionel_Messi",
        {"user": "a", "password": "0123456789", "role": "operator", "name": "Lionel Messi"},
        ask.AddAccount("a", TEN, "operator", "Lionel Messi"),
    ),
    (
        "admin.user.passwd",
        "a 0123456789",
        {"user": "a", "password": "0123456789"},
        ask.SetPassword("a", TEN),
    ),
    ("admin.user.role", "a user", {"user": "a", "role": "user"}, ask.SetRole("a", "user")),
    (
        "admin.user.disable",
        "a too loud  at night",
        {"user": "a", "reason": "too loud  at night"},
        ask.DisableAccount("a", "too loud  at night"),
    ),
    ("admin.user.disable", "a", {"user": "a"}, ask.DisableAccount("a")),
    ("admin.user.enable", "a", {"user": "a"}, ask.EnableAccount("a")),
    ("admin.user.sessions", "a", {"user": "a"}, ask.ListAccountSessions("a")),
    ("admin.user.logout", "a", {"user": "a"}, ask.LogOutAccount("a")),
    (
        "admin.user.logout",
        "session=7 a",
        {"user": "a", "session": 7},
        ask.LogOutAccount("a", 7),
    ),
)
