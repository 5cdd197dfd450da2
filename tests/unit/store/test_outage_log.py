"""A database that can't be used does not fill the log."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from chatd.store.outage_log import EVERY, OutageLog


class Outages(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lines: list[str | None] = []
        observed: Any = lambda event: self.lines.append(formatEvent(event))  # noqa: E731
        log = Logger("chatd.store.writer", observer=observed)
        self.log = OutageLog(log, "nothing can be stored", self.clock.seconds)

    def happens(self, reason: str, times: int = 1) -> None:
        for _ in range(times):
            self.log.failed(reason)

    def test_many(self) -> None:
        """The first reason is there at once, and later one line with the number of the others."""
        self.happens("no server", 100)
        self.assertEqual(self.lines, ["nothing can be stored: no server"])
        self.clock.advance(EVERY)
        self.happens("still none")
        more = "nothing can be stored: still none (99 more since the last such line)"
        self.assertEqual(self.lines[1:], [more])

    def test_later(self) -> None:
        """The next outage begins with a line of its own."""
        self.happens("no server", 3)
        self.clock.advance(2 * EVERY + 1)
        self.happens("disk full")
        self.assertEqual(self.lines[1:], ["nothing can be stored: disk full"])

    def test_one_line(self) -> None:
        self.happens("server closed\n\tThis probably means\n")
        self.assertEqual(self.lines, ["nothing can be stored: server closed This probably means"])
