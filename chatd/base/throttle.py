"""Slows down guesses at passwords, registrations, and floods of commands. It has no clock: `now` is in
seconds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from chatd.base.cache import Cache

BURST_SECONDS = 5  # whose worth may be saved up
MAX_SENDERS = 10_000  # with a remembered rate
# The longest pause of a link after one batch, in seconds. The realm at its other end has 16
# batches under way and waits 30 s for an answer; all of them have to be read in less.
MAX_PAUSE = 1.5


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
    """The rate of each sender in other realms. The oldest senders are forgotten first."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: Cache[tuple[str, str], TokenBucket] = Cache(MAX_SENDERS)

    def take(self, realm: str, senders: Iterable[str], now: float) -> float:
        """Count a message of each of `senders`. Returns the seconds for which their realm's link should not
        be read."""
        if self._rate == 0:
            return 0.0
        pause = 0.0
        for sender, count in Counter(senders).items():
            bucket = self._buckets.get((realm, sender))
            if bucket is None:
                bucket = self._buckets[realm, sender] = TokenBucket.of(self._rate)
            pause = max(pause, bucket.take(now, count))
            # Once a sender stops, the rest of the realm must not wait much longer.
            bucket.forgive(MAX_PAUSE)
        return min(pause, MAX_PAUSE)


class Budget:
    """Bytes of memory that accounts share. No account may hold more than `share`, a tenth of them."""

    def __init__(self, total: int) -> None:
        self.share = total // 10
        self._left = total
        self._held: dict[int, int] = {}  # by account; accounts that hold nothing are left out

    def change(self, account: int, size: int) -> bool:
        """Let the account hold `size` bytes more (or less, if negative). Returns False if the budget does not
        allow it."""
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

    def failures(self, key: str, now: float) -> int:
        """The remembered failures of the key."""
        failures, free_at = self._failures.get(key, (0, now))
        return 0 if now - free_at > self._memory else failures

    def free(self, key: str, now: float) -> int:
        """The number of further failures of the key without a pause."""
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
    """Lets each key do something `per_hour` times an hour, even all at once; 0 is no limit. At most
    `capacity` keys are remembered."""

    def __init__(self, per_hour: int, capacity: int = 100_000) -> None:
        self._most = float(per_hour)
        self._rate = per_hour / 3600
        self._capacity = capacity
        # key -> (how often it may still do it, at what time)
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str, now: float) -> float:
        """Use one of the key's times. Returns the seconds until there is one if there is none now."""
        if not self._most:
            return 0.0
        left, when = self._left.pop(key, (self._most, now))
        left = min(self._most, left + max(0.0, now - when) * self._rate)
        if len(self._left) >= self._capacity:
            del self._left[next(iter(self._left))]
        if left < 1:
            self._left[key] = (left, now)
            return (1 - left) / self._rate
        self._left[key] = (left - 1, now)
        return 0.0

    def give_back(self, key: str) -> None:
        """Give back a time that was taken and not used."""
        if key in self._left:
            left, when = self._left[key]
            self._left[key] = (min(self._most, left + 1), when)
