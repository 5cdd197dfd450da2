"""The commands with which operators watch the realm."""

from __future__ import annotations

from typing import Any

from chatd.commands import values as ask
from chatd.commands.values import Command

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.audit", "", {}, ask.ReadAudit()),
    ("admin.audit", "limit=5 before=9", {"limit": 5, "before": 9}, ask.ReadAudit(5, 9)),
    ("admin.node.list", "", {}, ask.ListNodes()),
    ("admin.stats", "", {}, ask.ShowStats()),
)
