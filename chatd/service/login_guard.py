"""Checks passwords so that guessing is slow, and does not delay other people's logins."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable

import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from chatd.base.cache import Cache
from chatd.base.counters import counted
from chatd.base.errors import Busy, TooManyAttempts
from chatd.base.throttle import FailureThrottle
from chatd.service.account_turns import AccountTurns
from chatd.service.node_news import NodeNews
from chatd.service.passwords import LOGIN, SUSPECT, Passwords

FREE_FAILURES = 5
FREE_FAILURES_PER_ACCOUNT = 20
FREE_FAILURES_PER_ADDRESS = 50
MAX_WAIT = 30.0  # seconds; attempts that would wait longer are refused
MAX_FAMILIAR = 100_000
# Attempts at one account that may be checked at once with normal priority. An owner makes few at once; an
# attacker with many addresses makes one from each.
MAX_AT_ONCE = 4
# Attempts under way, including those of closed connections. Each is more than the connections that a door
# accepts from one address.
MAX_PENDING = 2000  # of one address
MAX_PENDING_PER_ACCOUNT = 1000  # at one account from one address


class TooSoon(Exception):
    """The attempt would wait for `seconds`, which is more than `MAX_WAIT`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Line(msgspec.Struct):
    """The attempts at one key: how many run, and the ones that wait."""

    running: int = 0
    waiting: deque[Deferred[None]] = msgspec.field(default_factory=deque)
    timer: IDelayedCall | None = None


class FailureGate:
    """Lets attempts at a key begin one after another, with a pause after each failure.

    Several may run at once while their failures would cause no pause. So parallel attempts with the right
    password only wait for their turn, and parallel guesses gain nothing. Once there are pauses, attempts that
    would wait longer than `MAX_WAIT` are refused, the newest first.
    """

    def __init__(self, clock: IReactorTime, throttle: FailureThrottle) -> None:
        self._clock = clock
        self._throttle = throttle
        self._lines: dict[str, Line] = {}
        self._tell: Callable[[tuple[str, bool]], object] = lambda _told: None

    def share(self, news: NodeNews, topic: str) -> None:
        """Count failures on all nodes of the realm. What a node does not hear still counts where it
        happened."""
        self._tell = news.topic(topic, tuple[str, bool], self._heard, lambda: None)

    def enter(self, key: str) -> Deferred[None]:
        """Fires when an attempt may begin. Call `leave` afterwards. Fails with TooSoon."""
        line = self._lines.setdefault(key, Line())
        if not line.waiting and self._may_begin(key, line):
            line.running += 1
            return succeed(None)
        wait = self._wait_of(key, len(line.waiting) + 1)
        if wait > MAX_WAIT:
            self._go_on(key, line)
            return fail(TooSoon(wait))
        done: Deferred[None] = Deferred()
        line.waiting.append(done)
        self._set_timer(key, line)
        return done

    def leave(self, key: str, failed: bool) -> None:
        """End an attempt."""
        line = self._lines[key]
        line.running -= 1
        if failed:
            self._failed(key)
            self._tell((key, True))
        self._go_on(key, line)

    def _failed(self, key: str) -> None:
        self._throttle.failed(key, self._clock.seconds())
        line = self._lines.get(key)
        if line is not None:
            while line.waiting and (wait := self._wait_of(key, len(line.waiting))) > MAX_WAIT:
                line.waiting.pop().errback(TooSoon(wait))

    def _heard(self, told: tuple[str, bool]) -> None:
        """An attempt has failed on another node, or else the failures of its key are forgotten there."""
        key, failed = told
        if failed:
            self._failed(key)
            return
        self._throttle.succeeded(key)
        line = self._lines.get(key)
        if line is not None:
            self._go_on(key, line)

    def forget(self, key: str) -> None:
        """Forget the key's failures."""
        if self.has_failed(key):
            self._tell((key, False))
        self._throttle.succeeded(key)

    def is_free(self, key: str) -> bool:
        """Whether a failure would cause no pause."""
        return self._throttle.free(key, self._clock.seconds()) > 0

    def has_failed(self, key: str) -> bool:
        """Whether a failure of the key is remembered."""
        return self._throttle.failures(key, self._clock.seconds()) > 0

    def _may_begin(self, key: str, line: Line) -> bool:
        now = self._clock.seconds()
        if line.running:
            return self._throttle.free(key, now) > line.running
        return self._throttle.wait(key, now) <= 0

    def _wait_of(self, key: str, place: int) -> float:
        """The seconds for which the attempt at `place` in the line waits if all before it fail. 0 while
        failures cause no pause, because those attempts may succeed."""
        now = self._clock.seconds()
        if self._throttle.free(key, now):
            return 0.0
        wait, failures = self._throttle.wait(key, now), self._throttle.failures(key, now)
        for before in range(place - 1 + self._lines[key].running):
            if wait > MAX_WAIT:
                break
            wait += self._throttle.pause(failures + before)
        return wait

    def _go_on(self, key: str, line: Line) -> None:
        while line.waiting and self._may_begin(key, line):
            line.running += 1
            line.waiting.popleft().callback(None)
        if line.waiting:
            self._set_timer(key, line)
        elif not line.running and self._lines.get(key) is line:
            del self._lines[key]

    def _set_timer(self, key: str, line: Line) -> None:
        """Let the next attempt begin when the pause is over."""
        if line.running or line.timer is not None:
            return
        pause = self._throttle.wait(key, self._clock.seconds())
        line.timer = self._clock.callLater(pause, self._pause_is_over, key, line)

    def _pause_is_over(self, key: str, line: Line) -> None:
        line.timer = None
        self._go_on(key, line)


