"""A TCP proxy that fails as networks do: it cuts connections, and delays, discards or holds up bytes.

Two realms that talk through it notice nothing unless a failure is requested. It knows nothing of TLS except
where a record ends, so that it can cut in the middle of one.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure

THERE = "there"  # from the client, and to the client
BACK = "back"
RECORD_HEAD = 5  # bytes of a TLS record's header; the last two are the length

net: Any = reactor


class Proxy(Factory):
    """Forwards connections from a port on loopback to another one, `to`. `start` it, and in the end `stop`
    it.

    These attributes apply to all connections and may be set at any time: `swallowing` holds directions in
    which bytes are discarded while the connection stays open; `delay` is in seconds; while `refusing`, new
    connections are closed at once. Methods apply to the existing connections.
    """

    noisy = False

    def __init__(self, to: int) -> None:
        self.to = to
        self.swallowing: set[str] = set()
        self.delay = 0.0
        self.refusing = False
        self.stalled = False
        self.passages: list[Passage] = []
        self.met = 0  # connections that there ever were
        self.cuts = 0
        self._port: Any = None

    def start(self) -> int:
        """Start listening. Returns the port."""
        self._port = net.listenTCP(0, self, interface="127.0.0.1")
        number: int = self._port.getHost().port
        return number

    async def stop(self) -> None:
        await maybeDeferred(self._port.stopListening)
        gone = [passage.gone for passage in self.passages]
        self.cut()
        await DeferredList(gone)

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        if self.refusing:
            return None
        self.met += 1
        return Passage(self).near

    def connect(self, factory: ClientFactory) -> Any:
        """Connect to where connections are forwarded to. Returns the connector."""
        return net.connectTCP("127.0.0.1", self.to, factory, timeout=5)

    def cut(self) -> None:
        """Reset all connections now, at both ends. Bytes under way are lost."""
        for passage in list(self.passages):
            passage.cut()

    def cut_after(self, count: int, direction: str = THERE) -> None:
        """Cut after `count` more bytes."""
        for passage in self.passages:
            passage.pipes[direction].left = count

    def cut_in_record(self, direction: str = THERE, longer: int = 0) -> None:
        """Cut in the middle of the next TLS record that is longer than that. Its beginning is forwarded."""
        for passage in self.passages:
            passage.pipes[direction].cut_in = longer

    def stall(self) -> None:
        """Read nothing any more until `go_on`, without closing, so that the buffers of both ends fill."""
        self.stalled = True
        for passage in self.passages:
            passage.set_reading()

    def go_on(self) -> None:
        self.stalled = False
        for passage in self.passages:
            passage.set_reading()


class Passage:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.near, self.far = Side(self), Side(self)
        self.pipes = {THERE: Pipe(proxy, self.far), BACK: Pipe(proxy, self.near)}
        self.near.pipe, self.far.pipe = self.pipes[THERE], self.pipes[BACK]
        self.gone: Deferred[None] = Deferred()
        self.is_cut = False
        self._connector: Any = None

    def opened(self, side: Side) -> None:
        if side is self.near:
            self.proxy.passages.append(self)
            side.transport.pauseProducing()
            self._connector = self.proxy.connect(Onward(self))
        elif self.is_cut or self.near.transport is None:
            side.transport.abortConnection()
        else:
            self.set_reading()

    def closed(self, side: Side) -> None:
        """One end was closed: close the other one when everything under way was forwarded."""
        if not self.is_cut:
            side.pipe.then_close = True
            side.pipe.flush()
        self.check_gone()

    def cut(self, out: Side | None = None) -> None:
        """Reset the connection. `out` gets what was written to it before."""
        if not self.is_cut:
            self.is_cut = True
            self.proxy.cuts += 1
            for side in (self.near, self.far):
                side.pipe.drop()
                if side.transport is not None:
                    if side is out:
                        side.transport.loseConnection()
                    else:
                        side.transport.abortConnection()
        self.check_gone()

    def set_reading(self) -> None:
        for side in (self.near, self.far):
            if side.transport is not None and self.far.transport is not None:
                if self.proxy.stalled:
                    side.transport.pauseProducing()
                else:
                    side.transport.resumeProducing()

    def check_gone(self) -> None:
        open_ones = [side for side in (self.near, self.far) if side.transport is not None]
        if not open_ones and self._connector.state == "disconnected" and not self.gone.called:
            self.proxy.passages.remove(self)
            self.gone.callback(None)


class Pipe:
    """One direction of a passage. What is fed in is written to `out`."""

    def __init__(self, proxy: Proxy, out: Side) -> None:
        self.out = out
        self.passed = 0
        self.left: int | None = None
        self.cut_in: int | None = None
        self.then_close = False
        self._proxy = proxy
        self._waiting: deque[bytes] = deque()
        self._calls: deque[Any] = deque()
        self._head = b""
        self._rest = 0  # of the record that is going through

    def feed(self, data: bytes, direction: str) -> None:
        if direction in self._proxy.swallowing or self.out.passage.is_cut:
            return
        allowed = self._until_cut(data)
        self.passed += allowed
        self._waiting.append(data[:allowed])
        if allowed < len(data) or self.left == 0:
            self.flush()
            self.out.passage.cut(self.out)
        elif self._proxy.delay:
            self._calls.append(net.callLater(self._proxy.delay, self._due))
        else:
            self.flush()

    def _until_cut(self, data: bytes) -> int:
        """How many of these bytes are forwarded."""
        allowed = self._within_record(data)
        if self.left is not None:
            allowed = min(allowed, self.left)
            self.left -= allowed
        return allowed

    def _within_record(self, data: bytes) -> int:
        at = 0
        while at < len(data):
            if self._rest:
                step = min(self._rest, len(data) - at)
                self._rest -= step
            else:
                step = min(RECORD_HEAD - len(self._head), len(data) - at)
                self._head += data[at : at + step]
                if len(self._head) == RECORD_HEAD:
                    self._rest, self._head = int.from_bytes(self._head[3:], "big"), b""
                    if self.cut_in is not None and self._rest > self.cut_in:
                        self.left = self._rest // 2 + at + step  # from the beginning of `data`
                        return min(self.left, len(data))
            at += step
        return len(data)

    def _due(self) -> None:
        self._calls.popleft()
        self._send_on()

    def flush(self) -> None:
        """Forward everything that is delayed."""
        while self._waiting:
            self._send_on()
        if self.then_close and self.out.transport is not None:
            self.out.transport.loseConnection()

    def _send_on(self) -> None:
        if self._waiting:
            data = self._waiting.popleft()
            if self.out.transport is not None:
                self.out.transport.write(data)

    def drop(self) -> None:
        self._waiting.clear()
        for call in self._calls:
            call.cancel()
        self._calls.clear()


class Side(Protocol):
    """One of the two connections of a passage. `pipe` gets what it receives."""

    transport: Any
    pipe: Pipe

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self.transport = None

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.passage.opened(self)

    def dataReceived(self, data: bytes) -> None:
        self.pipe.feed(data, THERE if self is self.passage.near else BACK)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.transport = None
        self.passage.closed(self)


class Onward(ClientFactory):
    """The factory of the outgoing connection."""

    noisy = False

    def __init__(self, passage: Passage) -> None:
        self._passage = passage

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._passage.far

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:  # noqa: N802
        self._passage.cut()

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self._passage.check_gone()
