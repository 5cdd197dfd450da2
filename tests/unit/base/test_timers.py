"""Timers that are scheduled once at a time, and signals that wake waiting callers."""

from __future__ import annotations

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.timers import Signal, Timer, cancel


class CancelTest(SynchronousTestCase):
    def test_no_timer(self) -> None:
        cancel(None)

    def test_fired_and_cancelled_timers(self) -> None:
        clock = Clock()
        fired, cancelled = clock.callLater(1, int), clock.callLater(2, int)
        clock.advance(1)
        for timer in (fired, cancelled, cancelled):
            cancel(timer)
        self.assertEqual(clock.getDelayedCalls(), [])


class TimerTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.calls = 0
        self.timer = Timer(self.clock, self.call)

    def call(self) -> None:
        self.assertIsNone(self.timer.due)
        self.calls += 1

    def test_calls_once(self) -> None:
        self.timer.start(2)
        self.assertEqual(self.timer.due, 2)
        self.clock.pump([1, 1, 5])
        self.assertEqual(self.calls, 1)

    def test_start_keeps_a_scheduled_call(self) -> None:
        self.timer.start(2)
        self.timer.start(1)
        self.clock.advance(1)
        self.assertEqual(self.calls, 0)
        self.clock.advance(1)
        self.assertEqual(self.calls, 1)

    def test_restart_replaces_a_scheduled_call(self) -> None:
        self.timer.restart(2)
        self.clock.advance(1)
        self.timer.restart(2)
        self.clock.advance(1)
        self.assertEqual((self.calls, self.timer.due), (0, 3))
        self.clock.advance(1)
        self.assertEqual(self.calls, 1)

    def test_cancel(self) -> None:
        self.timer.cancel()
        self.timer.start(1)
        self.timer.cancel()
        self.assertIsNone(self.timer.due)
        self.clock.advance(2)
        self.assertEqual(self.calls, 0)

    def test_starts_again_from_its_own_call(self) -> None:
        timer = Timer(self.clock, lambda: timer.start(1) if self.clock.seconds() < 3 else None)
        timer.start(1)
        self.clock.pump([1, 1])
        self.assertEqual(timer.due, 3)
        self.clock.advance(1)
        self.assertIsNone(timer.due)


class SignalTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.signal = Signal()

    def test_wakes_all_that_wait(self) -> None:
        waiting = [self.signal.wait(), self.signal.wait()]
        self.assertEqual(len(self.signal), 2)
        self.assertNoResult(waiting[0])
        self.signal.notify()
        for each in waiting:
            self.assertIsNone(self.successResultOf(each))
        self.assertEqual(len(self.signal), 0)

    def test_later_callers_wait_for_the_next(self) -> None:
        self.signal.notify()
        again: list[Deferred[None]] = []
        self.signal.wait().addCallback(lambda _: again.append(self.signal.wait()))
        self.signal.notify()
        self.assertNoResult(again[0])
        self.signal.notify()
        self.successResultOf(again[0])

    def test_failing_waiter_stops_no_other(self) -> None:
        failed = self.signal.wait().addCallback(lambda _: 1 / 0)
        other = self.signal.wait()
        self.signal.notify()
        self.failureResultOf(failed, ZeroDivisionError)
        self.successResultOf(other)

    def test_waiter_that_an_earlier_one_cancels(self) -> None:
        waiting: list[Deferred[None]] = []
        self.signal.wait().addCallback(lambda _: waiting[0].cancel())
        waiting.append(self.signal.wait())
        third = self.signal.wait()
        self.signal.notify()
        self.failureResultOf(waiting[0], defer.CancelledError)
        self.successResultOf(third)

    def test_timeout(self) -> None:
        clock = Clock()
        waiter = self.signal.wait().addTimeout(5, clock)
        clock.advance(5)
        self.failureResultOf(waiter, defer.TimeoutError)
        self.assertEqual(len(self.signal), 0)
        self.signal.notify()

    def test_notify_ends_the_timeout(self) -> None:
        clock = Clock()
        waiter = self.signal.wait().addTimeout(5, clock)
        self.signal.notify()
        self.successResultOf(waiter)
        self.assertEqual(clock.getDelayedCalls(), [])
