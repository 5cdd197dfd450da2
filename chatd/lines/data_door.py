"""The door `tugas4-data`: the connections on which files of the client of `tugas4` travel.

An upload is everything that arrives until the client closes, a download everything that it reads until this
end closes. A connection that is dropped is read to its end, since the client fails if it is closed while it
still sends.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from twisted.internet import interfaces
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.config import DATA_DOOR
from chatd.base.errors import ChatError, ShuttingDown, TransferBroken
from chatd.base.isolation import guarded
from chatd.base.sources import address_of
from chatd.base.timers import Signal, Timer
from chatd.files.outgoing import Outgoing, ReaderGone, send_chunks
from chatd.lines.connections import Connections, OpenConnections, host_of
from chatd.lines.data_claims import DataClaims
from chatd.service.arriving import ArrivingFile
from chatd.service.chat_service import ChatService

SILENCE = 300.0  # seconds in which some bytes of a transfer have to move
DROP_TIME = 300.0  # seconds in which a dropped connection is read to its end
DROPPED_FILES = 10  # the largest files that are allowed, of which it may bring the bytes
MAX_DROPPED = 100  # such connections; beyond that, the oldest is closed

log = Logger()


@implementer(interfaces.IHalfCloseableProtocol, interfaces.IPushProducer)
class DataConnection(Protocol):
    """One data connection from `address`, which counts under `source`."""

    transport: Any

    def __init__(self, factory: DataFactory, source: str, address: str) -> None:
        self.source = source
        self.address = address
        self._factory = factory
        self._timer = Timer(factory.clock, self.abort)
        self._upload: ArrivingFile | None = None
        self._received: Deferred[None] | None = None
        self._sending = False
        self._dropped = 0  # bytes that belong to no upload
        self._is_full = False
        self._writable = Signal()
        self._gone = False
        # Fires with whether the connection was closed cleanly.
        self._closed: Deferred[bool] = Deferred()

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.pauseProducing()
        self._timer.start(SILENCE)
        self._factory.claims.arrived(self.address, self)

    # Transfers

    async def receive(self, upload: ArrivingFile) -> None:
        """DataStream."""
        if self._gone:
            raise TransferBroken
        self._upload = upload
        self._received = Deferred()
        self.transport.resumeProducing()
        await self._received

    async def send(self, file: Outgoing) -> None:
        """DataStream."""
        if self._gone:
            raise TransferBroken
        transport = self.transport
        self._sending = True
        transport.resumeProducing()
        transport.registerProducer(self, True)
        try:
            await send_chunks(file, self._ready, transport.write)
        except ReaderGone:
            raise TransferBroken from None
        finally:
            transport.unregisterProducer()
            transport.loseConnection()
        if not await self._closed:
            raise TransferBroken

    async def _ready(self) -> None:
        """Wait until the client has read what was sent. Raises ReaderGone."""
        self._timer.restart(SILENCE)
        while self._is_full and not self._gone:
            await self._writable.wait()
        if self._gone:
            raise ReaderGone

    def drop(self) -> None:
        """DataStream: send the end, and read until the client closes."""
        if not self._gone and self._factory.dropping(self):
            self._timer.restart(DROP_TIME)
            self.transport.loseWriteConnection()
            self.transport.resumeProducing()

    def abort(self) -> None:
        """DataStream."""
        if not self._gone:
            self.transport.abortConnection()

    def finish(self) -> None:
        """The realm stops: end the connection, except that a download is completed."""
        self._end_upload(ShuttingDown())
        if not self._sending:
            self.abort()

    def _end_upload(self, error: ChatError | None = None) -> None:
        """The upload is complete, or has failed."""
        received, self._received = self._received, None
        self._upload = None
        if received is not None and error is not None:
            received.errback(error)
        elif received is not None:
            received.callback(None)

    # Reading

    def dataReceived(self, data: bytes) -> None:
        upload = self._upload
        if upload is None:
            self._dropped += len(data)
            if self._dropped > self._factory.most:
                self.abort()
            return
        self._timer.restart(SILENCE)
        try:
            has_room = upload.write(data)
        except ChatError as error:
            self._end_upload(error)
            return
        if not has_room:
            self.transport.pauseProducing()
            upload.room().addCallback(self._go_on)

    def _go_on(self, _result: None) -> None:
        if not self._gone:
            self.transport.resumeProducing()

    def readConnectionLost(self) -> None:
        """The client has sent everything."""
        self._end_upload()
        if not self._sending:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Do nothing: the connection is being dropped."""

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self._gone = True
        self._timer.cancel()
        self._factory.gone(self)
        self._factory.claims.lost(self.address, self)
        self._end_upload(TransferBroken())
        self._writable.notify()
        self._closed.callback(reason.check(ConnectionDone) is not None)

    # IPushProducer: called by the transport when the client falls behind and catches up.

    def pauseProducing(self) -> None:
        self._is_full = True

    def resumeProducing(self) -> None:
        self._is_full = False
        self._writable.notify()

    def stopProducing(self) -> None:
        """Do nothing: `connectionLost` is called as well."""


class DataFactory(ServerFactory):
    """Builds the data connections. `claims` are the requests that wait for them."""

    noisy = False

    def __init__(self, service: ChatService, connections: Connections, claims: DataClaims) -> None:
        self.clock = service.clock
        self.claims = claims
        self._service = service
        self._connections = connections
        self._open: OpenConnections[DataConnection] = OpenConnections()
        self._dropping: OrderedDict[DataConnection, None] = OrderedDict()
        connections.add_door(DATA_DOOR)

    @property
    def most(self) -> int:
        """Bytes that are read from a dropped connection: a file that is too large is still read to its
        end."""
        return DROPPED_FILES * self._service.config.limits.file

    def buildProtocol(self, addr: IAddress | None) -> DataConnection | None:
        """The protocol of a new connection; None if there are too many connections, or its
        address is banned."""
        source = host_of(addr)
        if self._service.access_bans.of_address(getattr(addr, "host", None)) is not None:
            return None
        self._connections.arrive(DATA_DOOR, source)
        if self._connections.admit(DATA_DOOR, source, self._service.config.limits):
            self._connections.leave(DATA_DOOR, source)
            return None
        connection = DataConnection(self, source, address_of(getattr(addr, "host", None)))
        self._open.add(connection)
        return connection

    def dropping(self, connection: DataConnection) -> bool:
        """Note that a connection is read to its end. Returns False if that is known."""
        if connection in self._dropping:
            return False
        self._dropping[connection] = None
        if len(self._dropping) > MAX_DROPPED:
            self._dropping.popitem(last=False)[0].abort()
        return True

    def gone(self, connection: DataConnection) -> None:
        """Note that a connection was lost."""
        self._dropping.pop(connection, None)
        self._connections.leave(DATA_DOOR, connection.source)
        self._open.discard(connection)

    def finish(self) -> Deferred[None]:
        """The realm stops: end all connections. Fires when they are closed."""
        self.claims.stop()
        emptied = self._open.emptied()
        for connection in self._open:
            if not guarded("a data connection was not finished", connection.finish):
                guarded("nor was it aborted", connection.transport.abortConnection)
        return emptied

    def close_banned(self) -> None:
        """Drop the connections from banned addresses."""
        for connection in self._open:
            if self._service.access_bans.of_address(connection.address) is not None:
                guarded("a banned connection was not dropped", connection.abort)

    def abort(self) -> None:
        """Drop all open connections."""
        for connection in self._open:
            guarded("a data connection was not aborted", connection.transport.abortConnection)
