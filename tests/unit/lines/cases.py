"""What tests of the line protocol share: clients with and without sockets, and waiting."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock, LoopingCall
from twisted.python.failure import Failure

from chatd.files.outgoing import Outgoing
from chatd.lines.dialect import Dialect
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.factory import ChatLineFactory
from chatd.lines.output import ConnectionOutput
from chatd.net.eager import make_eager
from chatd.store.accounts import add_account
from tests.support.common import START, RealmTestCase, Wire, run, sleep

PASSWORD = "surabaya"
READ = 64 << 10  # what Twisted reads from a socket at a time
MIB = 1 << 20
CLOSED = ConnectionDone()
LOST = ConnectionLost()


class ManualClock(Clock):
    """A clock that tests advance. The database uses the real reactor."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = START


class Caller(Protocol):
    """The client side of a real socket."""

    transport: Any

    def __init__(self) -> None:
        self.received = bytearray()
        self.lines = 0  # received so far
        self.size = 0
        self.hash = hashlib.sha256()
        self.keeping = True
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.size += len(data)
        self.lines += data.count(b"\n")
        if self.keeping:
            self.received += data
        else:
            self.hash.update(data)

    def connectionLost(self, reason: Failure = Failure(CLOSED)) -> None:  # noqa: B008
        self.ended.callback(None)

    def ask(self, **request: Any) -> None:
        self.transport.write(json.dumps(request).encode() + b"\r\n")

    async def line(self) -> dict[str, Any]:
        """The next line, of json."""
        await until(lambda: b"\r\n" in self.received, lambda: self.received[:1000])
        line, _, rest = self.received.partition(b"\r\n")
        self.received = rest
        found: dict[str, Any] = json.loads(line)
        return found

    async def end(self) -> list[dict[str, Any]]:
        """All lines until the connection is closed."""
        await self.ended
        return [json.loads(line) for line in self.received.split(b"\r\n") if line]


class ProtocolTestCase(RealmTestCase):
    """A realm with some accounts. Its connections are closed at the end of the test."""

    people: tuple[str, ...] = ("messi", "henderson")

    def setUp(self) -> None:
        super().setUp()
        self.doors: dict[type[Dialect], ChatLineFactory] = {}
        self.wires: list[Wire] = []
        self.addCleanup(lambda: run(self.hang_up()))
        hashed = self.realm.passwords.hash_now(PASSWORD)
        with self.realm.database._engine.begin() as connection:
            for name in self.people:
                add_account(connection, name, hashed, name, "", 0)

    def door_of(self, dialect: type[Dialect]) -> ChatLineFactory:
        if dialect not in self.doors:
            self.doors[dialect] = self.realm.door(dialect())
        return self.doors[dialect]

    def wire(self, dialect: type[Dialect] = JsonDialect, host: str = "127.0.0.1") -> Wire:
        wire = Wire(self.door_of(dialect), host)
        self.wires.append(wire)
        return wire

    async def logged_in(self, name: str = "messi", dialect: type[Dialect] = JsonDialect) -> Wire:
        wire = self.wire(dialect)
        if dialect is JsonDialect:
            reply = await wire.ask(command="auth", username=name, password=PASSWORD)
            assert reply["status"] == "OK", reply
        else:
            verb = "auth_login" if dialect.name == "tugas4" else "auth"
            wire.feed(f"{verb} {name} {PASSWORD}\n".encode())
            await wire.until(b"\r\n\r\n")
        return wire

    def lose(self, wire: Wire, why: Exception = LOST) -> None:
        if wire in self.wires:
            self.wires.remove(wire)
            wire.lose(Failure(why))

    async def hang_up(self) -> None:
        for wire in list(self.wires):
            self.lose(wire)
        await until(lambda: self.realm.connections.total == 0)

    def block_writing(self) -> Callable[[], None]:
        """Block writes to the database until the result is called."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.realm.database.run(lambda _connection: gate.wait(20))
        return gate.set

    def block_reading(self) -> Callable[[], None]:
        """Block downloads from the disk until the result is called."""
        gate: Deferred[None] = Deferred()
        read = Outgoing.read

        async def gated(file: Outgoing, size: int) -> bytes:
            if not gate.called:
                await gate
            return await read(file, size)

        self.patch(Outgoing, "read", gated)
        return lambda: gate.callback(None)

    async def call(self, dialect: type[Dialect] = JsonDialect) -> Caller:
        """A connection through a real socket."""
        network: Any = reactor
        factory = self.door_of(dialect)
        port = network.listenTCP(0, factory, interface="127.0.0.1")
        make_eager(port)
        self.addCleanup(port.stopListening)
        endpoint = HostnameEndpoint(network, "127.0.0.1", port.getHost().port)
        caller: Caller = await connectProtocol(endpoint, Caller())
        self.addCleanup(caller.transport.abortConnection)
        return caller

    async def call_as(self, name: str) -> Caller:
        caller = await self.call()
        caller.ask(command="auth", username=name, password=PASSWORD)
        reply = await caller.line()
        assert reply["status"] == "OK", reply
        return caller

    def stored_files(self) -> list[str]:
        """The files in the uploads folder, complete or not."""
        folder = self.realm.state.uploads
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def until(
    done: Callable[[], bool], shown: Callable[[], object] = lambda: "", longest: float = 20.0
) -> None:
    waited = 0.0
    while not done():
        if waited > longest:
            raise AssertionError(f"waited in vain; {shown()!r}")
        waited += 0.002
        await sleep(0.002)


async def settle() -> None:
    """Let the reactor do what is due."""
    for _ in range(5):
        await sleep(0.01)


def objects(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.split(b"\r\n") if line]


class Buffers:
    """Measures the largest buffer of a door's connections, of input and output."""

    def __init__(self, factory: ChatLineFactory) -> None:
        self._factory = factory
        self._loop = LoopingCall(self._look)
        self.largest = 0

    def __enter__(self) -> Buffers:
        self._writes = mock.patch.object(ConnectionOutput, "flush", self._flush())
        self._writes.start()
        self._loop.start(0.001).addErrback(lambda failure: failure.raiseException())
        return self

    def __exit__(self, *_exception: object) -> None:
        self._writes.stop()
        self._loop.stop()

    def _flush(self) -> Callable[[ConnectionOutput], None]:
        """Measure what one turn has collected before it is sent."""
        flush = ConnectionOutput.flush

        def watched(output: ConnectionOutput) -> None:
            self._look()
            flush(output)

        return watched

    def _look(self) -> None:
        for protocol in self._factory._protocols:
            held: Any = protocol
            transport = held.transport
            unsent = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
            arrived = len(held.lines.data)
            if held.requests.files.upload is not None:
                arrived += held.requests.files.upload[1].upload._incoming._pending
            self.largest = max(self.largest, unsent, arrived, sum(map(len, held.output._out)))


def sleeping(seconds: float) -> Callable[[], bool]:
    over = sleep(seconds)
    return lambda: over.called
