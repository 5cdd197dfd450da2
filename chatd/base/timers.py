"""Timers and signals: a delayed call that is scheduled once at a time, and a wake-up for waiting callers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IDelayedCall, IReactorTime


def cancel(timer: IDelayedCall | None) -> None:
    """Cancel a delayed call, unless there is none or it has fired."""
    if timer is not None and timer.active():
        timer.cancel()


class Timer:
    """Calls `call` later. At most one call is scheduled at a time."""

    __slots__ = ("_call", "_clock", "_delayed")

    def __init__(self, clock: IReactorTime, call: Callable[[], object]) -> None:
        self._clock = clock
        self._call = call
        self._delayed: IDelayedCall | None = None

    @property
    def due(self) -> float | None:
        """The clock's time at which the call is due; None if none is scheduled."""
        return None if self._delayed is None else self._delayed.getTime()

    def start(self, seconds: float) -> None:
        """Schedule the call, unless it is scheduled already."""
        if self._delayed is None:
            self._delayed = self._clock.callLater(seconds, self._fire)

    def restart(self, seconds: float) -> None:
        """Schedule the call, in place of one that is scheduled already."""
        if self._delayed is None:
            self._delayed = self._clock.callLater(seconds, self._fire)
        else:
            self._delayed.reset(seconds)

    def cancel(self) -> None:
        """Schedule nothing any more."""
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None

    def _fire(self) -> None:
        self._delayed = None
        self._call()


class Signal:
    """Wakes the callers that wait for it. It does not remember a `notify` for callers that come later."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []

    def __len__(self) -> int:
        """How many callers wait."""
        return len(self._waiting)

    def wait(self) -> Deferred[None]:
        """Fires at the next `notify`. It can be cancelled, so `addTimeout` limits the wait."""
        waiter: Deferred[None] = Deferred(self._cancelled)
        self._waiting.append(waiter)
        return waiter

    async def wait_at_most(self, seconds: float, clock: IReactorTime) -> None:
        """Return at the next `notify`, or when that time is over."""
        with suppress(TimedOut):
            await self.wait().addTimeout(seconds, clock)

    def notify(self) -> None:
        """Wake all callers that wait. Each has its own Deferred, so an exception in one stops no other."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:  # an earlier one may have cancelled it
                waiter.callback(None)

    def _cancelled(self, waiter: Deferred[None]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
