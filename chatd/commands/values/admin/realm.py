"""The realm as a whole, as operators see it."""

from __future__ import annotations

from chatd.commands.values.base import Command

__all__ = [
    "ListNodes",
    "ReadAudit",
    "ShowStats",
]


class ListNodes(Command, frozen=True):
    pass


class ReadAudit(Command, frozen=True):
    """`before` is the oldest entry of the page before."""

    limit: int | None = None
    before: int | None = None


class ShowStats(Command, frozen=True):
    pass
