"""The commands with which operators delete, export, rename and limit accounts."""

from __future__ import annotations

from typing import Any

from chatd.commands import values as ask
from chatd.commands.arguments import DEFAULT_QUOTA
from chatd.commands.values import Command

CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    ("admin.user.delete", "a", {"user": "a"}, ask.RemoveAccount("a")),
    ("admin.user.erase", "a", {"user": "a"}, ask.EraseAccount("a")),
    ("admin.user.export", "a", {"user": "a"}, ask.ExportAccount("a")),
    (
        "admin.user.rename",
        "a Lina B",
        {"user": "a", "name": "Lina B"},
        ask.RenameAccount("a", "Lina B"),
    ),
    ("admin.user.quota", "a", {"user": "a"}, ask.SetQuota("a")),
    (
        "admin.user.quota",
        "a files=5G",
        {"user": "a", "files": 5 << 30},
        ask.SetQuota("a", 5 << 30),
    ),
    (
        "admin.user.quota",
        "a files=default",
        {"user": "a", "files": "default"},
        ask.SetQuota("a", DEFAULT_QUOTA),
    ),
)
