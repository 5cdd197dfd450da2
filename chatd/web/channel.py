"""An HTTP connection, and a site that does not log requests."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, ITCPTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request, Site

from chatd.base.sources import Networks
from chatd.base.throttle import TokenBucket
from chatd.base.timers import cancel
from chatd.lines.output import MAX_FULL

LENGTH_DIGITS = 18  # of a Content-Length; no body is longer than that can say
BODY_TIME = 300.0  # seconds in which some bytes of a streamed body have to arrive
LINGER_TIME = 2.0  # seconds that the client of a refused body has to read the answer
LINGER_BYTES = 1 << 20  # of a refused body that are read and dropped in that time


class StrictChannel(HTTPChannel):
    """An HTTP connection on which a malformed head is answered with 400 and never with an exception."""

    transport: Any

    def headerReceived(self, line: bytes) -> bool:
        """Whether the next field of the head is well-formed.

        Python raises an exception for a number of more than 4300 digits. Twisted does not expect it, so each
        such request would leave a traceback in the log.
        """
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t").lower()
        too_long = name == b"content-length" and len(value) > LENGTH_DIGITS
        # Twisted ignores `identity`, and a proxy in front may read it as something else.
        if too_long or (name == b"transfer-encoding" and value != b"chunked"):
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            self.loseConnection()
            return False
        return bool(super().headerReceived(line))


class QuietSite(Site):
    """A site without a request log, because requests are private. Failures are logged elsewhere."""

    noisy = False

    def __init__(self, *args: Any, **more: Any) -> None:
        # No resource takes forms, and Twisted's parser of forms raises exceptions for some of them.
        super().__init__(*args, parsePOSTFormSubmission=False, **more)
        # Twisted's default would look for HTTP/2 first.
        self.protocol = StrictChannel  # type: ignore[assignment,method-assign]

    def acceptableProtocols(self) -> list[bytes]:
        """WebSockets need HTTP/1.1."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Open no log."""

    def stopFactory(self) -> None:
        """Close no log."""


class Phase(Enum):
    """How far the request under way is."""

    IDLE = auto()  # none has begun
    HEAD = auto()
    BODY = auto()  # the head is complete
    ANSWERING = auto()  # the body is complete
    LINGERING = auto()  # answered before its body was complete; the rest is dropped


