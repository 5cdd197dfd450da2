"""Steps of the system's clock do not change how long anything waits."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock, LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.clocks import date_of, make_monotonic
from chatd.base.errors import TooManyAttempts
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.silence import LOGIN_TIME
from tests.support.common import START, RealmTestCase
from tests.unit.lines.cases import settle

HOUR = 3600.0


class Reactor(SynchronousTestCase):
    """make_monotonic with reactors of Twisted that do not run."""

    def setUp(self) -> None:
        self.now = 5.0
        self.reactor = self.make(SelectReactor)

    def make(self, kind: type[SelectReactor]) -> Any:
        reactor: Any = kind()
        self.addCleanup(reactor.waker.connectionLost, None)
        return reactor

    def test_timers_follow_the_clock(self) -> None:
        """Delayed calls, postponed calls and looping calls follow the given clock."""
        self.assertTrue(make_monotonic(self.reactor, lambda: self.now))
        heard = list[str]()
        self.reactor.callLater(10, heard.append, "once")
        put_off = self.reactor.callLater(1, heard.append, "later")
        put_off.reset(20)
        looping = LoopingCall(heard.append, "loop")
        looping.clock = self.reactor
        looping.start(15, now=False)
        for passed, expected in ((9, []), (1, ["once"]), (5, ["loop"]), (5, ["later"])):
            heard.clear()
            self.now += passed
            self.reactor.runUntilCurrent()
            self.assertEqual(heard, expected)
        self.assertEqual(self.reactor.timeout(), 10)
        looping.stop()

    def test_default_is_monotonic(self) -> None:
        self.assertTrue(make_monotonic(self.reactor))
        self.assertIs(self.reactor.seconds, time.monotonic)

    def test_existing_timers(self) -> None:
        """Existing timers use the old clock, and would fire at once or never."""
        self.reactor.callLater(10, lambda: None)
        self.assertFalse(make_monotonic(self.reactor, lambda: self.now))
        self.assertGreater(self.reactor.seconds(), START - 366 * 86400)

    def test_reactor_with_its_own_time(self) -> None:
        """The reactor is left as it was, without the probe."""

        class Own(SelectReactor):
            def callLater(
                self,
                delay: float,
                callable: Any,  # noqa: A002
                *args: object,
                **kw: object,
            ) -> DelayedCall:
                delayed = super().callLater(delay, callable, *args, **kw)
                delayed.time = 1e9 + delay
                return delayed

        reactor = self.make(Own)
        self.assertFalse(make_monotonic(reactor, lambda: self.now))
        self.assertNotIn("seconds", vars(reactor))
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_date(self) -> None:
        self.assertEqual(date_of(lambda: 86400.5), datetime(1970, 1, 2, 0, 0, 0, 500_000, UTC))


class Steps(RealmTestCase):
    """The wall clock is set back by an hour and forward again."""

    limits = {"idle": 100}

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.date = START
        self.wall = lambda: self.date
        super().setUp()
        self.accounts = self.realm.service.accounts

    async def test_idle_connections(self) -> None:
        """No step ends a connection or keeps it open."""
        for step in (-HOUR, HOUR):
            wire = self.connect(JsonDialect())
            self.date += step
            self.clock.advance(LOGIN_TIME - 1)
            await settle()
            self.assertFalse(wire.transport.disconnecting)
            self.clock.advance(1)
            await settle()
            self.assertTrue(wire.transport.disconnecting)

    async def test_rate_limit(self) -> None:
        """A connection beyond its rate is read again after a second."""
        wire = self.connect(JsonDialect())
        for step in (-HOUR, HOUR):
            wire.feed(b'{"command":"ping"}\n' * 1100)
            await wire.until(lambda data: data.count(b"pong") >= 1000)
            self.date += step
            self.clock.advance(1)
            await wire.until(lambda data: data.count(b"pong") >= 50)
            self.clock.advance(30)

    async def test_failed_logins(self) -> None:
        """A pause after a wrong password is as long as before."""
        await self.accounts.register("messi", "surabaya", None, None)
        for step in (-HOUR, HOUR):
            for _ in range(40):
                guard = self.accounts._guard
                guard._accounts.failed("messi", self.clock.seconds())
                guard._own._throttle.failed("messi here", self.clock.seconds())
            self.date += step
            with self.assertRaises(TooManyAttempts) as caught:
                await self.accounts.login("messi", "surabaya", "here")
            self.assertLess(caught.exception.details["seconds"], HOUR)
            self.clock.advance(HOUR)
            await self.accounts.login("messi", "surabaya", "here")

    async def test_sessions(self) -> None:
        """Logins from before and after a step are valid."""
        login = await self.accounts.register("messi", "surabaya", None, None)
        assert login.token is not None
        for step in (-HOUR, HOUR, HOUR):
            self.date += step
            await self.accounts.resume(login.token)

    async def test_times_of_messages(self) -> None:
        """Messages have the time of the wall clock."""
        wire = self.connect(JsonDialect())
        await wire.ask(command="register", username="messi", password="surabaya")
        for step in (0.0, -HOUR):
            self.date += step
            await wire.ask(command="send", to="messi", text="halo")
            found = await wire.ask(command="history", user="messi", n=1)
            sent = datetime.fromisoformat(found["messages"][0]["at"])
            self.assertEqual(sent.timestamp(), self.date)
