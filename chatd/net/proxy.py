"""Ports behind a proxy that speaks the PROXY protocol.

Twisted's own wrapper is not used. It refuses a version 2 header that arrives in pieces of less than 16 bytes,
accepts up to 64 KiB of header, waits for it without a time limit, and builds the wrapped protocol before the
client's address is known, so that limits would count the proxy.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.sources import Networks, source_of
from chatd.base.timers import cancel
from chatd.net.proxy_header import BadHeader, Header, read_header

HEADER_TIME = 5.0  # seconds in which the header has to arrive
QUIET_TIME = 60.0  # seconds between two log lines of one door

log = Logger()


class ProxyFactory(Factory):
    """Accepts connections of `trusted` proxies, and passes the client's address to `factory`.

    `door` is the name of the door, for the log.
    """

    noisy = False

    def __init__(self, door: str, factory: Any, trusted: Networks, clock: IReactorTime) -> None:
        self._door = door
        self._factory = factory
        self._trusted = trusted
        self._clock = clock
        self._quiet_until = float("-inf")

    def doStart(self) -> None:  # noqa: N802
        super().doStart()
        self._factory.doStart()

    def doStop(self) -> None:  # noqa: N802
        super().doStop()
        self._factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The reader of a trusted proxy's header. Other connections are refused."""
        host = getattr(addr, "host", None)
        if not self._trusted.contains(host):
            self.warn(source_of(host), "it is not in [listen] trusted")
            return None
        return ProxyProtocol(self, self._clock, source_of(host))

    def warn(self, source: str, reason: str) -> None:
        """Log why a connection is closed, at most once in QUIET_TIME."""
        now = self._clock.seconds()
        if now < self._quiet_until:
            return
        self._quiet_until = now + QUIET_TIME
        log.warn(
            "{door}: a connection from {source} is closed: {reason}",
            door=self._door,
            source=source,
            reason=reason,
        )

    def hand_over(self, transport: Any, header: Header, rest: bytes) -> None:
        """Connect the wrapped factory's protocol to `transport`; `rest` is what followed the header.

        The protocol replaces the reader of the header, so later traffic costs as much as without a proxy.
        """
        if header.client is not None:
            transport.client_address = header.client
        protocol = self._factory.buildProtocol(transport.getPeer())
        if protocol is None:
            transport.loseConnection()
            return
        transport.protocol = protocol
        protocol.makeConnection(transport)
        if rest and not transport.disconnecting:
            transport.protocol.dataReceived(rest)


class ProxyProtocol(Protocol):
    """A connection of the proxy at `source`, until its header is complete."""

    factory: ProxyFactory
    transport: Any

    def __init__(self, factory: ProxyFactory, clock: IReactorTime, source: str) -> None:
        self.factory = factory
        self._clock = clock
        self._source = source
        self._data = b""

    def connectionMade(self) -> None:
        self._timer = self._clock.callLater(
            HEADER_TIME, self._refuse, f"no PROXY header came within {HEADER_TIME:g} s"
        )

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        try:
            header = read_header(self._data)
        except BadHeader as error:
            self._refuse(str(error))
            return
        if header is not None:
            cancel(self._timer)
            self.factory.hand_over(self.transport, header, self._data[header.size :])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        cancel(self._timer)

    def _refuse(self, reason: str) -> None:
        cancel(self._timer)
        self.factory.warn(self._source, reason)
        self.transport.abortConnection()
