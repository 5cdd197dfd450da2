"""Backpressure on a link, so that neither requests nor answers pile up here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from chatd.base.throttle import TokenBucket
from chatd.base.timers import cancel

MAX_UNREAD = 1 << 20  # bytes of answers that wait to be sent; beyond that the link is not read from
STALL_TIME = 60.0  # seconds in which everything that was written to a link has to be sent
RATE, OUTPUT = "rate", "output"


class Flow:
    """The reasons not to read from a link. `stop` and `go` stop and resume reading."""

    def __init__(
        self, clock: Any, bucket: TokenBucket, stop: Callable[[], Any], go: Callable[[], Any]
    ) -> None:
        self._clock = clock
        self._bucket = bucket
        self._stop = stop
        self._go = go
        self._reasons: set[str] = set()
        self._slowed: Any = None

    def pause(self, reason: str) -> None:
        if not self._reasons:
            self._stop()
        self._reasons.add(reason)

    def resume(self, reason: str) -> None:
        if reason in self._reasons:
            self._reasons.discard(reason)
            if not self._reasons:
                self._go()

    def take(self, count: int) -> None:
        """Count `cost` requests, and pause if they exceed the rate."""
        self.slow(self._bucket.take(self._clock.seconds(), count))

    def slow(self, seconds: float) -> None:
        """Pause for that many seconds, unless an earlier pause lasts longer."""
        if seconds <= 0:
            return
        self.pause(RATE)
        end = self._clock.seconds() + seconds
        if self._slowed is None or not self._slowed.active():
            self._slowed = self._clock.callLater(seconds, self.resume, RATE)
        elif end > self._slowed.getTime():
            self._slowed.reset(seconds)

    def end(self) -> None:
        cancel(self._slowed)


@implementer(IPushProducer)
class Output:
    """The unsent output of a link. `abort` drops a link that takes nothing.

    Deliveries and files wait for their answers (`Delivery`, `FileSender`), which bounds them. Responder are
    bounded here, by not reading the requests that would cause more. Two realms that keep to the protocol
    never block each other: the answers to everything that one has under way stay below MAX_UNREAD.
    """

    def __init__(self, clock: Any, flow: Flow, abort: Callable[[], Any]) -> None:
        self._clock = clock
        self._flow = flow
        self._abort = abort
        self._unread = 0
        self._stalled: Any = None

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        if self._stalled is None:
            self._stalled = self._clock.callLater(STALL_TIME, self._abort)

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self.end()
        self._unread = 0
        self._flow.resume(OUTPUT)

    def stopProducing(self) -> None:
        """The connection is gone."""
        self.end()

    def answered(self, size: int) -> None:
        """Count an answer of `size` bytes."""
        if self._stalled is not None:
            self._unread += size
            if self._unread > MAX_UNREAD:
                self._flow.pause(OUTPUT)

    def end(self) -> None:
        cancel(self._stalled)
        self._stalled = None
