"""Rate limits: token buckets, growing pauses after failures, quotas per hour, shared budgets of memory.

Nothing here has a clock: `now` is in seconds of a monotonic clock.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable

from chatd.base.cache import Cache

BURST_SECONDS = 5  # a bucket saves up the tokens of that time
MAX_SENDERS = 10_000  # whose rates are remembered
# The longest pause of a link after one batch, in seconds. The other realm has 16 batches under way and waits
# 30 s for an answer, so all of them must be read in less.
MAX_PAUSE = 1.5


class TokenBucket:
    """Allows `rate` events a second, and bursts of `burst`. A rate of 0 means no limit."""

    __slots__ = ("_burst", "_rate", "_tokens", "_when")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._when = 0.0

    @classmethod
    def of(cls, rate: float) -> TokenBucket:
        """A bucket with the usual burst: the events of `BURST_SECONDS`."""
        return cls(rate, rate * BURST_SECONDS)

    def take(self, now: float, count: int = 1) -> float:
        """Count `count` events. Returns the seconds to wait before the next one."""
        rate = self._rate
        if rate == 0:
            return 0.0
        tokens = self._tokens
        if now > self._when:  # a clock may be set back
            tokens += (now - self._when) * rate
            if tokens > self._burst:
                tokens = self._burst
        tokens -= count
        self._when = now
        self._tokens = tokens
        return 0.0 if tokens >= 0 else -tokens / rate

    def forgive(self, pause: float) -> None:
        """Shorten the remaining wait to `pause` seconds."""
        self._tokens = max(self._tokens, -pause * self._rate)


class SenderRates:
    """A token bucket for each sender in other realms."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: Cache[tuple[str, str], TokenBucket] = Cache(MAX_SENDERS)

    def allow(self, rate: float) -> None:
        """Allow that many messages a second from now on."""
        if rate != self._rate:
            self._rate = rate
            self._buckets = Cache(MAX_SENDERS)

    def take(self, realm: str, senders: Iterable[str], now: float) -> float:
        """Count a message of each of `senders`. Returns the seconds for which the link of their realm should
        not be read."""
        if self._rate == 0:
            return 0.0
        pause = 0.0
        for sender, count in Counter(senders).items():
            bucket = self._buckets.get((realm, sender))
            if bucket is None:
                bucket = self._buckets[realm, sender] = TokenBucket.of(self._rate)
            pause = max(pause, bucket.take(now, count))
            # When a sender stops, the rest of its realm must not wait much longer.
            bucket.forgive(MAX_PAUSE)
        return min(pause, MAX_PAUSE)


class Budget:
    """A budget of bytes that accounts share. No account may hold more than `share`, a tenth of it."""

    def __init__(self, total: int) -> None:
        self.share = total // 10
        self._total = self._left = total
        self._held: dict[int, int] = {}  # by account; accounts that hold nothing are left out

    def resize(self, total: int) -> None:
        """Change the budget. What is held already stays held, even if it is more than that."""
        self.share = total // 10
        self._left += total - self._total
        self._total = total

    def change(self, account: int, size: int) -> bool:
        """Let the account hold `size` more bytes, or fewer if it is negative. Returns False, and changes
        nothing, if the budget does not allow it."""
        held = self._held.get(account, 0) + size
        if size > 0 and (held > self.share or size > self._left):
            return False
        self._left -= size
        if held:
            self._held[account] = held
        else:
            self._held.pop(account, None)
        return True

    @property
    def held(self) -> int:
        """How many bytes all accounts hold."""
        return sum(self._held.values())


class FailureThrottle:
    """Makes a key wait after failures, twice as long each time: `first` seconds, then up to `longest`.

    The first `free` failures cost nothing. Failures are forgotten after `memory` seconds without one. At most
    `capacity` keys are remembered. No wait is longer than `queue` seconds.
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
        """The seconds that an attempt at `now` must wait."""
        return max(0.0, self._failures.get(key, (0, now))[1] - now)

    def failures(self, key: str, now: float) -> int:
        """How many failures of the key are remembered."""
        failures, free_at = self._failures.get(key, (0, now))
        return 0 if now - free_at > self._memory else failures

    def free(self, key: str, now: float) -> int:
        """How many more failures of the key cost nothing."""
        return max(0, self._free - self.failures(key, now))

    def pause(self, failures: int) -> float:
        """The pause in seconds after one more failure."""
        over = failures - self._free
        return min(self._longest, self._first * 2.0 ** min(over, 16)) if over >= 0 else 0.0

    def failed(self, key: str, now: float) -> None:
        """Count a failure."""
        failures = self.failures(key, now)
        _, free_at = self._failures.pop(key, (0, now))
        if len(self._failures) >= self._capacity:
            del self._failures[next(iter(self._failures))]
        self._failures[key] = (
            failures + 1,
            min(max(now, free_at) + self.pause(failures), now + self._queue),
        )

    def succeeded(self, key: str) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)


class Quota:
    """Allows each key `per_hour` uses an hour, even all at once; 0 means no limit. At most `capacity` keys
    are remembered."""

    def __init__(self, per_hour: int, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self.allow(per_hour)
        # key -> (uses that are left, the time at which they were)
        self._left: dict[str, tuple[float, float]] = {}
        self._tell: Callable[[tuple[str, bool]], object] = lambda _told: None

    def on_use(self, tell: Callable[[tuple[str, bool]], object]) -> None:
        """Call `tell` with a key and True when a use of it was counted, with False when one was returned."""
        self._tell = tell

    def allow(self, per_hour: int) -> None:
        """Allow that many uses from now on. What keys have left is kept, as far as it is allowed."""
        self._most = float(per_hour)
        self._rate = per_hour / 3600

    def take(self, key: str, now: float) -> float:
        """Count a use. Returns 0, or the seconds until the key has another use if it has none now."""
        if not self._most:
            return 0.0
        left = self._left_of(key, now)
        if left < 1:
            self._left[key] = (left, now)
            return (1 - left) / self._rate
        self._left[key] = (left - 1, now)
        self._tell((key, True))
        return 0.0

    def _left_of(self, key: str, now: float) -> float:
        """Forget a key, so that there is room for it. Returns what it has left."""
        left, when = self._left.pop(key, (self._most, now))
        if len(self._left) >= self._capacity:
            del self._left[next(iter(self._left))]
        return min(self._most, left + max(0.0, now - when) * self._rate)

    def give_back(self, key: str) -> None:
        """Return a use that was counted."""
        self.returned_elsewhere(key)
        if self._most:
            self._tell((key, False))

    def used_elsewhere(self, key: str, now: float) -> None:
        """Count a use that another node has allowed, even if none was left here."""
        if self._most:
            self._left[key] = (self._left_of(key, now) - 1, now)

    def returned_elsewhere(self, key: str) -> None:
        """Return a use that was counted, without telling."""
        if key in self._left:
            left, when = self._left[key]
            self._left[key] = (min(self._most, left + 1), when)
