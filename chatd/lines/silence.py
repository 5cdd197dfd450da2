"""What the silence of a connection's client means, and how long closing the connection may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

from chatd.base.errors import Idle
from chatd.base.timers import Timer, cancel

if TYPE_CHECKING:
    from chatd.lines.protocol import ChatLineProtocol

LOGIN_TIME = 60.0  # seconds of silence that are allowed before a login
UPLOAD_TIME = 300.0  # seconds in which some bytes of an upload have to arrive


class Silence:
    """Watches how long the client of `host` is silent."""

    __slots__ = ("_host", "_settling", "_timer")

    def __init__(self, host: ChatLineProtocol) -> None:
        self._host = host
        self._timer: IDelayedCall | None = None
        self._settling = Timer(host.factory.clock, host.settle)
        host.connection.heard = host.factory.clock.seconds()

    def schedule(self, seconds: float, call: Callable[[], object]) -> None:
        """Make `call` after so many seconds, in place of the one that was scheduled before."""
        cancel(self._timer)
        self._timer = self._host.factory.clock.callLater(seconds, call)

    def cancel(self) -> None:
        """Schedule nothing any more."""
        cancel(self._timer)
        self._settling.cancel()

    def ends_request(self, seconds: float) -> None:
        """End the request that is arriving if nothing more arrives within so many seconds."""
        self._settling.restart(seconds)

    def watch(self) -> None:
        """Close the connection of a silent client: before a login, unless the dialect is patient, and if so
        configured after it."""
        host = self._host
        factory, connection = host.factory, host.connection
        now = factory.clock.seconds()
        stuck = host.requests.files.upload is not None and now - connection.heard > UPLOAD_TIME
        if stuck or host.output.is_stalled():
            host.cut_off()
            return
        connection.extend()
        limit = idle = float(factory.limits.idle)
        if not connection.in_use:
            limit = 0.0 if factory.dialect.patient else LOGIN_TIME
        if factory.dialect.patient:
            factory.await_login(host)
        left = connection.heard + limit - now if limit else LOGIN_TIME
        if left > 0 or host.requests:
            # Look again in time for the other limit: the client may log in or out meanwhile.
            self.schedule(min(max(left, 1.0), idle or LOGIN_TIME, LOGIN_TIME), self.watch)
        else:
            host.refuse(Idle(seconds=int(limit)))
