"""Limits on guessing the names and codes of private groups: a refusal may tell that a name is taken."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from twisted.internet.interfaces import IReactorTime

from chatd.base.counters import counted
from chatd.base.errors import (
    GroupExists,
    TooManyFailedJoins,
    TooManyTakenNames,
    UnknownGroup,
    UserExists,
)
from chatd.base.model import Party
from chatd.base.throttle import FailureThrottle, Quota
from chatd.service.login_guard import FailureGate, TooSoon
from chatd.service.node_limits import share_quota
from chatd.service.node_news import NodeNews

TAKEN_PER_HOUR = 20
FREE_JOINS = 20  # failed joins of a person before there are pauses
FREE_JOINS_OF_ADDRESS = 50  # those from a network address before they take turns
FREE_JOINS_OF_REALM = 200  # those of all people of another realm


class TakenNames:
    """Counts attempts to create accounts and groups whose names are taken: TAKEN_PER_HOUR for each account,
    and before the login for each network address. The refusal is the same for the name of a private group.
    Without `limited`, there is no limit."""

    def __init__(self, clock: IReactorTime, limited: bool) -> None:
        self._clock = clock
        self._quota = Quota(0)
        self.limit(limited=limited)

    def share(self, news: NodeNews, topic: str) -> None:
        """Count attempts on all nodes of the realm."""
        share_quota(self._quota, news, self._clock, topic)

    def limit(self, *, limited: bool) -> None:
        """Begin or cease to limit the attempts."""
        self._quota.allow(TAKEN_PER_HOUR if limited else 0)

    @contextmanager
    def attempt(self, key: str) -> Iterator[None]:
        """A context in which something is created for the account or address `key`. Raises
        TooManyTakenNames before anything is looked up."""
        wait = self._quota.take(key, self._clock.seconds())
        if wait:
            raise TooManyTakenNames(limit=TAKEN_PER_HOUR, minutes=math.ceil(wait / 60))
        is_taken = False
        try:
            yield
        except (GroupExists, UserExists):
            is_taken = True
            raise
        finally:
            if not is_taken:
                self._quota.give_back(key)

    def count(self, key: str) -> None:
        """Count an attempt that succeeded with another name than the first one."""
        self._quota.take(key, self._clock.seconds())


class JoinGate:
    """Lets a key wait after failed joins. Parallel attempts gain nothing: no more may be under way than may
    fail without a pause, or one."""

    def __init__(self, clock: IReactorTime, free: int) -> None:
        self._clock = clock
        self._throttle = FailureThrottle(free)
        self._under_way: Counter[str] = Counter()
        self._tell: Callable[[str], object] = lambda _key: None

    def share(self, news: NodeNews, topic: str) -> None:
        """Count failures on all nodes of the realm. Those under way count at their node only."""
        self._tell = news.topic(topic, str, self._failed, lambda: None)

    def _failed(self, key: str) -> None:
        self._throttle.failed(key, self._clock.seconds())

    def wait(self, key: str) -> float:
        """The seconds until the key may make an attempt."""
        running, now = self._under_way[key], self._clock.seconds()
        if running and self._throttle.free(key, now) <= running:
            return max(1.0, self._throttle.wait(key, now))
        return self._throttle.wait(key, now)

    @contextmanager
    def attempt(self, key: str) -> Iterator[None]:
        """A context in which the key makes an attempt, which has failed if it raises UnknownGroup. A pause
        begins then: another realm may take long to answer."""
        with counted(self._under_way, key):
            try:
                yield
            except UnknownGroup:
                self._failed(key)
                self._tell(key)
                raise


class FailedJoins:
    """Slows down joins of groups that do not exist. A person, and another realm, are refused for a while.
    Attempts from one network address take turns with short pauses, as failed logins do, because people share
    an address."""

    def __init__(self, clock: IReactorTime) -> None:
        self._people = JoinGate(clock, FREE_JOINS)
        self._realms = JoinGate(clock, FREE_JOINS_OF_REALM)
        self._addresses = FailureGate(clock, FailureThrottle(FREE_JOINS_OF_ADDRESS, longest=1.0))

    def share(self, news: NodeNews) -> None:
        """Count failures on all nodes of the realm."""
        self._people.share(news, "failed-joins")
        self._realms.share(news, "failed-joins-of-realms")
        self._addresses.share(news, "failed-joins-by-address")

    @asynccontextmanager
    async def attempt(self, party: Party, source: str | None = None) -> AsyncIterator[None]:
        """A context in which `party` joins a group, from the network address `source` if it is known. Raises
        TooManyFailedJoins before anything is looked up."""
        keys = ((self._people, party.key), (self._realms, party.realm))
        counting = [(gate, key) for gate, key in keys if key is not None]
        wait = max(gate.wait(key) for gate, key in counting)
        if wait > 0:
            raise TooManyFailedJoins(seconds=math.ceil(wait))
        async with AsyncExitStack() as attempts:
            for gate, key in counting:
                attempts.enter_context(gate.attempt(key))
            if source is not None:
                await attempts.enter_async_context(self._in_turn(source))
            yield

    @asynccontextmanager
    async def _in_turn(self, source: str) -> AsyncIterator[None]:
        """A context that begins when it is the turn of an attempt from that address."""
        try:
            await self._addresses.enter(source)
        except TooSoon as error:
            raise TooManyFailedJoins(seconds=math.ceil(error.seconds)) from None
        failed = False
        try:
            yield
        except UnknownGroup:
            failed = True
            raise
        finally:
            self._addresses.leave(source, failed)
