"""Bodies of requests: read as they come, and no more of them than somebody wants.

Twisted's own Request collects the whole body, in memory or in a temporary file, before anybody is asked
whether it is wanted. Here a resource that has a body's method among its `streamed` is asked as soon as the
head is there, and reads the body piece by piece (`StreamingRequest.body`); what it does not read stays in the
sender's socket. All other bodies are bounded, and given to their resources whole.

The first `read` asks for the body: `100 Continue` goes out then, to who expects it, so that what is refused
is not even sent. Who is answered before the body was read gets `Connection: close`, and the rest is not
swallowed: see `StreamingChannel.requestDone`.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, AnyStr
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ITCPTransport
from twisted.python.failure import Failure
from twisted.web.http import parse_qs
from twisted.web.resource import getChildForRequest
from twisted.web.server import Request

from chatd.base.errors import BodyTooLarge
from chatd.base.sources import Networks
from chatd.base.timers import cancel
from chatd.web.answers import refuse
from chatd.web.asking import MAX_BODY
from chatd.web.forwarding import client_address
from chatd.web.heads import HeadChannel
from chatd.web.hosts import origin_form

BODY_TIME = 300.0  # seconds in which some bytes of a streamed body have to come
LINGER_TIME = 2.0  # seconds that whoever is refused has to read why
LINGER_BYTES = 1 << 20  # of what was refused that are read and dropped in that time


class BodyLost(Exception):
    """The rest of the body will not come."""


class Body:
    """A request's body. `length` is what was announced, in bytes; None if nothing was.

    `wanted` is called when more of it is waited for, `enough` when it comes and nobody waits.
    """

    def __init__(
        self, length: int | None, wanted: Callable[[], None], enough: Callable[[], None]
    ) -> None:
        self.length = length
        self._wanted = wanted
        self._enough = enough
        self._pieces: list[bytes] = []
        self._ended = length == 0
        self._error: Exception | None = None
        self._reader: Deferred[None] | None = None

    async def read(self) -> bytes:
        """The next piece, of whatever size; nothing at the end. Raises what `cut` was given."""
        if not (self._pieces or self._ended or self._error):
            self._reader = Deferred()
            self._wanted()
            await self._reader
        if self._pieces:
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            return data
        if self._error is not None and not self._ended:
            raise self._error
        return b""

    def cut(self, error: Exception) -> None:
        """Nothing more will be taken of it: `read` raises that, once what came was read. After its end this
        does nothing."""
        self._error = self._error or error
        self._wake()

    # From the channel

    def arrived(self, data: bytes) -> None:
        if self._error is None:
            self._pieces.append(data)
            self._wake()
        if self._reader is None:
            self._enough()

    def ended(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.callback(None)


class StreamingRequest(Request):
    """A request whose body may be read as it comes. Needs a StreamingChannel."""

    body: Body
    channel: Any
    streams = False  # its body is being read as it comes
    target_authority: bytes | None = None  # in the request target, besides the Host field

    def head_received(self, method: bytes, uri: bytes, version: bytes) -> None:
        """Note what Twisted passes to a request only after its body, and the client that a proxy names."""
        self.method, self.uri, self.clientproto = method, uri, version
        self.client = client_address(self.client, self.requestHeaders, self.channel.trusted)
        self.path, _, query = uri.partition(b"?")
        self.args = parse_qs(query, 1)

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """The head is there; `length` is in bytes, None for a chunked body."""
        self.content = self._whole = BytesIO()
        self.body = Body(length, self.channel.want_body, self.channel.hold_body)

    def body_begins(self) -> None:
        """There is a body to come, and it has to be known who takes it."""
        self.site = self.channel.site
        self.prepath, self.postpath = [], [unquote_to_bytes(p) for p in self.path[1:].split(b"/")]
        resource = getChildForRequest(self.site.resource, self)
        if self.method in getattr(resource, "streamed", ()):
            self.streams = True
            self.channel.be_patient()
            self.process()
        elif self.body.length is not None and self.body.length > MAX_BODY:
            refuse(self, BodyTooLarge(limit=MAX_BODY))
        else:
            self.channel.want_body()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """The next bytes of the body."""
        if self.finished:
            return
        if self.streams:
            self.body.arrived(data)
        elif self._whole.tell() + len(data) > MAX_BODY:  # a chunked one
            refuse(self, BodyTooLarge(limit=MAX_BODY))
        else:
            self._whole.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The body is there to its end."""
        if self.streams:
            self.body.ended()
        else:
            super().requestReceived(command, path, version)

    def getHeader(self, key: AnyStr) -> AnyStr | None:  # noqa: N802
        """As Twisted's, but that what is no UTF-8 is no mistake of ours."""
        if isinstance(key, bytes):
            return super().getHeader(key)
        value = super().getHeader(key.encode())
        return None if value is None else value.decode(errors="replace")

    def write(self, data: bytes) -> None:
        """Send some of the answer. With the first of it goes what becomes of the connection."""
        if not self.startedWriting and self.channel is not None and self.channel.awaits_body:
            self.setHeader(b"Connection", b"close")
        super().write(data)

    def connectionLost(self, reason: Failure) -> None:
        """Nothing more comes or goes."""
        super().connectionLost(reason)
        if hasattr(self, "body"):  # else not even the head has come
            self.body.cut(BodyLost())


