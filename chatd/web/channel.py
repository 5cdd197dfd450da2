"""One HTTP connection, and a site that does not log requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.web.server import Request, Site

from chatd.base.errors import TooManyConnections
from chatd.base.throttle import TokenBucket
from chatd.base.timers import cancel
from chatd.lines.factory import host_of
from chatd.lines.output import MAX_FULL
from chatd.web.answers import refuse
from chatd.web.heads import HeadChannel
from chatd.web.streaming import StreamingChannel, StreamingRequest


class QuietSite(Site):
    """A site without a request log, because requests are private. Failures are logged elsewhere."""

    noisy = False

    def __init__(self, *args: Any, **more: Any) -> None:
        # No resource here takes a form, and Twisted's reader of forms raises exceptions for some of them.
        super().__init__(*args, parsePOSTFormSubmission=False, **more)
        # Twisted's own would look for HTTP/2 first.
        self.protocol = HeadChannel  # type: ignore[assignment,method-assign]

    def acceptableProtocols(self) -> list[bytes]:
        """WebSockets are spoken over HTTP/1.1."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Open no log."""

    def stopFactory(self) -> None:
        """Close no log."""


class ChatRequest(StreamingRequest):
    """A request that waits for its turn if it comes through a proxy and its client asks too fast. Through a
    proxy, a client may have as many requests under way as it could have connections."""

    _resting: Any = None
    _source: str | None = None  # the client that it counts for, if it does

    def process(self) -> None:
        self.site = site = self.channel.site
        if self.channel.bucket is not None:
            super().process()
            return
        source = host_of(self.getClientAddress())
        if not site.begin(source):
            refuse(self, TooManyConnections(where="from your address"))
            return
        self._source = source
        pause = site.pause_for(source)
        if pause > 0:
            self._resting = site.clock.callLater(pause, super().process)
        else:
            super().process()

    def finish(self) -> None:
        """The answer is complete."""
        self.end()
        super().finish()

    def connectionLost(self, reason: Failure) -> None:
        cancel(self._resting)
        self.end()
        super().connectionLost(reason)

    def end(self) -> None:
        """It counts no more among those that are under way."""
        source, self._source = self._source, None
        if source is not None:
            site: Any = self.site
            site.end(source)


class ChatChannel(StreamingChannel):
    """`on_gone` is called once, when the connection is gone or has become a WebSocket's. `bucket` is the
    rate of its requests; None if a proxy asks for many."""

    on_gone: Callable[[], None]
    bucket: TokenBucket | None
    site: Any
    abortTimeout = int(MAX_FULL)
    _resting: Any = None

    def requestDone(self, request: Request) -> None:  # noqa: N802
        """The request is answered. The next one has its turn later if they come too fast."""
        pause = 0.0
        if self.bucket is not None and not self.awaits_body:
            pause = self.bucket.take(self.site.clock.seconds())
        if pause > 0:
            self._resting = self.site.clock.callLater(pause, super().requestDone, request)
        else:
            super().requestDone(request)

    def timeoutConnection(self) -> None:  # noqa: N802
        """Nobody has asked for anything: close it. Twisted's own would say so in the log."""
        self.loseConnection()

    def loseConnection(self) -> None:
        """Close it once all is sent, or when nobody reads that."""
        if self._abortingCall is None:
            self._abortingCall = self.callLater(self.abortTimeout, self.forceAbortClient)
        super().loseConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Let the requests go, and the place among the connections."""
        cancel(self._resting)
        try:
            super().connectionLost(reason)
        finally:
            self.on_gone()

    def upgraded(self) -> None:
        """It speaks HTTP no more."""
        # They would never be finished, and are kept with all their headers.
        for request in self.requests:
            request.end()
        self.requests.clear()
        self.on_gone()

    def finish(self) -> None:
        """The realm shuts down: close when the request under way, if any, is answered. One that has not
        come whole is none yet."""
        self.persistent: Any = False
        if not self.is_answering:
            self.loseConnection()
