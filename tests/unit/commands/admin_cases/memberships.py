"""The commands with which operators make groups in the name of accounts, and add members."""

from __future__ import annotations

from typing import Any

from chatd.commands import values as ask
from chatd.commands.values import Command

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.group.add", "g a", {"group": "g", "user": "a"}, ask.MakeGroup("g", "a")),
    (
        "admin.group.add",
        "g a title=Our_team",
        {"group": "g", "user": "a", "title": "Our team"},
        ask.MakeGroup("g", "a", "Our team"),
    ),
    ("admin.group.join", "g a", {"group": "g", "user": "a"}, ask.AddMember("g", "a")),
)
