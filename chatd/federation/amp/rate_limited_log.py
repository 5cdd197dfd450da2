"""Limits the warnings that other realms and unknown clients can cause in the log."""

from __future__ import annotations

from collections import Counter

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatd.base.cache import Cache

EVERY = 60.0  # seconds
MAX_SOURCES = 10_000  # that are remembered
MAX_LINES = 30  # in that time, of all sources together

log = Logger()


class RateLimitedLog:
    """`clock` measures the time."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._since = clock.seconds()
        self._lines = 0
        self._last: Cache[str, float] = Cache(MAX_SOURCES)
        self._left_out: Counter[str] = Counter()

    def warn(self, source: str, sentence: str) -> None:
        """Log `sentence`, unless that source or all sources together have been logged too often. The next
        line about the source says how many were left out."""
        now = self._clock.seconds()
        if now - self._since >= EVERY:
            self._since, self._lines = now, 0
        last = self._last.get(source)
        if self._lines >= MAX_LINES or (last is not None and now - last < EVERY):
            if source in self._left_out or len(self._left_out) < MAX_SOURCES:
                self._left_out[source] += 1
            return
        self._lines += 1
        self._last[source] = now
        more = self._left_out.pop(source, 0)
        and_more = f" (and {more} more from {source} that were not logged)" if more else ""
        log.warn("{sentence}{and_more}", sentence=sentence, and_more=and_more)
