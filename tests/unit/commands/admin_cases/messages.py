"""Messages of other people."""

from __future__ import annotations

from typing import Any

from chatd.base.names import Address
from chatd.commands import values as ask
from chatd.commands.values import Command

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    (
        "admin.message.show",
        "bagan@realm2 7",
        {"where": "bagan@realm2", "seq": 7},
        ask.ShowAnyMessage(Address("bagan", "realm2"), 7),
    ),
    (
        "admin.message.delete",
        "12 7 rude words",
        {"where": 12, "seq": 7, "reason": "rude words"},
        ask.DeleteAnyMessage(12, 7, "rude words"),
    ),
)
