"""The bus over PostgreSQL's LISTEN and NOTIFY.

A notification is text, so a frame crosses in base64, after the letter `f`. A frame that is too large is a row
in `bus_payloads`, and the notification is `r` and the row's id.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence

from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.cluster.bus import Packet
from chatd.store import notifications
from chatd.store.engine import connect
from chatd.store.notifications import CHANNEL, MAX_NOTIFICATION, channel_of

FRAME, ROW = "f", "r"
FRAME_SIZE = (MAX_NOTIFICATION - len(FRAME)) // 4 * 3  # bytes
PRUNE_EVERY = 30.0  # seconds

log = Logger()


class PostgresBusServer:
    """A `chatd.cluster.threaded_wire.BusServer`. `url` is as SQLAlchemy has it. `stopwatch` returns monotonic
    seconds."""

    name = "PostgreSQL"
    frame_size = FRAME_SIZE

    def __init__(self, url: str, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._engine = connect(url)
        self._stopwatch = stopwatch

    def open_sender(self) -> PostgresFrameSender:
        return PostgresFrameSender(notifications.connect_alone(self._engine), self._stopwatch)

    def open_listener(self, node: str) -> PostgresFrameListener:
        return PostgresFrameListener(notifications.connect_alone(self._engine), node)

    def close(self) -> None:
        self._engine.dispose()


class PostgresFrameSender:
    """Sends frames. It also removes old rows of `bus_payloads`, of this node and of others."""

    def __init__(self, connection: Connection, stopwatch: Callable[[], float]) -> None:
        self._connection = connection
        self._stopwatch = stopwatch
        self._prune_at = stopwatch()

    def send(self, packets: Sequence[Packet]) -> None:
        if packets:
            found = [(_channel(to), self._payload(frame)) for to, frame in packets]
            notifications.notify(self._connection, found)
        if self._stopwatch() >= self._prune_at:
            self._prune_at = self._stopwatch() + PRUNE_EVERY
            notifications.prune_payloads(self._connection)

    def close(self) -> None:
        self._connection.close()

    def _payload(self, frame: bytes) -> str:
        if len(frame) > FRAME_SIZE:
            return f"{ROW}{notifications.add_payload(self._connection, frame)}"
        return FRAME + b64encode(frame).decode()


class PostgresFrameListener:
    """Receives frames."""

    def __init__(self, connection: Connection, node: str) -> None:
        self._connection = connection
        notifications.listen(connection, CHANNEL, channel_of(node))

    def receive(self, seconds: float) -> Sequence[bytes]:
        return [
            frame
            for payload in notifications.receive(self._connection, seconds)
            if (frame := self._frame(payload)) is not None
        ]

    def close(self) -> None:
        self._connection.close()

    def _frame(self, payload: str) -> bytes | None:
        """The frame that a notification means. None if there is none: its absence shows in the next one's
        number."""
        try:
            if payload.startswith(ROW):
                return notifications.find_payload(self._connection, int(payload[1:]))
            return b64decode(payload.removeprefix(FRAME), validate=True) if payload else None
        except ValueError:
            log.debug("a notification is not a frame")
            return None


def _channel(to: str) -> str:
    return channel_of(to) if to else CHANNEL
