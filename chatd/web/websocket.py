"""The json dialect over WebSocket (RFC 6455): one object a text frame, both ways.

`GET /ws` opens it. The session of the request's cookie, or of its `Authorization: Bearer`, is the
connection's; one that has ended is answered by close code 4401. Without either, a program may log in
within, as over TCP, if it is quick. Files do not come this way: see chatd.web.uploads and downloads.

A WebSocket here is the line protocol over a transport that turns lines into frames, so all that holds for a
line holds for a frame: limits, rates, order of replies, slow readers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request
from twisted.web.websocket import WebSocketProtocol, WebSocketResource
from wsproto import ConnectionType
from wsproto.handshake import H11Handshake
from wsproto.utilities import LocalProtocolError

from chatd.base.errors import BadSyntax, BadToken, Idle, TooManyConnections
from chatd.base.timers import cancel
from chatd.lines.dialects.jsonlines import END
from chatd.lines.factory import ChatLineFactory
from chatd.lines.protocol import ChatLineProtocol
from chatd.service.accounts import Login
from chatd.web.answers import is_lost
from chatd.web.asking import Asking
from chatd.web.visits import Visits, source_of

PIECE = 4 << 10  # bytes that are read at a time: frames without text are many in few bytes
FRAMING = 1 << 10  # bytes besides text, pings for example, that cost nothing until the next message
FRAME = 16  # bytes of those beyond that, of which each so many count as a command
PING_TIME = 30.0  # seconds between pings; a client that is silent between two is gone
STRANGERS = 200  # connections on which nobody is logged in yet
STRANGERS_PER_ADDRESS = 20
STRANGER_TIME = 30.0  # seconds in which one has to log in

SESSION_OVER = 4401  # close codes from 4000 on are the application's own (RFC 6455, 7.4.2)
NOT_TEXT = 1003
TOO_BIG = 1009

log = Logger()


class FrameTransport:
    """What the line protocol takes for its transport: each line that it writes becomes a text frame.

    `wire` is Twisted's WebSocket transport, `stream` the byte stream below it. `resumed` is called when
    there may be frames again.
    """

    def __init__(self, wire: Any, stream: Any, resumed: Callable[[], None]) -> None:
        self._wire = wire
        self._stream = stream
        self._resumed = resumed
        self.paused = False  # reading is paused
        self.closed = False  # a frame that says so was sent, and nothing may follow it
        self.unheard = False  # the other end has closed it before all was said

    def write(self, data: bytes) -> None:
        for line in data.split(END):
            if line and not self.closed:
                # Twisted answers to a close frame by itself, and tells nobody.
                try:
                    self._wire.sendTextMessage(line.decode())
                except LocalProtocolError:
                    self.closed = self.unheard = True

    def loseConnection(self, code: int = 1000) -> None:
        if not self.closed:
            self.closed = True
            self._wire.detachProducer()  # with one that is paused, Twisted would not close it
            with suppress(LocalProtocolError):
                self._wire.loseConnection(code)

    def abortConnection(self) -> None:
        self.closed = True
        self._stream.abortConnection()

    def registerProducer(self, producer: Any, _streaming: bool) -> None:
        self._wire.detachProducer()  # the HTTP channel, whose request this was
        self._wire.attachProducer(producer)

    def unregisterProducer(self) -> None:
        self._wire.detachProducer()

    def ping(self) -> None:
        if not self.closed:
            try:
                self._wire.ping()
            except LocalProtocolError:  # the other end has closed it
                self.closed = self.unheard = True

    def pauseProducing(self) -> None:
        self.paused = True
        self._stream.pauseProducing()

    def resumeProducing(self) -> None:
        self.paused = False
        if not self.closed:
            self._stream.resumeProducing()
            self._resumed()


class Socket(WebSocketProtocol):
    """One WebSocket: from frames to the line protocol. `login` is whose it is, if that is known."""

    def __init__(
        self, lines: ChatLineFactory, request: Request, login: Login | None, refused: bool
    ) -> None:
        self._lines = lines
        self._channel: Any = request.channel
        self._address = request.getClientAddress()
        self._login = login
        self._refused = refused
        self._came = bytearray()  # and is not read yet
        self._reading = False
        # Bytes that were read, but for the messages that were whole, and what was charged.
        self._besides = 0
        self._overrun = False
        self._silent = False  # nothing has come since the last ping
        self._pinging: Any = None  # the timer of the next ping
        self.patience: Any = None  # the timer of one on which nobody has logged in yet

    def negotiationStarted(self, transport: Any) -> None:
        stream = self._channel.transport
        self._wire = transport
        self._frames = FrameTransport(transport, stream, self._read)

    def negotiationFinished(self) -> None:
        """The channel is ours now."""
        channel = self._channel
        self._feed = channel.dataReceived
        channel.dataReceived = self._data_received
        channel.upgraded()
        self.protocol: ChatLineProtocol = self._lines.buildProtocol(self._address)
        self.protocol.makeConnection(self._frames)
        if self._refused:
            self._frames.loseConnection(SESSION_OVER)
        elif self._login is not None and not self._frames.closed:
            self.protocol.connection.attach(self._login)
        self._wait_to_ping()

    def _wait_to_ping(self) -> None:
        self._pinging = self._lines.service.clock.callLater(PING_TIME, self._check_alive)

    def _check_alive(self) -> None:
        """Ping the client, or drop it if it has been silent since the last ping.

        While reading is paused, its silence means nothing; the limits for slow readers apply then.
        """
        frames = self._frames
        if frames.closed or (self._silent and not frames.paused):
            log.info(
                "connection {connection} does not answer and is cut off",
                connection=self.protocol.number,
            )
            frames.abortConnection()
            return
        self._silent = True
        frames.ping()
        self._wait_to_ping()

    def _data_received(self, data: bytes) -> None:
        self._silent = False
        self._came += data
        self._read()

    def _read(self) -> None:
        """Read what came, as long as nothing is held against it."""
        if self._reading:
            return
        self._reading = True
        try:
            while self._came and not (self._frames.paused or self._frames.closed):
                piece = bytes(self._came[:PIECE])
                del self._came[:PIECE]
                self._take(piece)
        finally:
            self._reading = False

    def _take(self, piece: bytes) -> None:
        self._besides += len(piece)
        with suppress(LocalProtocolError):  # it speaks on after it was closed
            self._feed(piece)
        collected = self._collected
        if collected > self._lines.line_limit + FRAMING + PIECE:
            self._overrun = True
            self._frames.loseConnection(TOO_BIG)
            return
        frames = max(0, self._besides - collected - FRAMING) // FRAME
        if frames:
            self._besides -= frames * FRAME
            self.protocol.charge(frames)

    @property
    def _collected(self) -> int:
        """How many bytes of a message have come. Twisted collects its frames without end, and in private."""
        return len(self._wire._textBuffer.data.encode()) + len(self._wire._bytesBuffer.data)

    def textMessageReceived(self, message: str) -> None:
        """A message is a line. Line feeds may stand between JSON's tokens, and nowhere else."""
        line = message.encode()
        self._besides = max(0, self._besides - len(line) - FRAME)
        self.protocol.dataReceived(line.replace(b"\n", b"\r") + b"\n")

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self._overrun = True
        self._frames.loseConnection(NOT_TEXT)

    def pongReceived(self, payload: bytes) -> None:
        """Note that the client is alive."""

    @property
    def source(self) -> str:
        """The network address at the other end."""
        return self.protocol.source

    @property
    def is_strange(self) -> bool:
        """Whether it is open and nobody has logged in on it."""
        connection = self.protocol.connection
        return not (connection.in_use or connection.gone)

    def connectionLost(self, reason: Failure) -> None:
        self._frames.closed = True
        cancel(self.patience)
        cancel(self._pinging)
        unclean = self._overrun or self._frames.unheard
        self.protocol.connectionLost(Failure(ConnectionLost()) if unclean else reason)


