"""Sending at once what can be sent at once.

Twisted's TCP transport keeps what is written until its reactor has asked the kernel whether the socket is
writable: two system calls and a round through the reactor, for a socket that nearly always is. Here the
connections of a door collect what they write during a turn; then each is sent its whole in one call, and
only what the kernel did not take goes Twisted's way. docs/performance.md has the figures.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IListeningPort
from twisted.internet.tcp import Port, Server


class EagerServer(Server):
    """A server's side of a TCP connection whose `write` tries the socket first."""

    def write(self, data: bytes) -> None:
        """As Twisted's: data is sent in order, and errors show as a lost connection later on."""
        if self.connected and not (
            self._writeDisconnected or self.dataBuffer or self._tempDataBuffer
        ):
            sent = self.writeSomeData(data)
            # Anything but a count is an error, which the reactor will meet, too, and handle.
            if isinstance(sent, int) and sent > 0:
                if sent == len(data):
                    return
                data = data[sent:]
        super().write(data)


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
