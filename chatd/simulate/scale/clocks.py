"""The virtual time of many realms: one queue of timers for all, and a clock for each realm."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from twisted.internet.base import DelayedCall


class WorldTime:
    """Runs the timers of all clocks in their order. Those that are due at the same time run in the order in
    which they were set, so a run is the same each time."""

    def __init__(self, start: float) -> None:
        self.now = start
        self.events = 0  # timers that have run
        self._queue: list[tuple[float, int, RealmClock, DelayedCall]] = []
        self._order = itertools.count()

    def add(self, clock: RealmClock, call: DelayedCall) -> None:
        heappush(self._queue, (call.time, next(self._order), clock, call))

    def run(self, until: float) -> None:
        """Let time pass until then."""
        queue, cpu = self._queue, time.thread_time
        while queue and queue[0][0] <= until:
            due, _, clock, call = heappop(queue)
            if call.cancelled or call.called or clock.stopped or due != call.time:
                continue  # one that was moved has another place in the queue
            if call.delayed_time:
                call.activate_delay()
                self.add(clock, call)
                continue
            self.now = max(self.now, due)
            call.called = 1
            self.events += 1
            began = cpu()
            call.func(*call.args, **call.kw)
            clock.busy += cpu() - began
        self.now = max(self.now, until)

    def waiting(self) -> int:
        """How many timers are set."""
        return sum(
            1
            for _, _, clock, call in self._queue
            if not (call.cancelled or call.called or clock.stopped)
        )


class RealmClock:
    """The reactor and the clock of one realm. Once it is `stopped`, as by a crash, nothing runs any more.
    `busy` is the real time, in seconds, that its timers took."""

    def __init__(self, world: WorldTime) -> None:
        self._world = world
        self.stopped = False
        self.busy = 0.0

    def seconds(self) -> float:
        return self._world.now

    def callLater(
        self, delay: float, call: Callable[..., object], *args: object, **kw: object
    ) -> DelayedCall:
        due = self._world.now + delay
        made = DelayedCall(due, call, args, kw, _ignore, self._moved, self.seconds)
        self._world.add(self, made)
        return made

    def _moved(self, call: DelayedCall) -> None:
        """The call is due earlier than before."""
        self._world.add(self, call)


def _ignore(_call: Any) -> None:
    """A cancelled call stays in the queue until it would be due."""