class WebSockets(Asking):
    """`/ws`. `lines` makes the protocols behind the sockets."""

    def __init__(self, lines: ChatLineFactory, visits: Visits) -> None:
        super().__init__(lines.service, visits, lines.new_reference)
        self._lines = lines
        self._strangers: list[Socket] = []  # some of them may have logged in, or be gone

    async def respond(self, request: Request) -> None:
        self._visits.check(request, b"GET")
        self._visits.check_origin(request)
        _check_handshake(request)
        token = self._visits.token_of(request)
        login = None
        if token is not None:
            with suppress(BadToken):
                login = await self._service.accounts.resume(token)
        else:
            self._check_strangers(source_of(request))
        if is_lost(request):
            return
        socket = Socket(self._lines, request, login, refused=token is not None and not login)
        refusal = WebSocketResource(_Once(socket)).render_GET(request)
        if isinstance(refusal, bytes):
            request.write(refusal)
            request.finish()
        elif token is None:
            self._watch(socket)

    # Those who have not logged in

    def _check_strangers(self, source: str) -> None:
        """Make sure that there is room for one more. Raises TooManyConnections."""
        self._strangers = [each for each in self._strangers if each.is_strange]
        sources = Counter(each.source for each in self._strangers)
        if sources[source] >= STRANGERS_PER_ADDRESS:
            raise TooManyConnections(where="from your address on which nobody has logged in")
        if len(self._strangers) >= STRANGERS:
            # A client with few addresses can't use up all the places.
            most = max(sources.values())
            eldest = next(each for each in self._strangers if sources[each.source] == most)
            self._strangers.remove(eldest)
            where = "to this realm on which nobody has logged in"
            eldest.protocol.refuse(TooManyConnections(where=where))

    def _watch(self, socket: Socket) -> None:
        self._strangers.append(socket)
        socket.patience = self._service.clock.callLater(STRANGER_TIME, _dismiss, socket)


def _dismiss(socket: Socket) -> None:
    if socket.is_strange:
        socket.protocol.refuse(Idle(seconds=int(STRANGER_TIME)))


def _check_handshake(request: Request) -> None:
    """Raises BadSyntax for what is no opening handshake (RFC 6455, 4.2.1). Twisted would log the request with
    its query, where a token may stand, and does not expect all that can be wrong."""
    named = request.requestHeaders.getAllRawHeaders()
    fields = [(name, value) for name, values in named for value in values]
    try:
        H11Handshake(ConnectionType.SERVER).initiate_upgrade_connection(fields, request.path)
    except Exception:  # of two libraries and of Python
        reason = "it opens no WebSocket (RFC 6455); a browser or a library for that does"
        raise BadSyntax(reason=reason) from None


class _Once:
    """The factory of one socket: whose it is was looked up before."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    def buildProtocol(self, request: Request) -> Socket:
        return self._socket
