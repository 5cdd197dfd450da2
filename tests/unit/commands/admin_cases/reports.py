"""The queue of reported messages."""

from __future__ import annotations

from typing import Any

from chatd.commands import values as ask
from chatd.commands.values import Command

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.report.list", "", {}, ask.ListOpenReports()),
    ("admin.report.close", "7", {"report": 7}, ask.CloseOpenReport(7)),
)
