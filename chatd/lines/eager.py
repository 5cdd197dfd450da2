"""What the connections of a door write is collected during a turn; then each is sent its whole at once."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IListeningPort

from chatd.eager import send_at_once
from chatd.isolation import drop_failed
from chatd.net.listening import set_connection_class
from chatd.net.sockets import AcceptedTCP, AcceptedUnix


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
