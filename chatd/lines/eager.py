"""What the connections of a door write is collected during a turn; then each is sent its whole at once."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IListeningPort
from twisted.internet.tcp import Port, Server

from chatd.eager import send_at_once


class EagerServer(Server):
    """A server's side of a TCP connection whose `write` tries the socket first."""

    def write(self, data: bytes) -> None:
        """As Twisted's: data is sent in order, and errors show as a lost connection later on."""
        left = send_at_once(self, data)
        if left:
            super().write(left)


def make_eager(port: IListeningPort) -> None:
    """Let the connections that `port` accepts be EagerServers, if they are TCP."""
    if isinstance(port, Port):
        port.transport = EagerServer


class Outbox:
    """The connections that have something to send. `clock` is asked for a turn's end only."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._waiting: list[Any] = []

    def add(self, connection: Any) -> None:
        """Have `connection.flush()` called at the end of this turn, at the latest."""
        if not self._waiting:
            self._clock.callLater(0, self.flush)
        self._waiting.append(connection)

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.flush()
