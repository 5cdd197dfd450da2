"""Messages of operators to all accounts."""

from __future__ import annotations

from typing import Any

from chatd.base.names import Address
from chatd.commands import values as ask
from chatd.commands.values import Command

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.announce", "Back at noon", {"text": "Back at noon"}, ask.Announce("Back at noon")),
    (
        "admin.announce",
        "group=g Back at noon",
        {"text": "Back at noon", "group": "g"},
        ask.Announce("Back at noon", Address("g")),
    ),
)
