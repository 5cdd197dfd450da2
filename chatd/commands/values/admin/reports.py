"""The queue of reported messages."""

from __future__ import annotations

from chatd.commands.values.base import Command

__all__ = ["CloseOpenReport", "ListOpenReports"]


class ListOpenReports(Command, frozen=True):
    pass


class CloseOpenReport(Command, frozen=True):
    report: int
