"""A client of tugas4 and its data connections, through real sockets."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.config import DATA_DOOR
from chatd.lines.data_claims import DataClaims
from chatd.lines.data_door import DataFactory
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from tests.support.buffers import in_pieces
from tests.support.common import run
from tests.unit.lines.cases import (
    CLOSED,
    PASSWORD,
    Caller,
    ProtocolTestCase,
    until,
)

DATA = bytes(range(256)) * 512


@implementer(IHalfCloseableProtocol)
class DataCaller(Caller):
    """A client's end of a data connection, which can still send when the other end does not."""

    def __init__(self) -> None:
        super().__init__()
        self.read_all: Deferred[None] = Deferred()

    def readConnectionLost(self) -> None:
        self.read_all.callback(None)

    def writeConnectionLost(self) -> None: ...

    def connectionLost(self, reason: Failure = Failure(CLOSED)) -> None:  # noqa: B008
        if not self.read_all.called:
            self.read_all.callback(None)
        super().connectionLost(reason)


class DataDoorTestCase(ProtocolTestCase):
    def setUp(self) -> None:
        super().setUp()
        network: Any = reactor
        self.claims = DataClaims(self.realm.clock)
        self.data = DataFactory(self.realm.service, self.realm.connections, self.claims)
        self.port = network.listenTCP(0, self.data, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.addCleanup(lambda: run(self.data_closed()))
        self.door_of(Tugas4Dialect).claims = self.claims

    async def data_closed(self) -> None:
        self.data.abort()
        await self.none_open()

    async def client(self, name: str) -> tuple[Caller, str]:
        """A client of tugas4, and its token."""
        caller = await self.call(Tugas4Dialect)
        reply = await self.ask(caller, f"auth_login {name} {PASSWORD} ")
        return caller, reply["tokenid"]

    async def ask(self, caller: Caller, request: str) -> dict[str, Any]:
        caller.transport.write(f"{request}\r\n".encode())
        return await self.reply(caller)

    async def reply(self, caller: Caller) -> dict[str, Any]:
        await until(lambda: b"\r\n\r\n" in caller.received, lambda: caller.received)
        reply, _, rest = caller.received.partition(b"\r\n\r\n")
        self.assertEqual(rest, b"")
        caller.received.clear()
        found: dict[str, Any] = json.loads(reply)
        return found

    async def dial(self) -> DataCaller:
        """A data connection."""
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.port.getHost().port)
        caller: DataCaller = await connectProtocol(endpoint, DataCaller())
        self.addCleanup(caller.transport.abortConnection)
        return caller

    async def none_open(self) -> None:
        """The realm has closed all data connections."""
        await until(lambda: not self.realm.connections.by_door[DATA_DOOR])

    async def upload(self, caller: Caller, request: str, data: bytes = DATA) -> dict[str, Any]:
        """Send a file as the client does."""
        caller.transport.write(f"{request}\r\n".encode())
        stream = await self.dial()
        for piece in in_pieces(data, 1024):
            stream.transport.write(piece)
        stream.transport.loseConnection()
        return await self.reply(caller)

    async def download(self, caller: Caller, request: str) -> tuple[bytes, dict[str, Any]]:
        """Fetch a file as the client does."""
        caller.transport.write(f"{request}\r\n".encode())
        stream = await self.dial()
        await stream.read_all
        stream.transport.loseConnection()
        return bytes(stream.received), await self.reply(caller)

    async def texts(self, caller: Caller, token: str) -> list[str]:
        reply = await self.ask(caller, f"inbox {token} ")
        return [entry for entries in reply["messages"].values() for entry in entries]
