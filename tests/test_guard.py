"""The gate before password checks: who may begin, who waits, and who is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.guard import MAX_WAIT, FailureGate, TooSoon
from chatd.throttle import FailureThrottle


class Gates(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.gate = FailureGate(self.clock, FailureThrottle(3, first=1.0, longest=4.0))
        self.begun: list[int] = []
        self.refused: list[int] = []
        self.number = 0

    def enter(self, times: int = 1) -> None:
        for _ in range(times):
            self.number += 1
            done: Deferred[None] = self.gate.enter("a")
            done.addCallbacks(self._begin, self._refuse, (self.number,), {}, (self.number,))

    def _begin(self, _none: None, number: int) -> None:
        self.begun.append(number)

    def _refuse(self, failure: Failure, number: int) -> None:
        failure.trap(TooSoon)
        self.refused.append(number)

    def test_as_many_as_may_fail_run_at_once(self) -> None:
        self.enter(5)
        self.assertEqual(self.begun, [1, 2, 3])
        self.gate.leave("a", failed=False)
        self.assertEqual(self.begun, [1, 2, 3, 4])

    def test_any_number_of_right_ones_waits(self) -> None:
        """None of a thousand is refused as long as nothing fails."""
        self.enter(1000)
        for _ in range(1000):
            self.gate.leave("a", failed=False)
        self.assertEqual(len(self.begun), 1000)
        self.assertEqual(self.refused, [])

    def test_parallel_guesses_gain_nothing(self) -> None:
        """Beyond the free failures one begins after the other, with a pause between."""
        self.enter(6)
        for _ in range(3):
            self.gate.leave("a", failed=True)
        self.assertEqual(self.begun, [1, 2, 3, 4])
        self.gate.leave("a", failed=True)
        self.assertEqual(self.begun, [1, 2, 3, 4])
        self.clock.advance(1.0)
        self.assertEqual(self.begun, [1, 2, 3, 4, 5])
        self.gate.leave("a", failed=True)
        self.clock.advance(1.9)
        self.assertEqual(len(self.begun), 5)
        self.clock.advance(0.2)
        self.assertEqual(len(self.begun), 6)

    def test_too_many_guesses_are_refused(self) -> None:
        """What would wait longer than half a minute is refused, the newest first."""
        self.enter(100)
        for _ in range(3):
            self.gate.leave("a", failed=True)
        self.assertEqual(self.refused[0], 100)
        waiting = 100 - len(self.begun) - len(self.refused)
        self.assertEqual(self.refused, list(range(100, 4 + waiting, -1)))
        began = self.clock.seconds()
        while len(self.begun) < 4 + waiting:
            self.gate.leave("a", failed=True)
            self.clock.advance(4.0)
        self.assertLessEqual(self.clock.seconds() - began, MAX_WAIT + 4.0 + waiting)

    def test_success_lets_the_others_in(self) -> None:
        self.enter(4)
        for _ in range(3):
            self.gate.leave("a", failed=True)
        self.enter(5)
        self.gate.forget("a")
        self.gate.leave("a", failed=False)
        self.assertEqual(self.begun, [1, 2, 3, 4, 5, 6, 7])
        self.assertEqual(self.refused, [])

    @given(st.lists(st.booleans(), max_size=60))
    def test_nothing_is_kept_of_those_who_left(self, failures: list[bool]) -> None:
        clock = Clock()
        clock.advance(1000)
        gate = FailureGate(clock, FailureThrottle(2, first=1.0, longest=4.0))
        running: list[None] = []
        for failed in failures:
            gate.enter("a").addCallbacks(running.append, lambda failure: failure.trap(TooSoon))
            if running:
                running.pop()
                gate.leave("a", failed)
        while running or clock.getDelayedCalls():
            clock.advance(5)
            while running:
                running.pop()
                gate.leave("a", failed=False)
        self.assertEqual(gate._lines, {})
