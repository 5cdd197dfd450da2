"""Work in the background that is done again and again, in steps between which others have their turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from chatd.base.background import EXPECTED
from chatd.base.timers import Timer

# After each step the work rests for so many times as long as the step took.
REST = 4.0
MIN_REST, MAX_REST = 0.01, 1.0  # seconds

T = TypeVar("T")

log = Logger()


class RecurringWork:
    """Runs `work` between `start` and `stop`, one run at a time.

    `work` returns the seconds until its next run; None: until `wake`. It looks at `is_interrupted` between
    two steps. A run that fails is tried again after `retry` seconds. An unexpected failure is logged with
    `what`, a sentence that says what was not done; the database logs the others.
    """

    def __init__(
        self,
        clock: IReactorTime,
        work: Callable[[], Coroutine[Any, Any, float | None]],
        retry: float,
        what: str,
    ) -> None:
        self._clock = clock
        self._work = work
        self._retry = retry
        self._what = what
        self._timer = Timer(clock, self._begin)
        self._working: Deferred[None] | None = None
        self._resting: Deferred[None] | None = None
        self._again = False
        self._next: float | None = None  # seconds after a run that returns None
        self._started = False

    def start(self, seconds: float) -> None:
        """Let the first run begin in `seconds`. A run that has not ended since a `stop` begins anew. If the
        work was started already, this only makes sure that another run follows, and interrupts none."""
        was_started, self._started = self._started, True
        if self._working is None:
            self._timer.start(seconds)
        elif was_started:
            self._next = seconds
        else:
            self._again = True

    def stop(self) -> Deferred[None]:
        """Fires when the step that is under way has ended."""
        self._started = False
        self._timer.cancel()
        if self._resting is not None:
            self._resting.cancel()
        return succeed(None) if self._working is None else self._working

    def wake(self) -> None:
        """Begin a run now, or once the one that is under way has ended."""
        if self._working is not None:
            self._again = True
        elif self._started:
            self._timer.restart(0.0)

    @property
    def is_interrupted(self) -> bool:
        """Whether the run should end early: the work stops, or is to begin anew."""
        return self._again or not self._started

    async def step(self, work: Awaitable[T]) -> T:
        """Wait for a step, and rest after it, but not longer than until `stop`. Returns and raises as the
        step."""
        began = self._clock.seconds()
        result = await work
        took = self._clock.seconds() - began
        await self.rest(min(max(REST * took, MIN_REST), MAX_REST))
        return result

    async def rest(self, seconds: float) -> None:
        """Let others have their turn for so long, but not longer than until `stop`."""
        if self._working is not None and not self._started:
            return  # it was stopped during the step
        self._resting = deferLater(self._clock, seconds)
        with suppress(CancelledError):
            await self._resting
        self._resting = None

    def _begin(self) -> None:
        self._again, self._next = False, None
        self._working = Deferred()
        Deferred.fromCoroutine(self._run()).addCallback(self._ended)

    async def _run(self) -> float | None:
        try:
            return await self._work()
        except EXPECTED:
            return self._retry
        except Exception:
            log.failure("{what}", what=self._what)
            return self._retry

    def _ended(self, delay: float | None) -> None:
        working, self._working = self._working, None
        if self._again:
            delay = 0.0
        elif delay is None:
            delay = self._next
        if self._started and delay is not None:
            self._timer.start(delay)
        if working is not None:
            working.callback(None)