class ChatChannel(StrictChannel):
    """A connection with ChatRequests.

    `on_gone` is called once, when the connection is gone or has become a WebSocket. `bucket` limits the rate
    of its requests; None for a proxy, which asks for many clients. `trusted` are the proxies that may name
    the client.
    """

    callLater: Any
    site: Any
    on_gone: Callable[[], None]
    bucket: TokenBucket | None
    trusted = Networks()
    length: int | None
    _phase = Phase.IDLE
    _dropped = 0  # bytes that arrived while lingering
    _expects_continue = False
    # Delayed calls: the next request, the end of lingering, the end of a connection that is closing.
    _pause: IDelayedCall | None = None
    _linger: IDelayedCall | None = None
    _closing: IDelayedCall | None = None

    @property
    def awaits_body(self) -> bool:
        """Whether the body of the request under way is incomplete."""
        return self._phase is Phase.BODY

    def resetTimeout(self) -> None:  # noqa: N802
        """Bytes have arrived. Only the first bytes of a request and those of a streamed body extend its time,
        so a client can't keep a connection by sending slowly."""
        if self._phase is Phase.IDLE:
            self._phase = Phase.HEAD
            super().resetTimeout()
        elif self._phase is Phase.BODY and self.requests and self.requests[0].streams:
            super().resetTimeout()

    def lineReceived(self, line: bytes) -> None:
        known = len(self.requests)
        super().lineReceived(line)
        if len(self.requests) > known:
            self.requests[-1].request_line_received(line)

    def headerReceived(self, line: bytes) -> bool:
        """As in StrictChannel. `Expect: 100-continue` waits until the body is wanted."""
        name, _, value = line.partition(b":")
        if name.lower() == b"expect" and value.strip(b" \t").lower() == b"100-continue":
            self._expects_continue = self.requests[-1].clientproto == b"HTTP/1.1"
            return True
        return super().headerReceived(line)

    def allHeadersReceived(self) -> None:
        """The head is complete. The request may be answered at once."""
        self._phase = Phase.BODY
        super().allHeadersReceived()
        if self.length != 0:
            self.requests[-1].body_begins()

    def resume_body(self) -> None:
        """Receive more of the body."""
        if self._expects_continue:
            self._expects_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.transport.resumeProducing()

    def pause_body(self) -> None:
        """Receive nothing until `resume_body`."""
        self.transport.pauseProducing()

    def extend_timeout(self) -> None:
        """Allow the time of a streamed body."""
        self.setTimeout(BODY_TIME)

    def allContentReceived(self) -> None:
        """The body is complete."""
        if self._phase is Phase.LINGERING:
            return
        self._phase = Phase.ANSWERING
        self._expects_continue = False
        if self.requests[-1].streams:
            self.setTimeout(self.site.timeOut)
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:  # noqa: N802
        """The request is answered. If the client asks too often, the next request waits.

        If the body is incomplete, the connection can't be used again. Closing it at once would send a reset,
        since there are unread bytes, and that may destroy the answer before the client reads it (RFC 9112,
        9.6). So this end closes its sending direction, and drops what arrives until the client closes, or for
        LINGER_TIME.
        """
        if self._phase is Phase.BODY:
            self._start_lingering(request)
            return
        pause = 0.0 if self.bucket is None else self.bucket.take(self.site.clock.seconds())
        if pause > 0:
            self._pause = self.site.clock.callLater(pause, self._next_request, request)
        else:
            self._next_request(request)

    def _next_request(self, request: Request) -> None:
        self._phase = Phase.IDLE
        super().requestDone(request)

    def _start_lingering(self, request: Request) -> None:
        self._phase = Phase.LINGERING
        self.requests.remove(request)
        self._expects_continue = False
        self.setTimeout(None)
        self._linger = self.callLater(LINGER_TIME, self.transport.abortConnection)
        self.transport.resumeProducing()
        if ITCPTransport.providedBy(self.transport) and not self.isSecure():
            self.transport.loseWriteConnection()
        else:
            self.loseConnection()  # TLS itself waits for the client's close_notify

    def dataReceived(self, data: bytes) -> None:
        if self._phase is Phase.LINGERING:
            self._drop(data)
        else:
            super().dataReceived(data)

    def rawDataReceived(self, data: bytes) -> None:
        """Bytes of a body have arrived, or of the next request."""
        if self._phase is Phase.LINGERING:
            self._drop(data)
        else:
            super().rawDataReceived(data)

    def _drop(self, data: bytes) -> None:
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            self.transport.pauseProducing()

    def timeoutConnection(self) -> None:  # noqa: N802
        """Close a silent connection, without Twisted's line in the log."""
        self.loseConnection()

    def loseConnection(self) -> None:
        """Close the connection once everything is sent, or drop it if the client does not read that."""
        if self._closing is None:
            self._closing = self.callLater(MAX_FULL, self.transport.abortConnection)
        super().loseConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        for delayed in (self._pause, self._linger, self._closing):
            cancel(delayed)
        try:
            super().connectionLost(reason)
        finally:
            self.on_gone()

    def upgraded(self) -> None:
        """The connection has become a WebSocket."""
        # The requests will never be finished, and would stay in memory with all their headers.
        for request in self.requests:
            request.end()
        self.requests.clear()
        self.on_gone()

    def close_banned(self, refusal: Callable[[str | None], object]) -> None:
        """Drop the connection if the client of a request under way is banned: `refusal` returns an error for
        its address."""
        hosts = [getattr(each.getClientAddress(), "host", None) for each in self.requests]
        if any(refusal(host) for host in hosts):
            self.transport.abortConnection()

    def finish(self) -> None:
        """The realm shuts down: close the connection when the request that is being answered is done. An
        incomplete request does not count."""
        self.persistent: Any = False
        answering = self._phase is Phase.BODY and any(each.streams for each in self.requests)
        if self._phase is not Phase.ANSWERING and not answering:
            self.loseConnection()
