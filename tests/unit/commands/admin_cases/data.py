"""The commands for what the realm stores."""

from __future__ import annotations

from typing import Any

from chatd.base.names import Address
from chatd.commands import values as ask
from chatd.commands.values import Command

DAY = 86_400

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.du", "", {}, ask.ShowUsage()),
    ("admin.du", "groups limit=5", {"by": "groups", "limit": 5}, ask.ShowUsage("groups", 5)),
    ("admin.retention.show", "", {}, ask.ShowRetention()),
    (
        "admin.retention.set",
        "age=30d size=1G",
        {"age": "30d", "size": 1 << 30},
        ask.SetRetention(age=30 * DAY, size=1 << 30),
    ),
    (
        "admin.retention.set",
        "group=#g age=forever file_age=1w file_size=0",
        {"group": "g", "age": 0, "file_age": 7 * DAY, "file_size": "0"},
        ask.SetRetention(Address("g"), age=0, file_age=7 * DAY, file_size=0),
    ),
    ("admin.retention.clear", "", {}, ask.ClearRetention()),
    ("admin.retention.clear", "group=g", {"group": "g"}, ask.ClearRetention(Address("g"))),
)
