"""Several realms in one thread, on real SQLite files. Nothing happens between them until the caller says so.

A `Network` has `Server`s. Each has one realm, which can be killed and opened again, and `Person`s who use it.
The realms are connected by `FakeConnection`s in place of sockets. What a person `begins` proceeds while the
network is `settle`d step by step: transactions, threads, connections and timers that are due. Time stands
still but for `advance`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet import error as net
from twisted.internet.defer import Deferred
from twisted.protocols import amp
from twisted.python.failure import Failure

from chatd.app.realm import StartOptions, Threads
from chatd.federation.amp.link import PeerLink, Route
from chatd.simulate.clocks import TimerClock
from chatd.simulate.connections import FakeConnection, PeerTransport
from chatd.simulate.servers import START, Server, SimulatedRealm, Stuck, certificate_of
from chatd.simulate.stepped import STEPPED, SteppedDatabase

MAX_STEPS = 20_000


class Network:
    """Servers that are connected. `random`, if given, chooses which of several events happens first."""

    def __init__(
        self, folder: Path, random: Random | None = None, threads: Threads = STEPPED
    ) -> None:
        self.now = START
        self.clock = TimerClock()  # of what is between the servers: clients, and buses
        self.clock.advance(START)
        self.threads = threads
        self.start_options = StartOptions()
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

    def add(self, server: Server) -> None:
        """Add a server that is one of several for its realm."""
        self.servers[server.label] = server

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
            if where in self.silent or near.is_stopped:
                continue
            error = self.refusing.get(where)
            there = [each for each in self.servers.values() if each.where == where and each.is_open]
            running = [each for each in there if not each.is_stopped]
            if error is None and there and not running:
                continue
            self._calls.remove(call)
            if error is not None or not there:
                made.errback(Failure(error or net.ConnectionRefusedError()))
            else:
                made.callback(self._make_connection(near, self._choose(running)))
            return True
        return False

    def _choose(self, there: list[Server]) -> Server:
        """The server to which a connection goes: a proxy chooses one of the nodes of a realm."""
        if len(there) == 1 or self._random is None:
            return there[0]
        return self._random.choice(there)

    def ends_at(self, host: Any) -> list[PeerTransport]:
        """The ends of all connections, and of those that are being made, at the process with that host."""
        made = [end for connection in self.connections for end in connection.ends]
        calling = [near for _, near, _ in self._calls]
        return [end for end in (*made, *calling) if getattr(end.protocol, "host", None) is host]

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
        if len(found) != 1:
            raise Stuck(f"{len(found)} are open")
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
        """What may take a step now. Most seldom have anything to do, and asking each of them takes time."""
        found: list[Callable[[], bool]] = [self._answer_call] if self._calls else []
        if self.clock.next_due() <= self.clock.rightNow:
            found.append(partial(_turn, self.clock))
        for life in self._lives():
            database, clock = life.database, life.clock
            if database.may_commit:
                found.append(partial(self._commit, database))
            if database.may_run_apart:
                found.append(database.step_apart)
            if database.may_read:
                found.append(database.step_read)
            if life.uploads.may_work:
                found.append(life.uploads.step)
            if clock.next_due() <= clock.rightNow:
                found.append(partial(_turn, clock))
        for connection in self._open():
            for end in connection.ends:
                if connection.is_ready(end):
                    found.append(partial(connection.step, end))
        return found

    def _lives(self) -> list[SimulatedRealm]:
        """The realms that run."""
        return [
            server.realm
            for server in self.servers.values()
            if server.is_open and not server.is_stopped
        ]

    def _open(self) -> list[FakeConnection]:
        """The connections of which at least one end is open. Drops the others."""
        if any(each.near.closed and each.far.closed for each in self.connections):
            self.connections = [
                each for each in self.connections if not (each.near.closed and each.far.closed)
            ]
        return self.connections

    def _commit(self, database: SteppedDatabase) -> bool:
        return database.step(self._random.choice((None, 1, 3)) if self._random else None)

    def step(self) -> bool:
        """Let each source of events take one step, or with `random` one of them. Returns whether any did."""
        if self._random is None:
            return self._step_all()
        sources = self._sources()
        while sources:
            if sources.pop(self._random.randrange(len(sources)))():
                return True
        return False

    def _step_all(self) -> bool:
        """As `step` with all of `_sources`, in their order."""
        lives, connections = self._lives(), tuple(self._open())
        done = self._answer_call() | _turn(self.clock)
        for life in lives:
            done |= life.database.step()
            done |= life.database.step_apart()
            done |= life.database.step_read()
            done |= life.uploads.step()
            done |= _turn(life.clock)
        for connection in connections:
            done |= connection.step(connection.near)
            done |= connection.step(connection.far)
        return done

    def settle(self) -> None:
        """Take steps until nothing happens at this moment."""
        for _ in range(MAX_STEPS):
            if not self.step():
                return
        raise Stuck("it does not come to rest")

    def advance(self, seconds: float) -> None:
        """Let that much time pass, with all that happens in it."""
        self.settle()
        end = self.now + seconds
        while True:
            clocks = [self.clock, *(life.clock for life in self._lives())]
            due = min([math.inf, *(clock.next_due() for clock in clocks), *self._arrivals()])
            self.now = max(self.now, min(end, due))
            for clock in clocks:
                # A rounding error must not delay a timer.
                clock.rightNow = max(clock.rightNow, self.now)
            if due > self.now:
                return
            for clock in (self.clock, *(life.clock for life in self._lives())):
                clock.advance(0)
            self.settle()

    def _arrivals(self) -> list[float]:
        """When boxes that are under way arrive."""
        return [
            end.pace.due
            for connection in self.connections
            for end in connection.ends
            if end.pace.due is not None and end.pace.due > self.now and end.out and not end.closed
        ]

    def until(self, condition: Callable[[], object], patience: float = 600.0) -> None:
        """Let time pass, in steps of half a second, until `condition` is true."""
        self.settle()
        end = self.now + patience
        while not condition():
            if self.now >= end:
                raise Stuck("waited without success")
            self.advance(0.5)

    def result(self, done: Deferred[Any] | Coroutine[Any, Any, Any], patience: float = 0.0) -> Any:
        """Return the result, now or within `patience` seconds. Raises the exception that it fails with."""
        waiting = done if isinstance(done, Deferred) else Deferred.fromCoroutine(done)
        found: list[Any] = []
        waiting.addBoth(found.append)
        self.settle()
        if not found and patience:
            self.until(lambda: found, patience)
        if not found:
            raise Stuck("it is still waiting")
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
                server.continue_process()
                server.realm.database.full = False
                server.close()


def _turn(clock: TimerClock) -> bool:
    """Run the timers that are due. Returns whether there were any."""
    if clock.next_due() > clock.rightNow:
        return False
    clock.advance(0)
    return True


def outcome(done: Deferred[Any]) -> list[Any]:
    """Return a list that will have the result, or the exception."""
    found: list[Any] = []
    done.addCallbacks(found.append, lambda failure: found.append(failure.value))
    return found
