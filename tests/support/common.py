"""A realm without sockets, one with real ones, and people who use it."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from chatd.app import realm
from chatd.base.clocks import IReactor, Wall
from chatd.base.config import AccountsConfig, Argon2, Config, Limits
from chatd.base.errors import ChatError
from chatd.base.events import Closing, Event
from chatd.lines.connections import Connections
from chatd.lines.dialect import Dialect
from chatd.lines.factory import ChatLineFactory
from chatd.lines.protocol import ChatLineProtocol
from chatd.net.eager import FlushQueue
from chatd.service.presence import IListener
from chatd.simulate import servers
from chatd.simulate.databases import connect_without_sync, provide_schema
from tests.support.dns import Zone

CHEAP = Argon2(memory=8, passes=1, lanes=1)
START = servers.START


class SteadyClock:
    """The timers of the reactor, but a time that moves only when told, so that each run writes the same."""

    def __init__(self, reactor: Any, now: float = START) -> None:
        self._reactor = reactor
        self.now = now

    def seconds(self) -> float:
        return self.now

    def callLater(self, delay: float, call: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        return self._reactor.callLater(delay, call, *args, **kw)


def same_bytes() -> Callable[[int], bytes]:
    """A `random_bytes` that returns the same sequence in each run, without repetitions."""
    count = itertools.count(1)
    return lambda size: hashlib.shake_256(next(count).to_bytes(8, "big")).digest(size)


def make_config(state: Path, **limits: Any) -> Config:
    return Config(
        realm="realm1",
        state=state,
        accounts=AccountsConfig(argon2=CHEAP, registrations_per_hour=0),
        limits=Limits(**limits),
    )


class Realm(realm.Realm):
    """A whole realm on a folder of its own, real except for sockets (and for the time, if `clock` is given).
    Call `open`, and in the end `close`; `RealmTestCase` does both."""

    def __init__(
        self,
        config: Config,
        clock: Any = None,
        random_bytes: Any = None,
        wall: Wall | None = None,
        zone: Zone | None = None,
    ) -> None:
        self.zone = zone or Zone()  # what is found in the DNS
        random_bytes = random_bytes or same_bytes()
        wall = wall or (time.time if clock is None else clock.seconds)
        environment = realm.Environment(
            cast(IReactor, reactor),
            random_bytes,
            clock or reactor,
            wall,
            threads=realm.Threads(connect_without_sync),
            resolver=lambda: self.zone,
        )
        super().__init__(config, environment)
        self.clock: Any = environment.clock
        self.wall = wall
        self.random_bytes = random_bytes

    def open(self) -> None:
        provide_schema(self.config)
        super().open()
        self.connections = Connections()
        self.flush_queue = FlushQueue(reactor)
        self.database.on_settled(self.flush_queue.flush)

    def door(self, dialect: Dialect) -> ChatLineFactory:
        return ChatLineFactory(
            self.service,
            self.sessions,
            self.connections,
            self.flush_queue,
            dialect,
        )


async def make_operator(realm: realm.Realm, name: str) -> None:
    """Make that account an operator, before it logs in."""
    service = realm.service
    await service.operators.appoint(await service.accounts.find(name))


class RealmTestCase(TestCase):
    """A test with an open `self.realm`; `limits` are those of its configuration."""

    limits: dict[str, Any] = {}
    clock: Any = None
    wall: Wall | None = None  # as the clock, unless given

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.realm = Realm(self.make_config(), self.clock, wall=self.wall)
        self.realm.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.realm.close()))

    def make_config(self) -> Config:
        return make_config(self.folder / "state", **self.limits)

    async def reopen(self) -> None:
        """Stop the realm, and start it again on its files."""
        await self.realm.close()
        clock = None if self.realm.clock is reactor else self.realm.clock
        self.realm = Realm(self.realm.config, clock, self.realm.random_bytes, self.wall)
        self.realm.open()

    def connect(self, dialect: Dialect, host: str = "127.0.0.1") -> Wire:
        return Wire(self.realm.door(dialect), host)

    def with_limits(self, **limits: Any) -> Config:
        config = self.realm.config
        return msgspec.structs.replace(
            config, limits=msgspec.structs.replace(config.limits, **limits)
        )


class ClockedTestCase(RealmTestCase):
    """As RealmTestCase, with a time that moves only when told, and does not begin at 0."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000.0)
        super().setUp()

    async def refused(self, done: Any) -> type[ChatError] | None:
        """The error with which it ends."""
        try:
            await done
        except ChatError as error:
            return type(error)
        return None


