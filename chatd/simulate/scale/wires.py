"""Connections between many realms: what is written at one end arrives at the other after a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from cryptography import x509
from twisted.internet import error as net
from twisted.python.failure import Failure

from chatd.simulate.connections import BUFFER
from chatd.simulate.scale.clocks import RealmClock


class WireEnd:
    """The transport of one end of a connection. Bytes take `delay` seconds, and keep their order."""

    other: WireEnd

    def __init__(
        self, protocol: Any, certificate: x509.Certificate | None, clock: RealmClock, delay: float
    ) -> None:
        self.protocol = protocol
        self.certificate = certificate
        self.clock = clock
        self.delay = delay
        self.closed = False
        self.on_lost: Callable[[], object] = lambda: None
        self._closing = False
        self._paused = False
        self._arrived: deque[bytes] = deque()  # while this end does not read
        self._under_way = 0  # bytes that were written here, and not read there
        self._producer: Any = None
        self._full = False

    def write(self, data: bytes) -> None:
        if self.closed or self._closing:
            return
        self._under_way += len(data)
        if self._producer is not None and not self._full and self._under_way > BUFFER:
            self._full = True
            self._producer.pauseProducing()
        self.other.clock.callLater(self.delay, self.other.arrive, data)

    def arrive(self, data: bytes) -> None:
        if not self.closed:
            self._arrived.append(data)
            self._read()

    def _read(self) -> None:
        while self._arrived and not self._paused and not self.closed:
            data = self._arrived.popleft()
            self.other.was_read(len(data))
            self.protocol.dataReceived(data)

    def was_read(self, size: int) -> None:
        self._under_way -= size
        if self._full and self._under_way <= 0:
            self._full = False
            self._producer.resumeProducing()

    def registerProducer(self, producer: Any, _streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer, self._full = None, False

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        if self._paused:
            self._paused = False
            self.clock.callLater(0, self._read)

    def getPeer(self) -> str:  # noqa: N802
        return "the other end"

    getHost = getPeer  # noqa: N815

    def getHandle(self) -> WireEnd:  # noqa: N802
        return self

    def get_state_string(self) -> bytes:
        """For PendingLinks: each connection has begun its handshake."""
        return b"SSL negotiation"

    def loseConnection(self) -> None:
        if not self._closing:
            self._closing = True
            self.other.clock.callLater(self.delay, self.other.lose, net.ConnectionDone())
            self.clock.callLater(2 * self.delay, self.lose, net.ConnectionDone())

    def abortConnection(self) -> None:
        self._closing = True
        self.clock.callLater(0, self.lose, net.ConnectionAborted())
        self.other.clock.callLater(self.delay, self.other.lose, net.ConnectionLost())

    def vanish(self) -> None:
        """The process at this end is gone, and its kernel closes the connection."""
        if not self.closed:
            self.closed = True
            self.other.clock.callLater(self.delay, self.other.lose, net.ConnectionLost())

    def lose(self, reason: Exception) -> None:
        if not self.closed:
            self.closed = True
            self._arrived.clear()
            self.on_lost()
            self.protocol.connectionLost(Failure(reason))


def join(near: WireEnd, far: WireEnd) -> None:
    """Connect two ends. The handshake takes a round trip."""
    near.other, far.other = far, near
    for end in (near, far):
        end.protocol.makeConnection(end)
        if hasattr(end.protocol, "handshakeCompleted"):
            end.clock.callLater(2 * end.delay, _shake, end)


def _shake(end: WireEnd) -> None:
    if not end.closed:
        end.protocol.handshakeCompleted()
