"""Failures that may come many times a second while a database can't be used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from twisted.logger import Logger

EVERY = 5.0  # seconds between two lines


class OutageLog:
    """Writes `what` and a reason to `log`: the first failure at once, and then at most one line in EVERY
    seconds, which says how many there were since the last one. May be used from any thread. `stopwatch`
    returns monotonic seconds."""

    def __init__(
        self, log: Logger, what: str, stopwatch: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._what = what
        self._stopwatch = stopwatch
        self._lock = threading.Lock()
        self._next = 0.0  # when a line may be written again
        self._unsaid = 0  # failures since the last line

    def failed(self, reason: object) -> None:
        """Note a failure. The reason is written on one line."""
        with self._lock:
            now = self._stopwatch()
            if self._unsaid and now >= self._next + EVERY:
                self._unsaid = 0  # they belong to an earlier outage
            if now < self._next:
                self._unsaid += 1
                return
            unsaid, self._unsaid = self._unsaid, 0
            self._next = now + EVERY
        text = " ".join(str(reason).split())
        if unsaid:
            self._log.error(
                "{what}: {reason} ({unsaid} more since the last such line)",
                what=self._what,
                reason=text,
                unsaid=unsaid,
            )
        else:
            self._log.error("{what}: {reason}", what=self._what, reason=text)
