"""The connections of a transcript's actors: without sockets, or over TCP."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure

from chatd.lines.factory import ChatLineFactory
from tests.support.common import Wire, sleep

TIMEOUT = 10.0  # seconds


class Link(Protocol):
    """The client's end of an actor's connection."""

    def send(self, data: bytes) -> None: ...

    def take(self) -> bytes:
        """Return what has arrived since the last call."""

    @property
    def ended(self) -> bool:
        """Whether the realm has closed the connection."""

    async def send_no_more(self) -> None: ...

    async def close(self) -> None: ...

    async def lose(self) -> None: ...


class WireLink:
    """The connection of an actor without a socket. What is sent arrives in pieces of these sizes, in turns;
    or whole."""

    def __init__(self, factory: ChatLineFactory, pieces: Sequence[int] = ()) -> None:
        self._wire = Wire(factory)
        self._sizes = itertools.cycle(pieces) if pieces else None
        self._gone = False

    def send(self, data: bytes) -> None:
        while data:
            size = len(data) if self._sizes is None else next(self._sizes)
            self._wire.feed(data[:size])
            data = data[size:]

    def take(self) -> bytes:
        return self._wire.taken()

    @property
    def ended(self) -> bool:
        transport = self._wire.transport
        if (transport.disconnecting or transport.aborted) and not self._gone:
            self._lost(ConnectionLost() if transport.aborted else ConnectionDone())
        return self._gone

    def _lost(self, why: Exception) -> None:
        self._gone = True
        self._wire.lose(Failure(why))

    async def send_no_more(self) -> None:
        transport = self._wire.transport
        # The end is noticed after everything else was read, and not while reading is paused.
        await until(lambda: not transport.waiting and transport.producerState == "producing")
        if not self.ended:
            self._wire.protocol.readConnectionLost()

    async def close(self) -> None:
        await self.send_no_more()
        await until(lambda: self.ended)

    async def lose(self) -> None:
        if not self._gone:
            self._lost(ConnectionLost())


class SocketLink(TwistedProtocol):
    """The connection of an actor with a socket."""

    transport: Any

    def __init__(self) -> None:
        self.ended = False
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        self._received += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.ended = True

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def take(self) -> bytes:
        data, self._received = self._received, b""
        return data

    async def send_no_more(self) -> None:
        self.transport.loseWriteConnection()

    async def close(self) -> None:
        self.transport.loseConnection()
        await until(lambda: self.ended)

    async def lose(self) -> None:
        self.transport.abortConnection()
        await until(lambda: self.ended)


class Actor:
    def __init__(self, link: Link) -> None:
        self.link = link
        self.heard = b""

    def listen(self) -> bytes:
        self.heard += self.link.take()
        return self.heard


async def until(done: Callable[[], bool]) -> None:
    waited = 0.0
    while not done():
        if waited > TIMEOUT:
            raise AssertionError("waited in vain")
        waited += 0.001
        await sleep(0.001)


def connect_wire(
    doors: Mapping[str, ChatLineFactory], pieces: Sequence[int] = ()
) -> Callable[[str], Awaitable[Link]]:
    """Connect without a socket."""

    async def connect(dialect: str) -> Link:
        return WireLink(doors[dialect], pieces)

    return connect


def connect_socket(reactor: Any, ports: Mapping[str, int]) -> Callable[[str], Awaitable[Link]]:
    """Connect over TCP."""

    def connect(dialect: str) -> Deferred[Link]:
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", ports[dialect])
        connected: Deferred[Link] = connectProtocol(endpoint, SocketLink())
        return connected

    return connect