@implementer(IListener)
class Listener:
    """A listener. `heard` has all of its events, in order, until it was `dropped`."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.dropped = False

    def deliver(self, events: Sequence[Event]) -> None:
        self.heard.extend(events)

    def drop(self) -> None:
        self.dropped = True

    def refuse(self, error: ChatError) -> None:
        self.heard.append(Closing(error))
        self.dropped = True


class Wire:
    """A connection without a socket. Bytes arrive as soon as they are sent, and replies are collected."""

    def __init__(self, factory: ChatLineFactory, host: str = "127.0.0.1") -> None:
        self.transport = FakeTransport()
        self.protocol: ChatLineProtocol = factory.buildProtocol(IPv4Address("TCP", host, 50000))
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)

    def feed(self, data: bytes) -> None:
        """Receive bytes. While the protocol has paused its transport they wait, as in a socket."""
        self.transport.arrive(data)

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    async def until(self, end: bytes | Callable[[bytes], bool], patience: float = 10.0) -> bytes:
        """Wait until the output ends with `end` (or fulfils it), and return it."""
        done = end if callable(end) else lambda data: data.endswith(end)
        waited = 0.0
        while not done(self.transport.value()):
            if waited > patience:
                raise AssertionError(f"waited in vain; there is {self.transport.value()!r}")
            waited += 0.002
            await sleep(0.002)
        return self.taken()

    async def ask(self, **request: Any) -> dict[str, Any]:
        """In the json dialect: send a request, and wait for its reply. Earlier events go to `events`."""
        self.feed(json.dumps(request).encode() + b"\r\n")
        return await self.reply()

    async def reply(self) -> dict[str, Any]:
        """In the json dialect: wait for the reply to the next request. Earlier events go to `events`."""
        while True:
            line = await self.line()
            if "event" not in line:
                return line
            self.transport.events.append(line)

    async def line(self) -> dict[str, Any]:
        """In the json dialect: return the next line of output."""
        waited = 0.0
        while b"\r\n" not in self.transport.value():
            if waited > 10:
                raise AssertionError(f"waited in vain; there is {self.transport.value()!r}")
            waited += 0.002
            await sleep(0.002)
        line, _, rest = self.transport.value().partition(b"\r\n")
        self.transport.clear()
        self.transport.write(rest)
        found: dict[str, Any] = json.loads(line)
        return found

    def lose(self, failure: Failure) -> None:
        """The connection ends."""
        self.transport.connected = False
        self.protocol.connectionLost(failure)


class FakeTransport(StringTransport):
    """A StringTransport that holds back input while it is paused, and has the methods of TCP transports."""

    protocol: ChatLineProtocol

    def __init__(self) -> None:
        super().__init__()
        self.waiting = b""
        self.events: list[dict[str, Any]] = []
        self.aborted = False

    def arrive(self, data: bytes) -> None:
        self.waiting += data
        self._go_on()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if self.waiting:
            reactor.callLater(0, self._go_on)

    def _go_on(self) -> None:
        if self.waiting and self.producerState == "producing":
            data, self.waiting = self.waiting, b""
            self.protocol.dataReceived(data)

    def setTcpNoDelay(self, _on: bool) -> None: ...

    def setTcpKeepAlive(self, _on: bool) -> None: ...

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnected = True


def sleep(seconds: float) -> Deferred[None]:
    done: Deferred[None] = Deferred()
    reactor.callLater(seconds, done.callback, None)
    return done


def run(coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
    return Deferred.fromCoroutine(coroutine)