def hang_up(request: Request) -> None:
    """Drop the connection of a request for which nothing more can be said."""
    transport: Any = request.transport
    transport.abortConnection()


class StreamingChannel(HeadChannel):
    """A connection with StreamingRequests.

    The channel has to help: only it knows the request's method and path while the body is still to come, and
    only it can keep the body waiting or do without it. `_command`, `_path`, `_version` and `_handlingRequest`
    are Twisted's, and private; there is no other way to them before the body's end.
    """

    transport: Any
    callLater: Any
    length: int | None
    trusted = Networks()  # proxies that may name the client
    # Bytes that came after an answer that did not wait for them; None if none was given.
    _dropped: int | None = None
    _lingering: Any = None
    _usual_time: float | None = None
    _begun = False  # some of a request has come
    _expected = False

    @property
    def awaits_body(self) -> bool:
        """Whether the request's body has not come to its end."""
        return not self._handlingRequest

    @property
    def is_answering(self) -> bool:
        """Whether somebody works on a request."""
        return bool(self.requests) and (self._handlingRequest or self.requests[0].streams)

    def resetTimeout(self) -> None:  # noqa: N802
        """Bytes have come. A request that trickles gains no time by each of them, save for a body that is
        streamed."""
        if not self._begun or self._usual_time is not None:
            self._begun = True
            super().resetTimeout()

    def allHeadersReceived(self) -> None:
        """Tell the request of itself; it may be answered at once."""
        request = self.requests[-1]
        self._path, request.target_authority = origin_form(self._path)
        request.head_received(self._command, self._path, self._version)
        super().allHeadersReceived()
        if self.length != 0:
            request.body_begins()

    def _send100Continue(self) -> None:  # noqa: N802
        """Someone waits for a word before sending a body: not before it is wanted."""
        self._expected = True

    def want_body(self) -> None:
        """More of the body is waited for."""
        if self._expected:
            self._expected = False
            super()._send100Continue()
        self.transport.resumeProducing()

    def hold_body(self) -> None:
        """The body comes faster than it is read."""
        self.transport.pauseProducing()

    def be_patient(self) -> None:
        """A body may take its time."""
        self._usual_time = self.setTimeout(BODY_TIME)

    def allContentReceived(self) -> None:
        """The request is there to its end, if anybody still cares."""
        if self._dropped is not None:
            return
        self._begun = False
        self._expected = False
        if self._usual_time is not None:
            self.setTimeout(self._usual_time)
            self._usual_time = None
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:  # noqa: N802
        """The request is answered.

        If its body had not come to its end, the connection is of no more use. It can't just be closed:
        the system would follow up with a reset, since there are bytes that nobody has read, and that may
        destroy the answer before it is read at the other end (RFC 9112, 9.6). So our direction is closed,
        and a little of what comes is dropped, until the other end closes or the time is over.
        """
        if not self.awaits_body:
            super().requestDone(request)
            return
        self.requests.remove(request)
        self._dropped = 0
        self._expected = False
        self.setTimeout(None)
        self._lingering = self.callLater(LINGER_TIME, self.transport.abortConnection)
        self.transport.resumeProducing()
        if ITCPTransport.providedBy(self.transport) and not self.isSecure():
            self.transport.loseWriteConnection()
        else:
            self.loseConnection()  # TLS waits by itself for the other end to say goodbye

    def dataReceived(self, data: bytes) -> None:
        """Bytes have come."""
        if self._dropped is None:
            super().dataReceived(data)
        else:
            self._drop(data)

    def rawDataReceived(self, data: bytes) -> None:
        """Bytes of a body have come, or of a request that follows."""
        if self._dropped is None:
            super().rawDataReceived(data)
        else:
            self._drop(data)

    def _drop(self, data: bytes) -> None:
        self._dropped = (self._dropped or 0) + len(data)
        if self._dropped > LINGER_BYTES:
            self.transport.pauseProducing()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """The connection is gone."""
        cancel(self._lingering)
        super().connectionLost(reason)
