"""Input control: why a connection is not read from at the moment, and how fast it may send commands."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from chatd.base.throttle import TokenBucket
from chatd.base.timers import Timer
from chatd.commands.sessions import Session


class Hold:
    """Reasons to stop reading. Plain integers, because they are tested for every line."""

    COMMAND: Final = 1  # a command is under way that no other may overtake
    OUTPUT: Final = 2  # the client does not read its replies
    RATE: Final = 4  # the client sends commands too fast
    DISK: Final = 8  # the disk is behind with the client's upload
    CLOSING: Final = 16  # no more requests are taken
    LOOKUP: Final = 32  # a token at the beginning of a long line is being looked up
    PACE: Final = 64  # replies wait until the client has read the ones before (PacedOutput)


class Input(Protocol):
    """The reading side of a connection: a LineReceiver."""

    paused: bool

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class InputControl:
    """Keeps `receiver` paused while there is any reason. `bucket` is the rate without a session."""

    __slots__ = ("_bucket", "_receiver", "_timer", "reasons")

    def __init__(self, receiver: Input, clock: IReactorTime, bucket: TokenBucket) -> None:
        self._receiver = receiver
        self._bucket = bucket
        self._timer = Timer(clock, self._release_rate)
        self.reasons = 0

    def hold(self, reason: int) -> None:
        """Stop reading until `reason` is released."""
        if not self.reasons:
            self._receiver.pauseProducing()
        self.reasons |= reason

    def _release_rate(self) -> None:
        self.release(Hold.RATE)

    def release(self, reason: int) -> None:
        """Resume reading if `reason` was the last reason not to."""
        if self.reasons & reason:
            self.reasons &= ~reason
            if not self.reasons:
                self._receiver.resumeProducing()

    def charge(self, session: Session | None, now: float, count: int = 1) -> None:
        """Count commands of `session`, or of a connection without one, and slow the client down if needed."""
        pause = (self._bucket if session is None else session.bucket).take(now, count)
        if pause > 0:
            self.hold(Hold.RATE)
            self._timer.restart(pause)

    def stop(self) -> None:
        """The connection is lost: never resume."""
        self.reasons |= Hold.CLOSING
        self._receiver.paused = True
        self._timer.cancel()