class PasswordGuard:
    """Checks passwords, with pauses after repeated failures.

    Failures are counted by account and address together; by account, so that many addresses gain little; and
    by address, so that trying many accounts gains little. While an account has pauses, addresses that have
    not failed take turns, so that its owner waits little at a new address. Failures with unknown
    names are counted separately by address, so they delay only other attempts with unknown names. A login
    from an address where the account has logged in before does not wait for failures at other accounts from
    that address, or at this account from other addresses.
    """

    def __init__(self, clock: IReactorTime, passwords: Passwords) -> None:
        self._clock = clock
        self._passwords = passwords
        self._own = FailureGate(clock, FailureThrottle(FREE_FAILURES))
        self._accounts = FailureThrottle(FREE_FAILURES_PER_ACCOUNT, longest=2.0, queue=4.0)
        self._addresses = FailureGate(
            clock, FailureThrottle(FREE_FAILURES_PER_ADDRESS, longest=1.0)
        )
        self._unknown = FailureGate(clock, FailureThrottle(FREE_FAILURES_PER_ADDRESS))
        self._turns = AccountTurns(clock)
        # "account address" where the account has logged in from that address
        self._familiar: Cache[str, None] = Cache(MAX_FAMILIAR)
        self._pending: Counter[str] = Counter()  # by address, and by account and address
        self._checking: Counter[str] = Counter()  # by account
        self._tell: Callable[[tuple[str, str, bool]], object] = lambda _told: None

    def share(self, news: NodeNews) -> None:
        """Count failures on all nodes of the realm, so that somebody who guesses at several of them gains
        little. Where the bus loses them, each node still counts its own."""
        self._own.share(news, "login-failures")
        self._addresses.share(news, "login-failures-by-address")
        self._unknown.share(news, "login-failures-unknown")
        self._tell = news.topic("logins", tuple[str, str, bool], self._checked, lambda: None)

    async def check(
        self, key: str, password: str, source: str, find_hash: Callable[[], Awaitable[str | None]]
    ) -> bool:
        """Whether `password` is that of the account `key`. `find_hash` returns its hash, or None if there is
        no such account. `source` is the network address of the request. Raises TooManyAttempts, Busy.
        """
        own = f"{key} {source}"
        if self._pending[source] >= MAX_PENDING or self._pending[own] >= MAX_PENDING_PER_ACCOUNT:
            raise Busy
        with counted(self._pending, source), counted(self._pending, own):
            return await self._check(key, own, password, source, find_hash)

    async def _check(
        self,
        key: str,
        own: str,
        password: str,
        source: str,
        find_hash: Callable[[], Awaitable[str | None]],
    ) -> bool:
        try:
            await self._own.enter(own)
            failed = False
            try:
                hashed = await find_hash()
                good = await self._check_in_turn(key, own, password, hashed, source)
                failed = not good
                if good:
                    self._own.forget(own)
            finally:
                self._own.leave(own, failed)
        except TooSoon as error:
            raise TooManyAttempts(name=key, seconds=math.ceil(error.seconds)) from None
        return good

    async def _check_in_turn(
        self, key: str, own: str, password: str, hashed: str | None, source: str
    ) -> bool:
        if own in self._familiar:
            good = await self._verify(own, password, hashed, (source, key))
        else:
            wait = self._accounts.wait(key, self._clock.seconds())
            if wait > 0 and self._has_failed(own, source):
                await deferLater(self._clock, wait)
            elif wait > 0:
                await self._turns.wait(key, source, wait)
            gate = self._addresses if hashed is not None else self._unknown
            good = await self._check_at_gate(gate, own, password, hashed, (source, key))
        told = (key, source, good)
        self._checked(told)
        self._tell(told)
        return good

    def _checked(self, told: tuple[str, str, bool]) -> None:
        """An attempt at an account from an address has ended, with the right password or not, on this node or
        another one."""
        key, source, good = told
        own = f"{key} {source}"
        if good:
            self._accounts.succeeded(key)
            self._familiar[own] = None
        else:
            self._accounts.failed(key, self._clock.seconds())
            self._familiar.pop(own)

    async def _check_at_gate(
        self, gate: FailureGate, own: str, password: str, hashed: str | None, owner: tuple[str, str]
    ) -> bool:
        source = owner[0]
        # A failure at an account that already has pauses does not count for its address: it would delay
        # others.
        counts = self._own.is_free(own)
        await gate.enter(source)
        failed = False
        try:
            good = await self._verify(own, password, hashed, owner)
            failed = counts and not good
        finally:
            gate.leave(source, failed)
        return good

    async def _verify(
        self, own: str, password: str, hashed: str | None, owner: tuple[str, str]
    ) -> bool:
        """Check the password. Attempts that may be guesses have a lower priority."""
        priority = SUSPECT if self._is_suspect(own, hashed, owner) else LOGIN
        with counted(self._checking, owner[1]):
            return await self._passwords.verify(password, hashed, owner, priority)

    def _is_suspect(self, own: str, hashed: str | None, owner: tuple[str, str]) -> bool:
        """Whether an attempt may be a guess: the account does not exist, there was a recent failure, or many
        attempts at the account run at once."""
        if hashed is None:
            return True
        if own in self._familiar:
            return False
        source, key = owner
        return (
            self._checking[key] >= MAX_AT_ONCE
            or self._has_failed(own, source)
            or self._accounts.failures(key, self._clock.seconds()) > 0
        )

    def _has_failed(self, own: str, source: str) -> bool:
        """Whether there was a recent failure at the account from this address, or at many from it."""
        return self._own.has_failed(own) or self._addresses.has_failed(source)
