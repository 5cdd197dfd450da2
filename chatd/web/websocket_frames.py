"""The frames of a WebSocket: a transport for the line protocol, the limits of what arrives, and pings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from wsproto.utilities import LocalProtocolError

from chatd.base.timers import Timer
from chatd.lines.dialects.jsonlines import END
from chatd.net.twisted_compat import incomplete_size

PIECE = 4 << 10  # bytes that are parsed at a time, because few bytes may be many empty frames
FREE = 1 << 10  # bytes besides messages, such as pings, that cost nothing until the next message
FRAME = 16  # bytes beyond FREE that count as one command
PING_TIME = 30.0  # seconds between pings; a client that is silent between two is gone

TOO_BIG = 1009  # close code (RFC 6455, 7.4.1)

log = Logger()


class FrameTransport:
    """The transport of the line protocol: each line that it writes becomes a text frame.

    `wire` is Twisted's WebSocket transport, `stream` the byte stream below it. `resumed` is called when
    reading may continue.
    """

    def __init__(self, wire: Any, stream: Any, resumed: Callable[[], None]) -> None:
        self.wire = wire
        self._stream = stream
        self._resumed = resumed
        self.paused = False  # reading is paused
        self.closed = False  # a close frame was sent, and nothing may follow it
        self.unclean = False  # the connection ended before everything was said

    def write(self, data: bytes) -> None:
        for line in data.split(END):
            if line and not self.closed:
                # Twisted answers a close frame by itself and tells nobody.
                try:
                    self.wire.sendTextMessage(line.decode())
                except LocalProtocolError:
                    self.closed = self.unclean = True

    def loseConnection(self, code: int = 1000) -> None:
        if not self.closed:
            self.closed = True
            self.wire.detachProducer()  # Twisted would not close the connection of a paused producer
            with suppress(LocalProtocolError):
                self.wire.loseConnection(code)

    def refuse(self, code: int) -> None:
        """Close the connection because of what the client sent."""
        self.unclean = True
        self.loseConnection(code)

    def abortConnection(self) -> None:
        self.closed = True
        self._stream.abortConnection()

    def registerProducer(self, producer: Any, _streaming: bool) -> None:
        self.wire.detachProducer()  # the HTTP channel, whose request this was
        self.wire.attachProducer(producer)

    def unregisterProducer(self) -> None:
        self.wire.detachProducer()

    def ping(self) -> None:
        if not self.closed:
            try:
                self.wire.ping()
            except LocalProtocolError:  # the client has closed the connection
                self.closed = self.unclean = True

    def pauseProducing(self) -> None:
        self.paused = True
        self._stream.pauseProducing()

    def resumeProducing(self) -> None:
        self.paused = False
        if not self.closed:
            self._stream.resumeProducing()
            self._resumed()


class FrameReader:
    """Passes arriving bytes to `parse`, a piece at a time, while `frames` is not paused.

    A message may have `limit` bytes. `charge` is called with the number of commands that other frames cost.
    """

    def __init__(
        self,
        frames: FrameTransport,
        parse: Callable[[bytes], None],
        charge: Callable[[int], None],
        limit: int,
    ) -> None:
        self._frames = frames
        self._parse = parse
        self._charge = charge
        self._limit = limit
        self._arrived = bytearray()
        self._reading = False
        # Bytes that were parsed, without complete messages and without those that were charged.
        self._overhead = 0

    def received(self, data: bytes) -> None:
        self._arrived += data
        self.read()

    def read(self) -> None:
        """Parse what has arrived, until the connection is paused or closed."""
        if self._reading:
            return
        self._reading = True
        try:
            while self._arrived and not (self._frames.paused or self._frames.closed):
                piece = bytes(self._arrived[:PIECE])
                del self._arrived[:PIECE]
                self._take(piece)
        finally:
            self._reading = False

    def _take(self, piece: bytes) -> None:
        self._overhead += len(piece)
        # The client may continue after it has closed the connection.
        with suppress(LocalProtocolError):
            self._parse(piece)
        incomplete = incomplete_size(self._frames.wire, self._overhead)
        if incomplete > self._limit + FREE + PIECE:
            self._frames.refuse(TOO_BIG)
            return
        commands = max(0, self._overhead - incomplete - FREE) // FRAME
        if commands:
            self._overhead -= commands * FRAME
            self._charge(commands)

    def message_complete(self, size: int) -> None:
        """A message of `size` bytes was parsed."""
        self._overhead = max(0, self._overhead - size - FRAME)


class KeepAlive:
    """Pings the client, and drops a connection that was silent since the last ping.

    While reading is paused, silence means nothing; then the limits for slow readers apply.
    """

    def __init__(self, clock: IReactorTime, frames: FrameTransport, number: int) -> None:
        self._frames = frames
        self._number = number
        self._silent = False
        self._timer = Timer(clock, self._check)
        self._timer.start(PING_TIME)

    def heard(self) -> None:
        """Bytes have arrived."""
        self._silent = False

    def stop(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        frames = self._frames
        if frames.closed or (self._silent and not frames.paused):
            log.info(
                "connection {connection} does not answer and is cut off", connection=self._number
            )
            frames.abortConnection()
            return
        self._silent = True
        frames.ping()
        self._timer.start(PING_TIME)
