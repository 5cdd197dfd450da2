"""Several realms in one thread, on real SQLite files. Nothing happens between them until a test says so.

A `Network` has `Server`s. Each has one realm, which a test can kill and open again, and `Person`s who use it.
The realms are connected by `FakeConnection`s in place of sockets. What a person `begins` proceeds while the
network is `settle`d step by step: transactions, threads, connections and timers that are due. Time stands
still but for `advance`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from twisted.internet import error as net
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.protocols import amp
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.federation.amp.link import PeerLink, Route
from chatd.federation.amp.link_manager import LinkManager
from chatd.federation.amp.wire import Introduction
from tests.support.common import START
from tests.support.fake_connection import FakeConnection, PeerTransport
from tests.support.people import Person
from tests.support.servers import Server, SimulatedRealm, certificate_of
from tests.support.stepped import SteppedDatabase

MAX_STEPS = 20_000


class Network:
    """Servers that are connected. `random`, if given, chooses which of several events happens first."""

    def __init__(self, folder: Path, random: Random | None = None) -> None:
        self.now = START
        self.servers: dict[str, Server] = {}
        self.connections: list[FakeConnection] = []
        self.dialled: list[tuple[str, int]] = []  # every attempt
        self.dialled_private: list[
            bool
        ] = []  # whether private addresses were allowed, for each attempt
        self.refusing: dict[tuple[str, int], Exception] = {}  # the error of a connection to there
        self.silent: set[tuple[str, int]] = set()  # where connections are never answered
        self.on_connection: Callable[[FakeConnection], None] = lambda _connection: None
        self._calls: list[tuple[Deferred[FakeConnection], PeerTransport, tuple[str, int]]] = []
        self._folder = folder
        self._random = random

    def server(self, name: str, **settings: Any) -> Server:
        """Add a server. `settings` are keys of [peers], and `limits`."""
        server = self.servers[name] = Server(self, name, self._folder, **settings)
        return server

    def pair(self, **settings: Any) -> tuple[Server, Server]:
        """Add realm1 and realm2, linked. realm1 has dialled."""
        one, two = self.server("realm1", **settings), self.server("realm2", **settings)
        one.add(two)
        self.settle()
        return one, two

    # Connections

    def connect(self, near: PeerTransport, where: tuple[str, int]) -> Deferred[FakeConnection]:
        self.dialled.append(where)
        made: Deferred[FakeConnection] = Deferred()
        self._calls.append((made, near, where))
        return made

    def _answer_call(self) -> bool:
        for call in self._calls:
            made, near, where = call
            if where in self.silent:
                continue
            self._calls.remove(call)
            error = self.refusing.get(where)
            there = [each for each in self.servers.values() if each.where == where and each.is_open]
            if error is not None or not there:
                made.errback(Failure(error or net.ConnectionRefusedError()))
            else:
                made.callback(self._make_connection(near, there[0]))
            return True
        return False

    def _make_connection(self, near: PeerTransport, server: Server) -> FakeConnection:
        link = PeerLink(server.realm.directory.manager, Route("[2001:db8::1]:50000"))
        far = PeerTransport(link, server.certificate)
        connection = FakeConnection(near, far)
        self.connections.append(connection)
        self.on_connection(connection)
        for end in connection.ends:
            end.protocol.makeConnection(end)
        return connection

    def connect_by_hand(self, server: Server, realm: str, protocol: Any = None) -> Any:
        """Connect a protocol that shows the certificate of `realm` and whose AMP boxes a test writes."""
        raw = protocol or amp.AMP()
        self._make_connection(PeerTransport(raw, certificate_of(realm)), server)
        self.settle()
        return raw

    def connection(self, one: Server, two: Server) -> FakeConnection:
        """Return the open connection between the two."""
        found = self.open_connections(one, two)
        assert len(found) == 1, f"{len(found)} are open"
        return found[0]

    def open_connections(self, one: Server, two: Server) -> list[FakeConnection]:
        return [
            connection
            for connection in self.connections
            if connection.is_open
            and {getattr(end.protocol, "host", None) for end in connection.ends}
            == {one.host, two.host}
        ]

    def cut(self) -> None:
        """End all connections."""
        for connection in self.connections:
            if connection.is_open:
                connection.cut()

    # Steps

    def _sources(self) -> list[Callable[[], bool]]:
        found: list[Callable[[], bool]] = [self._answer_call]
        for server in self.servers.values():
            life = server._life
            if life is not None:
                found.append(lambda database=life.database: self._commit(database))  # type: ignore[misc]
                found.append(life.database.step_read)
                found.append(life.uploads.step)
                found.append(lambda clock=life.clock: _turn(clock))  # type: ignore[misc]
        self.connections = [
            each for each in self.connections if not (each.near.closed and each.far.closed)
        ]
        for connection in self.connections:
            for end in connection.ends:
                found.append(lambda connection=connection, end=end: connection.step(end))  # type: ignore[misc]
        return found

    def _commit(self, database: SteppedDatabase) -> bool:
        return database.step(self._random.choice((None, 1, 3)) if self._random else None)

    def step(self) -> bool:
        """Let each source of events take one step, or with `random` one of them. Returns whether any did."""
        sources = self._sources()
        if self._random is None:
            done = [source() for source in sources]
            return any(done)
        self._random.shuffle(sources)
        return any(source() for source in sources)

    def settle(self) -> None:
        """Take steps until nothing happens at this moment."""
        for _ in range(MAX_STEPS):
            if not self.step():
                return
        raise AssertionError("it does not come to rest")

    def advance(self, seconds: float) -> None:
        """Let that much time pass, with all that happens in it."""
        self.settle()
        end = self.now + seconds
        while True:
            due = [
                call.getTime()
                for server in self.servers.values()
                if server._life is not None
                for call in server._life.clock.getDelayedCalls()
            ]
            self.now = max(self.now, min([end, *due]))
            for server in self.servers.values():
                if server._life is not None:
                    clock = server._life.clock
                    # A rounding error must not delay a timer.
                    clock.rightNow = max(clock.rightNow, self.now)
                    clock.advance(0)
            self.settle()
            if self.now >= end:
                return

    def until(self, condition: Callable[[], object], patience: float = 600.0) -> None:
        """Let time pass, in steps of half a second, until `condition` is true."""
        self.settle()
        end = self.now + patience
        while not condition():
            assert self.now < end, "waited in vain"
            self.advance(0.5)

    def result(self, done: Deferred[Any] | Coroutine[Any, Any, Any], patience: float = 0.0) -> Any:
        """Return the result, now or within `patience` seconds. Raises the exception that it fails with."""
        waiting = done if isinstance(done, Deferred) else Deferred.fromCoroutine(done)
        found: list[Any] = []
        waiting.addBoth(found.append)
        self.settle()
        if not found and patience:
            self.until(lambda: found, patience)
        assert found, "it is still waiting"
        if isinstance(found[0], Failure):
            found[0].raiseException()
        return found[0]

    def close(self) -> None:
        """Release what is held back, and close all servers."""
        for connection in self.connections:
            for end in connection.ends:
                end.held = False
                end.holding.clear()
        self._calls.clear()
        for server in self.servers.values():
            if server.is_open:
                server.realm.database.full = False
                server.close()


def _turn(clock: Clock) -> bool:
    """Run the timers that are due. Returns whether there were any."""
    if not any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
        return False
    clock.advance(0)
    return True


def outcome(done: Deferred[Any]) -> list[Any]:
    """Return a list that will have the result, or the exception."""
    found: list[Any] = []
    done.addCallbacks(found.append, lambda failure: found.append(failure.value))
    return found


def lacks(case: SynchronousTestCase, realm: str, *capabilities: str) -> None:
    """Let `realm` say that it lacks these capabilities, until the test ends."""
    introduce = LinkManager.introduce

    def said(manager: LinkManager) -> Introduction:
        own = introduce(manager)
        if own.realm != realm:
            return own
        left = [each for each in own.capabilities if each not in capabilities]
        return msgspec.structs.replace(own, capabilities=left)

    case.patch(LinkManager, "introduce", said)


class NetworkTestCase(SynchronousTestCase):
    """A test with an empty `self.network`."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.network = Network(folder)
        self.addCleanup(self.network.close)


class LinkedTestCase(NetworkTestCase):
    """A test with ana in realm1, budi and citra in realm2. realm1 has dialled realm2."""

    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.pair(**self.settings)
        self.ana = self.one.person("ana")
        self.budi, self.citra = self.two.person("budi"), self.two.person("citra")

    @property
    def connection(self) -> Any:
        return self.network.connection(self.one, self.two)

    def part(self) -> None:
        """End the link; realm2 can't be reached until `meet`."""
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        self.network.settle()

    def meet(self) -> None:
        self.network.refusing.clear()
        self.network.until(lambda: self.network.open_connections(self.one, self.two))
        self.network.settle()


__all__ = [
    "FakeConnection",
    "LinkedTestCase",
    "Network",
    "NetworkTestCase",
    "PeerTransport",
    "Person",
    "Server",
    "SimulatedRealm",
    "certificate_of",
    "lacks",
    "outcome",
]
