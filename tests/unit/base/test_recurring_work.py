"""Work in the background that is done again and again."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import StorageFailed
from chatd.base.recurring_work import MAX_REST, MIN_REST, REST, RecurringWork

RETRY = 100.0


class RecurringTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.runs: list[float] = []  # when each began
        self.then: float | None = 10.0  # what a run returns
        self.error: Exception | None = None
        self.step: Deferred[None] = succeed(None)
        self.work = RecurringWork(self.clock, self.run_once, RETRY, "it was not {done}")

    async def run_once(self) -> float | None:
        self.runs.append(self.clock.seconds())
        if self.error is not None:
            raise self.error
        await self.step
        return self.then


class Runs(RecurringTestCase):
    def test_again_and_again(self) -> None:
        self.work.start(5.0)
        self.clock.pump([1.0] * 30)
        self.assertEqual(self.runs, [5.0, 15.0, 25.0])
        self.work.stop()
        self.clock.pump([1.0] * 30)
        self.assertEqual(len(self.runs), 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_started_again(self) -> None:
        """A run that goes on after a stop is the only one until it ends."""
        self.step = Deferred()
        self.work.start(0.0)
        self.clock.advance(0)
        self.work.stop()
        self.work.start(0.0)
        self.clock.advance(1)
        self.assertEqual(len(self.runs), 1)
        self.assertTrue(self.work.is_interrupted)
        step, self.step = self.step, succeed(None)
        step.callback(None)
        self.clock.advance(0)
        self.assertEqual(len(self.runs), 2)

    def test_started_twice(self) -> None:
        """A second start interrupts nothing, and lets a run follow one that would be the last."""
        self.step = Deferred()
        self.work.start(0.0)
        self.clock.advance(0)
        self.work.start(5.0)
        self.assertFalse(self.work.is_interrupted)
        step, self.step = self.step, Deferred()
        step.callback(None)
        self.clock.advance(5.0)
        self.assertEqual(self.runs, [0.0])  # it has a time of its own
        self.clock.advance(5.0)
        self.assertEqual(self.runs, [0.0, 10.0])
        self.then = None
        self.work.start(5.0)
        step, self.step = self.step, succeed(None)
        step.callback(None)
        self.clock.advance(5.0)
        self.assertEqual(self.runs, [0.0, 10.0, 15.0])
        self.clock.advance(100.0)
        self.assertEqual(len(self.runs), 3)

    def test_wake(self) -> None:
        """It begins a run early, and one after the run that is under way, and none before the start."""
        self.work.wake()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.then = None
        self.work.start(5.0)
        self.work.wake()
        self.clock.advance(0)
        self.assertEqual(self.runs, [0.0])
        self.clock.advance(1000.0)
        self.assertEqual(len(self.runs), 1)
        self.step = Deferred()
        self.work.wake()
        self.clock.advance(0)
        self.assertFalse(self.work.is_interrupted)
        self.work.wake()
        self.clock.advance(0)
        self.assertTrue(self.work.is_interrupted)
        self.assertEqual(len(self.runs), 2, "one at a time")
        step, self.step = self.step, succeed(None)
        step.callback(None)
        self.clock.advance(0)
        self.assertEqual(len(self.runs), 3)
        self.clock.advance(1000.0)
        self.assertEqual(len(self.runs), 3)

    def test_failures(self) -> None:
        """An expected one is not logged again."""
        self.work.start(0.0)
        for self.error, logged in ((StorageFailed(), 0), (RuntimeError("broken"), 1)):
            self.clock.advance(RETRY)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), logged)
        self.assertEqual(len(self.runs), 2)
        self.error = None
        self.clock.advance(RETRY)
        self.assertEqual(len(self.runs), 3)

    def test_stop_waits(self) -> None:
        """It fires when the step has ended, and not before."""
        self.step = Deferred()
        self.work.start(0.0)
        self.clock.advance(0)
        stopped = self.work.stop()
        self.assertTrue(self.work.is_interrupted)
        self.assertNoResult(stopped)
        self.step.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Rests(RecurringTestCase):
    def rest_after(self, seconds: float) -> float:
        """How long it rests after a step of that length."""
        work: Deferred[str] = Deferred()
        done = Deferred.fromCoroutine(self.work.step(work))
        self.clock.advance(seconds)
        work.callback("done")
        [call] = self.clock.getDelayedCalls()
        rest = call.getTime() - self.clock.seconds()
        self.assertNoResult(done)
        self.clock.advance(rest)
        self.assertEqual(self.successResultOf(done), "done")
        return rest

    def test_as_long_as_it_took(self) -> None:
        for took, rest in ((0.0, MIN_REST), (0.05, REST * 0.05), (10.0, MAX_REST)):
            self.assertAlmostEqual(self.rest_after(took), rest)

    def test_not_longer_than_until_stop(self) -> None:
        done = Deferred.fromCoroutine(self.work.step(succeed("done")))
        self.assertNoResult(done)
        self.work.stop()
        self.assertEqual(self.successResultOf(done), "done")

    def test_no_rest_after_stop(self) -> None:
        """If it is stopped during a step, the run goes on at once when the step has ended."""
        step: Deferred[None] = Deferred()
        self.step = Deferred.fromCoroutine(self.work.step(step))
        self.work.start(0.0)
        self.clock.advance(0)
        stopped = self.work.stop()
        self.assertNoResult(stopped)
        step.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failing_step(self) -> None:
        failing: Deferred[None] = Deferred()
        done = Deferred.fromCoroutine(self.work.step(failing))
        failing.errback(StorageFailed())
        self.failureResultOf(done, StorageFailed)
