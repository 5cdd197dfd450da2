"""Connections of one door: how many there may be, and how they end when the realm does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

from chatd import __version__
from chatd.base.errors import TooManyConnections
from chatd.base.isolation import drop_failed, guarded
from chatd.base.sources import source_of
from chatd.base.throttle import TokenBucket
from chatd.commands.sessions import Sessions
from chatd.lines.dialect import Dialect
from chatd.lines.protocol import ChatLineProtocol
from chatd.net.eager import FlushQueue
from chatd.service.chat_service import ChatService

MAX_TURNED_AWAY = 100  # connections that shake hands only to be told that they are too many

log = Logger()


def host_of(address: IAddress | None) -> str:
    """The source that a connection counts under (chatd.base.sources); `local` where it has no address."""
    return source_of(getattr(address, "host", None))


class Connections(msgspec.Struct):
    """Counts connections: all of them, those of each door, and those of each source (network address) at each
    door. A connection without a source is a proxy's."""

    total: int = 0
    numbered: int = 0
    by_door: Counter[str] = msgspec.field(default_factory=Counter)
    by_source: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    opened: Counter[str] = msgspec.field(default_factory=Counter)  # at each door, since the start

    def number(self) -> int:
        """Of one that is about to be opened, for the log."""
        self.numbered += 1
        return self.numbered

    def add_door(self, door: str) -> None:
        """There is such a door, if nobody comes by it, too."""
        self.by_door[door] += 0
        self.opened[door] += 0

    def arrive(self, door: str, source: str | None) -> None:
        """Count one more."""
        self.total += 1
        self.by_door[door] += 1
        self.opened[door] += 1
        if source is not None:
            self.by_source[door, source] += 1

    def leave(self, door: str, source: str | None) -> None:
        """Count one less."""
        self.total -= 1
        self.by_door[door] -= 1
        if source is not None:
            self.by_source[door, source] -= 1
            if not self.by_source[door, source]:
                del self.by_source[door, source]


T = TypeVar("T")


class Open(Generic[T]):
    """The connections of one door that are open."""

    def __init__(self) -> None:
        self._all: set[T] = set()
        self._empty: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._all))  # it changes when connections end meanwhile

    def __contains__(self, connection: T) -> bool:
        return connection in self._all

    def add(self, connection: T) -> None:
        self._all.add(connection)

    def discard(self, connection: T) -> None:
        self._all.discard(connection)
        if self._empty is not None and not self._all:
            empty, self._empty = self._empty, None
            empty.callback(None)

    def emptied(self) -> Deferred[None]:
        """Fires when no connection is open. Call it only once."""
        if not self._all:
            return succeed(None)
        self._empty = Deferred()
        return self._empty


class ChatLineFactory(ServerFactory):
    """Makes the protocols of one door, which all speak `dialect`."""

    noisy = False
    version = __version__

    def __init__(
        self,
        service: ChatService,
        sessions: Sessions,
        connections: Connections,
        flush_queue: FlushQueue,
        dialect: Dialect,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        limits = service.config.limits
        self.service = service
        self.sessions = sessions
        self.flush_queue = flush_queue
        self.dialect = dialect
        self.realm = service.config.realm
        self.line_limit = limits.inline_line if dialect.inline else limits.line
        self.text_limit = limits.line
        self.idle_limit = float(limits.idle)
        self.stopping = False
        self._limits = limits
        self._connections = connections
        connections.add_door(dialect.name)
        self._random_bytes = random_bytes
        self._protocols: Open[ChatLineProtocol] = Open()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The protocol of a new connection."""
        source = host_of(addr)
        self._connections.arrive(self.dialect.name, source)
        protocol = ChatLineProtocol(self, self._connections.number(), source)
        self._protocols.add(protocol)
        log.debug(
            "connection {connection} from {source} speaks {dialect}",
            connection=protocol.number,
            source=source,
            dialect=self.dialect.name,
        )
        return protocol

    def too_many(self, source: str | None) -> TooManyConnections | None:
        """Why the newest connection, from `source`, exceeds a limit; None if it does not."""
        if self._connections.total > self._limits.connections:
            return TooManyConnections(where="to this realm")
        if source is None:
            return None
        count = self._connections.by_source[self.dialect.name, source]
        if count > self._limits.connections_per_address:
            return TooManyConnections(where="from your address")
        return None

    def is_overrun(self, source: str) -> bool:
        """Whether there are so many connections, to the realm or from `source`, that one more is not even
        told so: it would be held until its handshake is over."""
        count = self._connections.by_source[self.dialect.name, source]
        return (
            self._connections.total > self._limits.connections + MAX_TURNED_AWAY
            or count > self._limits.connections_per_address + MAX_TURNED_AWAY
        )

    def gone(self, protocol: ChatLineProtocol) -> None:
        """A connection has ended."""
        self._connections.leave(self.dialect.name, protocol.source)
        log.debug("connection {connection} is gone", connection=protocol.number)
        self._protocols.discard(protocol)

    def finish(self) -> Deferred[None]:
        """Answer what was accepted and close all connections; fires when they are gone."""
        self.stopping = True
        emptied = self._protocols.emptied()
        for protocol in self._protocols:
            try:
                protocol.finish()
            except Exception:
                drop_failed(protocol)
        return emptied

    def abort(self) -> None:
        """Drop what is still there."""
        for protocol in self._protocols:
            guarded("a connection was not aborted", protocol.transport.abortConnection)

    def new_bucket(self) -> TokenBucket:
        """The rate of a connection on which nobody is logged in."""
        return TokenBucket.of(self._limits.commands_per_second)

    def new_reference(self) -> str:
        """By which an internal error is found in the log."""
        return self._random_bytes(4).hex()
