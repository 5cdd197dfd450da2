"""An HTTP request. A resource may answer it, or read its body, as soon as its head has arrived.

Twisted's Request collects the body in memory or in a temporary file before any resource sees the request.
Here a resource that lists the method in `streamed` is rendered when the head is complete, and reads the body
piece by piece (`ChatRequest.body`). Bytes that it does not read stay in the sender's socket. All other bodies
are limited to MAX_BODY bytes and passed as `content`.

`100 Continue` is sent at the first read, so a client that expects it does not send a refused body at all. If
a request is answered before its body was read, the connection closes: see `ChatChannel.requestDone`.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, AnyStr
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.resource import IResource, getChildForRequest
from twisted.web.server import Request

from chatd.base.errors import BodyTooLarge, TooManyConnections
from chatd.base.timers import cancel
from chatd.lines.connections import host_of
from chatd.web.answers import refuse
from chatd.web.async_resource import MAX_BODY
from chatd.web.body import Body, BodyLost
from chatd.web.forwarding import client_address
from chatd.web.hosts import origin_form


class ChatRequest(Request):
    """A request on a ChatChannel.

    Through a proxy, a client may have as many requests at a time as it could have connections, and a request
    waits if its client asks too often.
    """

    channel: Any
    site: Any
    body: Body
    streams = False  # a resource reads the body
    target_authority: bytes | None = None  # in the request target (RFC 9112, 3.2)
    _has_head = False
    _resource: IResource | None = None
    _delayed: IDelayedCall | None = None
    _source: str | None = None  # the client that the request counts for

    def request_line_received(self, line: bytes) -> None:
        """Note what Twisted passes to a request only after its body."""
        method, _, rest = line.partition(b" ")
        target, _, version = rest.partition(b" ")
        self.method, self.clientproto = method, version
        self.uri, self.target_authority = origin_form(target)
        self.path = self.uri.partition(b"?")[0]

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """The head is complete; `length` is that of the body in bytes, None for a chunked one."""
        self.site = self.channel.site
        self.client = client_address(self.client, self.requestHeaders, self.channel.trusted)
        self.content = self._collected = BytesIO()
        self.body = Body(length, self.channel.resume_body, self.channel.pause_body)
        self._has_head = True

    def body_begins(self) -> None:
        """Decide who takes the body that follows."""
        self._resource = self._find_resource()
        if self.method in getattr(self._resource, "streamed", ()):
            self.streams = True
            self.channel.extend_timeout()
            self.process()
        elif self.body.length is not None and self.body.length > MAX_BODY:
            refuse(self, BodyTooLarge(limit=MAX_BODY))
        else:
            self.channel.resume_body()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """The next bytes of the body."""
        if self.finished:
            return
        if self.streams:
            self.body.arrived(data)
        elif self._collected.tell() + len(data) > MAX_BODY:  # a chunked body
            refuse(self, BodyTooLarge(limit=MAX_BODY))
        else:
            self._collected.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The body is complete."""
        if self.streams:
            self.body.ended()
        else:
            self._collected.seek(0)
            self.process()

    def process(self) -> None:
        """Render the resource; later, if the client asks too often. A banned client is refused, except for
        resources that have `answers_banned`."""
        banned = self.site.refusal(getattr(self.getClientAddress(), "host", None))
        if banned is not None:
            self._resource = self._resource or self._find_resource()
            if not getattr(self._resource, "answers_banned", False):
                refuse(self, banned)
                return
        if self.channel.bucket is None:
            source = host_of(self.getClientAddress())
            if not self.site.begin(source):
                refuse(self, TooManyConnections(where="from your address"))
                return
            self._source = source
            pause = self.site.pause_for(source)
            if pause > 0:
                self._delayed = self.site.clock.callLater(pause, self._render)
                return
        self._render()

    def _render(self) -> None:
        try:
            self.render(self._resource or self._find_resource())
        except Exception:
            self.processingFailed(Failure())

    def _find_resource(self) -> IResource:
        self.setHeader(b"Date", datetimeToString())
        self.prepath, self.postpath = [], [unquote_to_bytes(p) for p in self.path[1:].split(b"/")]
        found: IResource = getChildForRequest(self.site.resource, self)
        return found

    def getHeader(self, key: AnyStr) -> AnyStr | None:  # noqa: N802
        """As in Twisted, but bytes that are not UTF-8 raise nothing."""
        if isinstance(key, bytes):
            return super().getHeader(key)
        value = super().getHeader(key.encode())
        return None if value is None else value.decode(errors="replace")

    def write(self, data: bytes) -> None:
        """Send some of the answer. Its head says whether the connection closes afterwards."""
        if not self.startedWriting and self.channel is not None and self.channel.awaits_body:
            self.setHeader(b"Connection", b"close")
        super().write(data)

    def finish(self) -> None:
        """The answer is complete."""
        self.end()
        super().finish()

    def connectionLost(self, reason: Failure) -> None:
        cancel(self._delayed)
        self.end()
        super().connectionLost(reason)
        if self._has_head:
            self.body.cut(BodyLost())

    def end(self) -> None:
        """Stop counting it among its client's requests."""
        source, self._source = self._source, None
        if source is not None:
            self.site.end(source)


def hang_up(request: Request) -> None:
    """Drop the connection of a request to which nothing more can be answered."""
    transport: Any = request.transport
    transport.abortConnection()
