"""What is counted while the realm runs: plain numbers, for whoever shows them (chatd.web.metrics).

All of it is counted in the reactor's thread, so nothing has to be locked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

# Jobs in one transaction: `database.MAX_JOBS` is 2000, and the list that came last is not cut.
JOBS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
# Seconds: a commit on a fast disk takes less than 1 ms, one on a slow disk 30 ms.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Histogram:
    """How often a value was at most as much as each of `bounds`, which rise."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0  # of all values

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulated(self) -> list[tuple[float, int]]:
        """Each bound, infinity being the last, and how many values were not above it."""
        found = []
        count = 0
        for bound, more in zip((*self._bounds, float("inf")), self._counts, strict=True):
            count += more
            found.append((bound, count))
        return found


class Counters:
    """Since the start. `direct` and `group` are messages that were stored, `delivered` how often one was
    given to somebody who listens; `errors` are refusals by their codes, whoever was told.

    `received` and `given` are bytes of files, from and to people and other realms. `jobs` and `seconds`
    are those of the database's transactions, and `failed` how many of these were not committed.
    """

    __slots__ = (
        "delivered",
        "direct",
        "errors",
        "failed",
        "given",
        "group",
        "jobs",
        "received",
        "seconds",
    )

    def __init__(self) -> None:
        self.direct = 0
        self.group = 0
        self.delivered = 0
        self.errors: Counter[str] = Counter()
        self.received = 0
        self.given = 0
        self.jobs = Histogram(JOBS)
        self.seconds = Histogram(SECONDS)
        self.failed = 0
