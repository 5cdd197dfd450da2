"""Connections between realms in one thread. A test reads their AMP boxes, holds them back, or drops them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cryptography import x509
from twisted.internet import error as net
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from chatd.simulate.servers import Server

BUFFER = 64 << 10  # bytes before a transport pauses its producer, as in Twisted


class Pace:
    """When the boxes that one end of a connection writes arrive at the other, and who hears of it."""

    due: float | None = None  # when the first box arrives, if it is under way

    def ready(self) -> bool:
        """Whether the first box that waits arrives now."""
        return True

    def passed(self, kind: str, size: int) -> None:
        """That box, of `size` bytes, has arrived."""


AT_ONCE = Pace()


def _unchanged(_kind: str, _box: dict[bytes, bytes], data: bytes) -> list[bytes]:
    return [data]


class PeerTransport:
    """The transport of one end of a FakeConnection.

    AMP boxes that were written wait in `out` until `deliver` is called. While `held`, none is delivered. A
    box of a kind (see `kind_of`) in `holding` stops the queue, and one of a kind in `losing` is lost; `lost`
    counts them. `log` has the kinds of all boxes that were delivered.
    """

    def __init__(self, protocol: Any, certificate: x509.Certificate) -> None:
        self.protocol = protocol
        self.certificate = certificate
        self.other: PeerTransport
        self.connection: FakeConnection
        self.out: deque[bytes] = deque()
        self.pace = AT_ONCE
        # What arrives in place of a box, of which it gets the kind, the pairs and the bytes
        self.change: Callable[[str, dict[bytes, bytes], bytes], list[bytes]] = _unchanged
        self.held = False
        self.holding: set[str] = set()
        self.losing: set[str] = set()
        self.lost = 0
        self.log: list[str] = []
        self.boxes: list[dict[bytes, bytes]] = []
        self.paused = False
        self.pauses = 0
        self._stopped = False  # the process at this end is
        self._reason: Exception | None = None  # why the connection has ended meanwhile
        self.closed = False
        self.closing = False
        self.aborting = False
        self._asked: dict[bytes, str] = {}
        self._first: tuple[bytes, dict[bytes, bytes], str] | None = None  # of `out`, as it was read
        self._producer: Any = None
        self._full = False  # the producer is paused

    def write(self, data: bytes) -> None:
        if not self.closed and not self.closing:
            self.out.append(data)
            if self._producer is not None and not self._full and self.waiting_bytes > BUFFER:
                self._full = True
                self._producer.pauseProducing()

    @property
    def waiting_bytes(self) -> int:
        return sum(map(len, self.out))

    def registerProducer(self, producer: Any, _streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer, self._full = None, False

    def loseConnection(self) -> None:
        self.closing = True

    def abortConnection(self) -> None:
        self.aborting = True

    def pauseProducing(self) -> None:
        self.paused = True
        self.pauses += 1

    def resumeProducing(self) -> None:
        self.paused = False

    def kind_of(self, data: bytes) -> str:
        """Return the kind of a box that is written here: `Deliver`, `Deliver answer`, `Deliver error` ..."""
        return self._kind_of(parsed(data))

    def _kind_of(self, box: dict[bytes, bytes]) -> str:
        for key, suffix in ((b"_answer", "answer"), (b"_error", "error")):
            if key in box:
                return f"{self.other._asked.get(box[key], '?')} {suffix}"
        return str(box[b"_command"].decode())

    @property
    def waiting(self) -> list[str]:
        """The kinds of the boxes that wait."""
        return [self.kind_of(data) for data in self.out]

    @property
    def waits(self) -> bool:
        """Whether a box may be delivered now, unless its kind or its pace stops it."""
        return bool(self.out) and not (
            self.held or self.closed or self.other.paused or self.other.closed
        )

    def stop_process(self) -> None:
        """The process at this end does nothing until `continue_process`."""
        self._stopped = True

    def continue_process(self) -> None:
        """The process goes on. It hears what has happened meanwhile."""
        self._stopped = False
        reason, self._reason = self._reason, None
        if reason is not None:
            self.protocol.connectionLost(Failure(reason))

    @property
    def is_stopped(self) -> bool:
        """Whether the process at this end is stopped."""
        return self._stopped

    def _read_first(self) -> tuple[bytes, dict[bytes, bytes], str]:
        data = self.out[0]
        if self._first is None or self._first[0] is not data:
            box = parsed(data)
            self._first = data, box, self._kind_of(box)
        return self._first

    def deliver(self) -> bool:
        """Deliver one box to the other end, if nothing stops it. Returns whether there was one."""
        if not self.waits or not self.pace.ready():
            return False
        data, box, kind = self._read_first()
        if kind in self.holding:
            return False
        self.out.popleft()
        self._first = None
        if b"_ask" in box:
            self._asked[box[b"_ask"]] = kind
        if kind in self.losing:
            self.lost += 1
        else:
            self.log.append(kind)
            self.boxes.append(box)
            for arriving in self.change(kind, box, data):
                self.other.protocol.dataReceived(arriving)
        self.pace.passed(kind, len(data))
        if self._full and not self.out:
            self._full = False
            self._producer.resumeProducing()
        return True

    def lose(self, reason: Exception) -> None:
        if not self.closed:
            self.closed = True
            self.out.clear()
            if self._stopped:
                self._reason = reason
            else:
                self.protocol.connectionLost(Failure(reason))


def parsed(data: bytes) -> dict[bytes, bytes]:
    """The first AMP box in the bytes."""
    box, at = {}, 0
    while size := int.from_bytes(data[at : at + 2]):
        key = data[at + 2 : at + 2 + size]
        at += 2 + size
        size = int.from_bytes(data[at : at + 2])
        box[key] = data[at + 2 : at + 2 + size]
        at += 2 + size
    return box


class FakeConnection:
    """A connection between two realms. `near` is the end of the realm that dialled."""

    def __init__(self, near: PeerTransport, far: PeerTransport) -> None:
        self.near, self.far = near, far
        near.other, far.other = far, near
        near.connection = far.connection = self
        self._shaken: list[PeerTransport] = []

    @property
    def ends(self) -> tuple[PeerTransport, PeerTransport]:
        return self.near, self.far

    @property
    def is_open(self) -> bool:
        return not (self.near.closed or self.far.closed)

    def transport_of(self, server: Server) -> PeerTransport:
        """Return the end of that server."""
        return next(end for end in self.ends if getattr(end.protocol, "host", None) is server.host)

    def is_ready(self, end: PeerTransport) -> bool:
        """Whether `step` may have something to do at that end."""
        if end.closed or end.is_stopped or end.other.is_stopped:
            return False
        if len(self._shaken) < 2:
            return end not in self._shaken
        return end.aborting or end.waits or (end.closing and not end.out)

    def step(self, end: PeerTransport) -> bool:
        if end.closed or end.is_stopped or end.other.is_stopped:
            return False
        if end not in self._shaken:
            self._shaken.append(end)
            if hasattr(end.protocol, "handshakeCompleted"):
                end.protocol.handshakeCompleted()
            return True
        if len(self._shaken) < 2:
            return False
        if end.aborting:
            self.cut(net.ConnectionAborted())
            return True
        if end.deliver():
            return True
        if end.closing and not end.out:
            self.cut(net.ConnectionDone())
            return True
        return False

    def cut(self, reason: Exception | None = None) -> None:
        """End the connection, and lose what was under way."""
        for end in self.ends:
            end.lose(reason or net.ConnectionLost())

    def split(self) -> None:
        """As `cut`, after one half of the first box of each end has arrived."""
        for end in self.ends:
            if end.out and not (end.closed or end.other.closed or end.other.is_stopped):
                end.other.protocol.dataReceived(end.out[0][: len(end.out[0]) // 2])
        self.cut()

    def go_silent(self) -> None:
        """Deliver nothing any more, without ending the connection."""
        for end in self.ends:
            end.held = True
