"""Slowing down those who are too fast: guesses at passwords, and floods of commands. No clock of its own."""

from __future__ import annotations

import math

BURST_SECONDS = 5  # whose worth may be saved up


class TokenBucket:
    """Lets `rate` things a second pass, and bursts of `burst`; a rate of 0 is no limit."""

    __slots__ = ("_burst", "_rate", "_tokens", "_when")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._when = 0.0

    @classmethod
    def of(cls, rate: float) -> TokenBucket:
        """As everybody has it: whoever was slower for a while may be as much faster afterwards."""
        return cls(rate, rate * BURST_SECONDS)

    def take(self, now: float, count: int = 1) -> float:
        """Take `count`; the seconds to wait before the next may be taken."""
        rate = self._rate
        if rate == 0:
            return 0.0
        passed = max(0.0, now - self._when)  # a clock may be set back
        tokens = min(self._burst, self._tokens + passed * rate) - count
        self._when = now
        self._tokens = tokens
        return 0.0 if tokens >= 0 else -tokens / rate


class FailureThrottle:
    """Makes whoever keeps failing wait before the next try, twice as long each time.

    The first `free` failures of a key cost nothing. A key's failures are forgotten after `memory`
    seconds without one; at most `capacity` keys are remembered. Nobody has to wait longer than `queue`
    seconds.
    """

    def __init__(
        self,
        free: int,
        first: float = 0.25,
        longest: float = 8.0,
        memory: float = 600.0,
        capacity: int = 100_000,
        queue: float = math.inf,
    ) -> None:
        self._free = free
        self._first = first
        self._longest = longest
        self._memory = memory
        self._capacity = capacity
        self._queue = queue
        # key -> (failures, when the next attempt may begin)
        self._failures: dict[str, tuple[int, float]] = {}

    def wait(self, key: str, now: float) -> float:
        """How many seconds an attempt that comes now has to wait."""
        return max(0.0, self._failures.get(key, (0, now))[1] - now)

    def failed(self, key: str, now: float) -> None:
        """Count a failure. Counted before the attempt is looked at, parallel guesses gain nothing."""
        failures, free_at = self._failures.pop(key, (0, now))
        if now - free_at > self._memory:
            failures = 0
        over = failures - self._free
        pause = min(self._longest, self._first * 2.0 ** min(over, 16)) if over >= 0 else 0.0
        if len(self._failures) >= self._capacity:
            del self._failures[next(iter(self._failures))]
        self._failures[key] = (
            failures + 1,
            min(max(now, free_at) + pause, now + self._queue),
        )

    def succeeded(self, key: str) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)
