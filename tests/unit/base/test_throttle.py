"""Rate limits: only those who exceed them wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.throttle import FailureThrottle, Quota, TokenBucket


class TokenBuckets(SynchronousTestCase):
    def test_burst_then_rate(self) -> None:
        """A burst passes at once; later events wait for their turn."""
        bucket = TokenBucket(rate=2, burst=3)
        self.assertEqual([bucket.take(100.0) for _ in range(5)], [0.0, 0.0, 0.0, 0.5, 1.0])

    def test_waiting_is_bounded(self) -> None:
        """An event that waits as long as it is told never waits longer than one turn."""
        bucket = TokenBucket(rate=2, burst=3)
        now = 100.0
        for _ in range(20):
            pause = bucket.take(now)
            self.assertLessEqual(pause, 0.5)
            now += pause
        self.assertAlmostEqual(now, 100.0 + (20 - 3) / 2)

    def test_idle_time_refills_the_burst(self) -> None:
        bucket = TokenBucket(rate=1, burst=2)
        bucket.take(0.0)
        bucket.take(0.0)
        pauses = [bucket.take(1e6) for _ in range(3)]
        self.assertEqual(pauses, [0.0, 0.0, 1.0])

    def test_no_limit(self) -> None:
        bucket = TokenBucket(rate=0, burst=0)
        self.assertEqual({bucket.take(5.0) for _ in range(1000)}, {0.0})

    def test_clock_set_back(self) -> None:
        """A clock that is set back delays nobody who is within the rate."""
        bucket = TokenBucket(rate=10, burst=50)
        bucket.take(7200.0)
        self.assertEqual(bucket.take(3600.0), 0.0)

    @given(
        st.floats(0.5, 100), st.floats(1, 100), st.lists(st.floats(0, 10), min_size=1, max_size=50)
    )
    def test_never_more_than_rate_and_burst(
        self, rate: float, burst: float, gaps: list[float]
    ) -> None:
        """In any order of asking and waiting, at most the burst and the rate's share pass."""
        bucket = TokenBucket(rate, burst)
        now = 1000.0
        for count, gap in enumerate(gaps):
            now += gap
            now += bucket.take(now)
            self.assertLessEqual(count + 1, burst + (now - 1000.0) * rate + 1 + 1e-6)


class FailureThrottles(SynchronousTestCase):
    def test_free_failures_cost_nothing(self) -> None:
        throttle = FailureThrottle(free=3)
        for _ in range(3):
            self.assertEqual(throttle.wait("a", 10.0), 0.0)
            throttle.failed("a", 10.0)
        self.assertEqual(throttle.wait("a", 10.0), 0.0)

    def test_pauses_double(self) -> None:
        """Beyond the free failures the pause doubles, up to the longest."""
        throttle = FailureThrottle(free=1, first=0.5, longest=3.0)
        now = 10.0
        throttle.failed("a", now)
        waits = []
        for _ in range(5):
            throttle.failed("a", now)
            waits.append(throttle.wait("a", now))
            now += waits[-1]
        self.assertEqual(waits, [0.5, 1.0, 2.0, 3.0, 3.0])

    def test_pause_passes_with_time(self) -> None:
        throttle = FailureThrottle(free=0, first=2.0)
        throttle.failed("a", 10.0)
        self.assertEqual(throttle.wait("a", 11.5), 0.5)
        self.assertEqual(throttle.wait("a", 13.0), 0.0)

    def test_parallel_guesses_gain_nothing(self) -> None:
        """Many attempts at once wait as long for the last as attempts one after another."""
        throttle = FailureThrottle(free=0, first=1.0, longest=4.0)
        waits = []
        for _ in range(4):
            waits.append(throttle.wait("a", 10.0))
            throttle.failed("a", 10.0)
        self.assertEqual(waits, [0.0, 1.0, 3.0, 7.0])

    def test_keys_are_independent(self) -> None:
        throttle = FailureThrottle(free=0)
        throttle.failed("a", 10.0)
        self.assertEqual(throttle.wait("b", 10.0), 0.0)

    def test_success_resets(self) -> None:
        throttle = FailureThrottle(free=1)
        for _ in range(5):
            throttle.failed("a", 10.0)
        self.assertGreater(throttle.wait("a", 10.0), 0)
        throttle.succeeded("a")
        self.assertEqual(throttle.wait("a", 10.0), 0.0)
        throttle.failed("a", 10.0)
        self.assertEqual(throttle.wait("a", 10.0), 0.0)

    def test_success_of_an_unknown_key(self) -> None:
        throttle = FailureThrottle(free=0)
        throttle.succeeded("nobody")
        self.assertEqual(throttle.wait("nobody", 1.0), 0.0)

    def test_forgotten_after_a_while(self) -> None:
        """After `memory` seconds without a failure the count starts again."""
        throttle = FailureThrottle(free=1, memory=60.0)
        for _ in range(4):
            throttle.failed("a", 10.0)
        throttle.failed("a", 200.0)
        self.assertEqual(throttle.wait("a", 200.0), 0.0)

    def test_memory_is_bounded(self) -> None:
        """At most `capacity` keys are remembered; the one that failed longest ago is forgotten first."""
        throttle = FailureThrottle(free=0, first=100.0, longest=100.0, capacity=3)
        for key in ("a", "b", "c"):
            throttle.failed(key, 10.0)
        throttle.failed("a", 10.0)
        throttle.failed("d", 10.0)
        self.assertEqual(throttle.wait("b", 10.0), 0.0)
        for key in ("a", "c", "d"):
            self.assertGreater(throttle.wait(key, 10.0), 0.0, key)


class Quotas(SynchronousTestCase):
    def test_burst_then_refill(self) -> None:
        quota = Quota(4)
        self.assertEqual([quota.take("a", 10.0) for _ in range(4)], [0.0] * 4)
        self.assertAlmostEqual(quota.take("a", 10.0), 900.0)
        self.assertAlmostEqual(quota.take("a", 460.0), 450.0)
        self.assertEqual(quota.take("a", 911.0), 0.0)
        self.assertGreater(quota.take("a", 911.0), 0.0)

    def test_keys_are_independent(self) -> None:
        quota = Quota(1)
        self.assertEqual(quota.take("a", 10.0), 0.0)
        self.assertEqual(quota.take("b", 10.0), 0.0)

    def test_refund(self) -> None:
        quota = Quota(1)
        quota.take("a", 10.0)
        quota.give_back("a")
        quota.give_back("b")
        self.assertEqual(quota.take("a", 10.0), 0.0)
        self.assertGreater(quota.take("a", 10.0), 0.0)

    def test_no_limit(self) -> None:
        quota = Quota(0)
        self.assertEqual({quota.take("a", 10.0) for _ in range(1000)}, {0.0})

    def test_clock_set_back(self) -> None:
        quota = Quota(1)
        quota.take("a", 7200.0)
        self.assertAlmostEqual(quota.take("a", 10.0), 3600.0)

    def test_memory_is_bounded(self) -> None:
        quota = Quota(1, capacity=3)
        for key in "abcd":
            quota.take(key, 10.0)
        self.assertGreater(quota.take("d", 10.0), 0.0)
        self.assertEqual(quota.take("a", 10.0), 0.0)
