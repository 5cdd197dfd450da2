"""The json dialect over WebSocket (RFC 6455): one object a text frame, in both directions.

`GET /ws` opens a WebSocket. It has the session of the request's cookie or of its `Authorization: Bearer`. If
that session has ended, the WebSocket closes with code 4401. Without a token a client has to log in within
LOGIN_TIME. Files are transferred over HTTP: see chatd.web.uploads and downloads.

The line protocol runs over a transport that turns lines into frames, so its limits, rates, order of replies
and treatment of slow readers apply.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.web.server import Request
from twisted.web.websocket import WebSocketProtocol, WebSocketResource
from wsproto import ConnectionType
from wsproto.handshake import H11Handshake

from chatd.base.errors import BadSyntax, BadToken, Idle, TooManyConnections
from chatd.base.timers import cancel
from chatd.lines.factory import ChatLineFactory
from chatd.lines.protocol import ChatLineProtocol
from chatd.service.accounts import Login
from chatd.web.access import AccessControl, program_of, source_of
from chatd.web.answers import is_lost
from chatd.web.async_resource import AsyncResource
from chatd.web.websocket_frames import FrameReader, FrameTransport, KeepAlive

MAX_UNAUTHENTICATED = 200  # connections
MAX_UNAUTHENTICATED_PER_ADDRESS = 20
LOGIN_TIME = 30.0  # seconds in which a client has to log in

SESSION_OVER = 4401  # close codes from 4000 on are the application's own (RFC 6455, 7.4.2)
NOT_TEXT = 1003


class ChatWebSocket(WebSocketProtocol):
    """One WebSocket: passes messages to the line protocol. `login` is its session, if the request had one;
    `refused` says that the session has ended."""

    protocol: ChatLineProtocol
    login_timer: IDelayedCall | None = None

    def __init__(
        self, lines: ChatLineFactory, request: Request, login: Login | None, refused: bool
    ) -> None:
        self._lines = lines
        self._channel: Any = request.channel
        self._address = request.getClientAddress()
        self._program = program_of(request)
        self._login = login
        self._refused = refused

    def negotiationStarted(self, transport: Any) -> None:
        self._frames = FrameTransport(transport, self._channel.transport, self._resumed)

    def negotiationFinished(self) -> None:
        """Take the connection over from the HTTP channel."""
        frames, channel, lines = self._frames, self._channel, self._lines
        protocol = self.protocol = lines.build(self._address, self._program)
        self._reader = FrameReader(frames, channel.dataReceived, protocol.charge, lines.line_limit)
        channel.dataReceived = self._data_received
        channel.upgraded()
        protocol.makeConnection(frames)
        if self._refused:
            frames.loseConnection(SESSION_OVER)
        elif self._login is not None and not frames.closed:
            protocol.connection.attach(self._login)
        self._keep_alive = KeepAlive(lines.service.clock, frames, protocol.connection.origin.number)

    def _data_received(self, data: bytes) -> None:
        self.protocol.connection.moment += 1
        self._keep_alive.heard()
        self._reader.received(data)

    def _resumed(self) -> None:
        self._reader.read()

    def textMessageReceived(self, message: str) -> None:
        """A message is a line. Between the tokens of its JSON there may be line feeds."""
        line = message.encode()
        self._reader.message_complete(len(line))
        self.protocol.dataReceived(line.replace(b"\n", b"\r") + b"\n")

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self._frames.refuse(NOT_TEXT)

    def pongReceived(self, payload: bytes) -> None:
        """Do nothing: any bytes show that the client is alive."""

    @property
    def source(self) -> str:
        """The network address of the client."""
        return self.protocol.connection.origin.source

    @property
    def is_unauthenticated(self) -> bool:
        """Whether the connection is open and not logged in."""
        connection = self.protocol.connection
        return not (connection.in_use or connection.gone)

    def connectionLost(self, reason: Failure) -> None:
        self._frames.closed = True
        cancel(self.login_timer)
        self._keep_alive.stop()
        self.protocol.connectionLost(Failure(ConnectionLost()) if self._frames.unclean else reason)


class WebSockets(AsyncResource):
    """`/ws`. `lines` makes the protocols behind the sockets."""

    def __init__(self, lines: ChatLineFactory, access: AccessControl) -> None:
        super().__init__(lines.service, access)
        self._lines = lines
        self._unauthenticated: list[ChatWebSocket] = []  # some may have logged in, or be gone

    async def respond(self, request: Request) -> None:
        self._access.check(request, b"GET")
        self._access.check_origin(request)
        _check_handshake(request)
        token = self._access.token_of(request)
        login = None
        if token is not None:
            with suppress(BadToken):
                login = await self._service.accounts.resume(token)
        else:
            self._make_room(source_of(request))
        if is_lost(request):
            return
        socket = ChatWebSocket(self._lines, request, login, refused=token is not None and not login)
        refusal = WebSocketResource(_Once(socket)).render_GET(request)
        if isinstance(refusal, bytes):
            request.write(refusal)
            request.finish()
        elif token is None:
            self._watch(socket)

    def _make_room(self, source: str) -> None:
        """Make room for another unauthenticated connection. Raises TooManyConnections."""
        self._unauthenticated = [each for each in self._unauthenticated if each.is_unauthenticated]
        sources = Counter(each.source for each in self._unauthenticated)
        if sources[source] >= MAX_UNAUTHENTICATED_PER_ADDRESS:
            raise TooManyConnections(where="from your address without a login")
        if len(self._unauthenticated) >= MAX_UNAUTHENTICATED:
            # The busiest address gives up its oldest connection, so one client can't occupy all places.
            most = max(sources.values())
            oldest = next(each for each in self._unauthenticated if sources[each.source] == most)
            self._unauthenticated.remove(oldest)
            where = "to this realm without a login"
            oldest.protocol.refuse(TooManyConnections(where=where))

    def _watch(self, socket: ChatWebSocket) -> None:
        self._unauthenticated.append(socket)
        socket.login_timer = self._service.clock.callLater(LOGIN_TIME, _refuse_idle, socket)


def _refuse_idle(socket: ChatWebSocket) -> None:
    if socket.is_unauthenticated:
        socket.protocol.refuse(Idle(seconds=int(LOGIN_TIME)))


def _check_handshake(request: Request) -> None:
    """Raises BadSyntax if the request is no opening handshake (RFC 6455, 4.2.1).

    Twisted would log the request with its query, which may contain a token, and some malformed ones raise
    exceptions that it does not expect.
    """
    named = request.requestHeaders.getAllRawHeaders()
    fields = [(name, value) for name, values in named for value in values]
    try:
        H11Handshake(ConnectionType.SERVER).initiate_upgrade_connection(fields, request.path)
    except Exception:  # wsproto, h11 and Python raise many kinds
        reason = "it does not open a WebSocket (RFC 6455); use a browser or a WebSocket library"
        raise BadSyntax(reason=reason) from None


class _Once:
    """The factory of one WebSocket, whose session is known already."""

    def __init__(self, socket: ChatWebSocket) -> None:
        self._socket = socket

    def buildProtocol(self, request: Request) -> ChatWebSocket:
        return self._socket
