"""Counters and histograms of the running realm, as plain numbers (chatd.web.metrics shows them).

They are changed in the reactor's thread only, so they need no locks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

K = TypeVar("K")

# Jobs in one transaction. `writer_thread.MAX_JOBS` is 2000; the last list of jobs may exceed it.
JOBS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
# Seconds: a commit takes less than 1 ms on a fast disk, and 30 ms on a slow one.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@contextmanager
def counted(counts: Counter[K], key: K) -> Iterator[None]:
    """A context that adds 1 to the count of `key`. A count of 0 is removed."""
    counts[key] += 1
    try:
        yield
    finally:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]


class Histogram:
    """Counts values by upper bounds. `bounds` are in ascending order."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0  # of all values

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulated(self) -> list[tuple[float, int]]:
        """Each bound, and how many values were not above it. The last bound is infinity."""
        found = []
        count = 0
        for bound, more in zip((*self._bounds, float("inf")), self._counts, strict=True):
            count += more
            found.append((bound, count))
        return found


class Counters(msgspec.Struct):
    """Totals since the start.

    `direct` and `group` count stored messages, and `delivered` counts each listener to whom one was written.
    `errors` counts refusals by code. `received` and `given` are bytes of files, from and to people and other
    realms. `jobs` and `seconds` describe the transactions of the database, and `failed` counts those that
    were not committed.
    """

    direct: int = 0
    group: int = 0
    delivered: int = 0
    errors: Counter[str] = msgspec.field(default_factory=Counter)
    received: int = 0
    given: int = 0
    jobs: Histogram = msgspec.field(default_factory=lambda: Histogram(JOBS))
    seconds: Histogram = msgspec.field(default_factory=lambda: Histogram(SECONDS))
    failed: int = 0
