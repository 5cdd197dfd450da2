"""The commands for the state folder and the configuration."""

from __future__ import annotations

from typing import Any

from chatd.commands import values as ask
from chatd.commands.values import Command

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.backup", "/backup", {"folder": "/backup"}, ask.MakeBackup("/backup")),
    ("admin.restore", "/backup", {"folder": "/backup"}, ask.RestoreBackup("/backup")),
    ("admin.check", "", {}, ask.CheckState()),
    (
        "admin.check",
        "quick=on repair=on",
        {"quick": True, "repair": True},
        ask.CheckState(quick=True, repair=True),
    ),
    ("admin.vacuum", "", {}, ask.VacuumDatabase()),
    ("admin.reload", "", {}, ask.ReloadConfig()),
)
