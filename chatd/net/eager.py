"""Sending at once what can be sent at once.

Twisted's TCP transports keep what is written until the reactor has asked the kernel whether the socket is
writable: two system calls and a round through the reactor, for a socket that nearly always is. Here the
kernel is given the data in one call, and only what it did not take goes Twisted's way.
docs/performance.md has the figures.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IListeningPort

from chatd.base.isolation import drop_failed
from chatd.net.listening import set_connection_class
from chatd.net.sockets import AcceptedTCP, AcceptedUnix


def send_at_once(transport: Any, data: bytes) -> bytes:
    """What of `data` is left to be written to the TCP `transport` in Twisted's way.

    Errors show as a lost connection later on.
    """
    if transport.connected and not (
        transport._writeDisconnected or transport.dataBuffer or transport._tempDataBuffer
    ):
        sent = transport.writeSomeData(data)
        # Anything but a count is an error, which the reactor will meet, too, and handle.
        if isinstance(sent, int) and sent > 0:
            return data[sent:]
    return data


class Eager:
    """A TCP transport whose `write` tries the socket first; in all else it is what it stands for."""

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
        """As Twisted's: data is sent in order, and errors show as a lost connection later on."""
        left = send_at_once(self, data)
        if left:
            super().write(left)  # type: ignore[misc]


class EagerServer(_EagerWrite, AcceptedTCP):
    """An accepted TCP connection whose `write` tries the socket first."""


class EagerUnixServer(_EagerWrite, AcceptedUnix):
    """An accepted connection to a Unix socket whose `write` tries the socket first."""


def make_eager(port: IListeningPort) -> None:
    """Let the connections that `port` accepts try the socket first."""
    set_connection_class(port, EagerServer, EagerUnixServer)


class Outbox:
    """The connections that have something to send. `clock` is asked for a turn's end only."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._waiting: list[Any] = []

    def add(self, connection: Any) -> None:
        """Call `connection.flush()` by this turn's end, and `drop()` if that raises."""
        if not self._waiting:
            self._clock.callLater(0, self.flush)
        self._waiting.append(connection)

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            try:
                connection.flush()
            except Exception:
                drop_failed(connection)
