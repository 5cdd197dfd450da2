"""Flow control on a link: when to stop reading, so that neither requests nor answers pile up in memory."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPushProducer, IReactorTime
from zope.interface import implementer

from chatd.base.throttle import TokenBucket
from chatd.base.timers import Timer

if TYPE_CHECKING:
    from chatd.federation.amp.link import PeerLink

MAX_UNREAD = 1 << 20  # bytes of answers that may wait to be sent; beyond that the link is not read
STALL_TIME = 60.0  # seconds within which everything that was written to a link must be sent


class Pause(Enum):
    """The reasons not to read from a link."""

    RATE = auto()  # the other realm exceeds its rate
    OUTPUT = auto()  # it does not read the answers
    BUSY = auto()  # too many of its requests are being answered
    EARLY = auto()  # too many of its requests came before the link was up


@implementer(IPushProducer)
class LinkFlow:
    """Decides whether `link` is read. It is also the producer of the link's transport, so that it knows when
    the other realm does not read.

    Deliveries and files wait for their answers, which bounds them. Answers are bounded here: while too many
    bytes of answers wait, the requests that would cause more are not read. Two realms that keep to the
    protocol never block each other, because the answers to everything that one realm may have under way stay
    below `MAX_UNREAD`.
    """

    def __init__(self, clock: IReactorTime, bucket: TokenBucket, link: PeerLink) -> None:
        self._clock = clock
        self._bucket = bucket
        self._link = link
        self._reasons: set[Pause] = set()
        self._unread = 0  # bytes of answers since the transport's buffer was empty
        self._slowed = Timer(clock, lambda: self.resume(Pause.RATE))
        self._stalled = Timer(clock, link.abort)

    def pause(self, reason: Pause) -> None:
        if not self._reasons:
            self._link.pause_reading()
        self._reasons.add(reason)

    def resume(self, reason: Pause) -> None:
        if reason in self._reasons:
            self._reasons.discard(reason)
            if not self._reasons:
                self._link.resume_reading()

    def take(self, cost: int) -> None:
        """Count `cost` requests, and pause if they exceed the rate."""
        self.slow(self._bucket.take(self._clock.seconds(), cost))

    def slow(self, seconds: float) -> None:
        """Pause for that many seconds, unless an earlier pause lasts longer."""
        if seconds <= 0:
            return
        self.pause(Pause.RATE)
        due = self._slowed.due
        if due is None or self._clock.seconds() + seconds > due:
            self._slowed.restart(seconds)

    def answered(self, size: int) -> None:
        """Count an answer of `size` bytes."""
        if self._stalled.due is not None:
            self._unread += size
            if self._unread > MAX_UNREAD:
                self.pause(Pause.OUTPUT)

    def end(self) -> None:
        """The link is gone."""
        self._slowed.cancel()
        self._stalled.cancel()

    # IPushProducer

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._stalled.start(STALL_TIME)

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._stalled.cancel()
        self._unread = 0
        self.resume(Pause.OUTPUT)

    def stopProducing(self) -> None:
        """The connection is gone."""
        self._stalled.cancel()
