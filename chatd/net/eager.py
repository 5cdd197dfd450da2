"""Connections whose `write` tries the socket first, and a queue that flushes connections once a turn.

docs/performance.md has the figures.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IListeningPort, IReactorTime

from chatd.base.isolation import drop_failed
from chatd.net.listening import set_connection_class
from chatd.net.sockets import AcceptedTCP, AcceptedUnix
from chatd.net.twisted_compat import send_at_once


class Eager:
    """A proxy of a TCP transport whose `write` tries the socket first."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        left = send_at_once(self._transport, data)
        if left:
            self._transport.write(left)


class _EagerWrite:
    def write(self, data: bytes) -> None:
        """As in Twisted: data is sent in order, and errors show as a lost connection later on."""
        left = send_at_once(self, data)
        if left:
            super().write(left)  # type: ignore[misc]


class EagerServer(_EagerWrite, AcceptedTCP):
    """An accepted TCP connection whose `write` tries the socket first."""


class EagerUnixServer(_EagerWrite, AcceptedUnix):
    """An accepted connection to a Unix socket whose `write` tries the socket first."""


def make_eager(port: IListeningPort) -> None:
    """Make the connections that `port` accepts try the socket first."""
    set_connection_class(port, EagerServer, EagerUnixServer)


class Flushable(Protocol):
    """A connection that collects what is written to it during a turn of the reactor."""

    def flush(self) -> None:
        """Send it now."""

    def drop(self) -> None:
        """End the connection at once."""


class FlushQueue:
    """The connections that have something to send at the end of this turn of the reactor (`clock`)."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: list[Flushable] = []

    def add(self, connection: Flushable) -> None:
        """Flush `connection` at the end of this turn, and drop it if that raises."""
        if not self._waiting:
            self._clock.callLater(0, self.flush)
        self._waiting.append(connection)

    def flush(self) -> None:
        """Flush all connections now."""
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            try:
                connection.flush()
            except Exception:
                drop_failed(connection)
