"""Tests of chatd.simulate.clocks."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.simulate.clocks import TimerClock


class TimerClocks(SynchronousTestCase):
    def test_as_clock(self) -> None:
        """Calls that are set, put off, brought forward and cancelled run when those of a Clock do."""
        for seed in range(50):
            self.assertEqual(self.ran(TimerClock(), seed), self.ran(Clock(), seed))

    def ran(self, clock: Any, seed: int) -> list[tuple[int, float]]:
        """Do things at random, and return which calls ran when."""
        random = Random(seed)  # noqa: S311 - a test
        ran: list[tuple[int, float]] = []
        calls: list[Any] = []

        def run(number: int) -> None:
            ran.append((number, clock.seconds()))
            if random.random() < 0.5:
                add()

        def add() -> None:
            # No two at the same time: then a Clock runs first what was set first, even if it was put off.
            calls.append(clock.callLater(random.random() * 3, run, len(calls)))

        for _ in range(60):
            add()
            call = random.choice(calls)
            if call.active():
                kind, seconds = random.randrange(4), random.random() * 3
                if kind == 0:
                    call.delay(seconds)
                elif kind == 1:
                    call.reset(seconds)
                elif kind == 2:
                    call.cancel()
            clock.advance(random.random())
        return ran

    def test_next_due(self) -> None:
        clock = TimerClock()
        self.assertEqual(clock.next_due(), math.inf)
        first = clock.callLater(1, lambda: None)
        clock.callLater(2, lambda: None)
        self.assertEqual(clock.next_due(), 1)
        first.delay(5)
        self.assertEqual(clock.next_due(), 2)
        first.reset(0.5)
        self.assertEqual(clock.next_due(), 0.5)
        first.cancel()
        self.assertEqual(clock.next_due(), 2)
        clock.advance(2)
        self.assertEqual(clock.next_due(), math.inf)
