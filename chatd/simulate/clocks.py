"""A task.Clock for many timers: it does not sort all of them whenever one is set or runs."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.task import Clock

_time = attrgetter("time")


class TimerClock(Clock):
    """`calls` is sorted by the times for which calls were set. A call that is put off stays in its place
    until it is the first, as in the reactor."""

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 - as in Clock
        *args: object,
        **kw: object,
    ) -> Any:
        due = self.rightNow + delay
        call = DelayedCall(due, callable, args, kw, self.calls.remove, self._moved, self.seconds)
        insort(self.calls, call, key=_time)
        return call

    def _moved(self, call: DelayedCall) -> None:
        """The call is due earlier than before."""
        self.calls.remove(call)
        insort(self.calls, call, key=_time)

    def next_due(self) -> float:
        """Return when the next timer is due; infinity if there is none."""
        while self.calls:
            call = self.calls[0]
            if not call.delayed_time:
                return call.time
            del self.calls[0]
            call.activate_delay()
            insort(self.calls, call, key=_time)
        return math.inf

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        while self.next_due() <= self.rightNow:
            call = self.calls.pop(0)
            call.called = 1
            call.func(*call.args, **call.kw)
