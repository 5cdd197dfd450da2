"""Builds the connections of one door, limits their number, and closes them when the realm stops."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

from chatd import __version__
from chatd.base.config import Limits
from chatd.base.errors import ChatError, TooManyConnections
from chatd.base.isolation import drop_failed, guarded
from chatd.base.sources import address_of
from chatd.base.throttle import TokenBucket
from chatd.commands.connection import Origin
from chatd.commands.sessions import Sessions
from chatd.lines.connections import Connections, OpenConnections, host_of
from chatd.lines.data_claims import DataClaims
from chatd.lines.dialect import Dialect
from chatd.lines.protocol import ChatLineProtocol
from chatd.net.eager import FlushQueue
from chatd.service.chat_service import ChatService

MAX_REFUSED = 100  # connections beyond a limit that may finish their TLS handshake to read an error

log = Logger()


class ChatLineFactory(ServerFactory):
    """Builds the protocols of one door. All of them use `dialect`."""

    noisy = False
    version = __version__
    line_protocol: type[ChatLineProtocol] = ChatLineProtocol

    def __init__(
        self,
        service: ChatService,
        sessions: Sessions,
        connections: Connections,
        flush_queue: FlushQueue,
        dialect: Dialect,
        claims: DataClaims | None = None,
    ) -> None:
        self.service = service
        self.clock = service.clock
        self.sessions = sessions
        self.flush_queue = flush_queue
        self.dialect = dialect
        self.claims = claims  # of files on data connections; None if their door is closed
        self.stopping = False
        self._connections = connections
        self._protocols: OpenConnections[ChatLineProtocol] = OpenConnections()
        connections.add_door(dialect.name)

    @property
    def limits(self) -> Limits:
        """The limits in use."""
        return self.service.config.limits

    @property
    def text_limit(self) -> int:
        """The bytes of a line of text."""
        return self.limits.line

    @property
    def line_limit(self) -> int:
        """The bytes of a line of any kind."""
        return self.limits.inline_line if self.dialect.inline else self.limits.line

    def buildProtocol(self, addr: IAddress | None) -> ChatLineProtocol:
        """The protocol of a new connection."""
        return self.build(addr, self.dialect.name)

    def build(self, addr: IAddress | None, client: str) -> ChatLineProtocol:
        """The protocol of a new connection with that client program."""
        address = address_of(getattr(addr, "host", None))
        number = self._connections.number()
        origin = Origin(host_of(addr), number, address, client)
        self._connections.arrive(self.dialect.name, origin.source)
        protocol = self.line_protocol(self, origin)
        self._protocols.add(protocol)
        log.debug(
            "connection {connection} from {source} speaks {dialect}",
            connection=origin.number,
            source=origin.source,
            dialect=self.dialect.name,
        )
        return protocol

    def refusal(self, address: str) -> ChatError | None:
        """The error for a new connection from an address that is banned."""
        return self.service.access_bans.refusal(address)

    def close_banned(self) -> None:
        """Close the connections from banned addresses, and tell them why."""
        for protocol in self._protocols:
            error = self.service.access_bans.refusal(protocol.connection.origin.address)
            if error is not None:
                guarded("a banned connection was not closed", protocol.refuse, error)

    def admit(self, source: str | None) -> TooManyConnections | None:
        """Make room for a new connection from `source` that exceeds a limit. The error if there is none."""
        return self._connections.admit(self.dialect.name, source, self.limits)

    def await_login(self, protocol: ChatLineProtocol) -> None:
        """Note whether `protocol` is without a login, for as long as it likes."""
        waiting = self._connections.waiting
        if protocol.is_waiting:
            waiting.add(protocol, (self.dialect.name, protocol.connection.origin.source))
        else:
            waiting.discard(protocol)

    def is_overrun(self, source: str) -> bool:
        """Whether so many connections are open that a new one is dropped without an error: to read an error,
        it would be kept until its TLS handshake is over."""
        count = self._connections.by_source[self.dialect.name, source]
        return (
            self._connections.total > self.limits.connections + MAX_REFUSED
            or count > self.limits.connections_per_address + MAX_REFUSED
        )

    def gone(self, protocol: ChatLineProtocol) -> None:
        """Note that a connection was lost."""
        origin = protocol.connection.origin
        self._connections.leave(self.dialect.name, origin.source)
        self._connections.waiting.discard(protocol)
        log.debug("connection {connection} is gone", connection=origin.number)
        self._protocols.discard(protocol)

    def finish(self) -> Deferred[None]:
        """Answer the requests under way and close all connections. Fires when they are closed."""
        self.stopping = True
        emptied = self._protocols.emptied()
        for protocol in self._protocols:
            try:
                protocol.finish()
            except Exception:
                drop_failed(protocol)
        return emptied

    def abort(self) -> None:
        """Drop all open connections."""
        for protocol in self._protocols:
            guarded("a connection was not aborted", protocol.transport.abortConnection)

    def new_bucket(self) -> TokenBucket:
        """The rate limit of a connection without a session."""
        return TokenBucket.of(self.limits.commands_per_second)
