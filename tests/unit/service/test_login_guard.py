"""The gates before password checks: which attempts begin, wait, or are refused."""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import Busy
from chatd.base.throttle import FailureThrottle
from chatd.service.account_turns import PAUSE
from chatd.service.login_guard import (
    FREE_FAILURES_PER_ACCOUNT,
    MAX_AT_ONCE,
    MAX_PENDING,
    MAX_PENDING_PER_ACCOUNT,
    MAX_WAIT,
    FailureGate,
    PasswordGuard,
    TooSoon,
)
from chatd.service.passwords import LOGIN, SUSPECT, Passwords


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

    def test_attempts_without_failures_wait(self) -> None:
        """As long as nothing fails, none of a thousand attempts is refused."""
        self.enter(1000)
        for _ in range(1000):
            self.gate.leave("a", failed=False)
        self.assertEqual(len(self.begun), 1000)
        self.assertEqual(self.refused, [])

    def test_parallel_guesses_gain_nothing(self) -> None:
        """After the free failures, attempts begin one after another, with pauses."""
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
        """Attempts that would wait longer than half a minute are refused, the newest first."""
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
    def test_nothing_stays_in_memory(self, failures: list[bool]) -> None:
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


class Checks:
    """Replaces Passwords: the checks wait for `answer`."""

    def __init__(self) -> None:
        self.waiting: list[tuple[tuple[str, str], int, Deferred[bool]]] = []

    def verify(
        self, _password: str, _hashed: str | None, owner: tuple[str, str], priority: int
    ) -> Deferred[bool]:
        done: Deferred[bool] = Deferred()
        self.waiting.append((owner, priority, done))
        return done

    def answer(self, good: bool) -> None:
        waiting, self.waiting = self.waiting, []
        for _, _, done in waiting:
            done.callback(good)


class WhoGoesFirst(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.checks = Checks()
        self.guard = PasswordGuard(self.clock, cast(Passwords, self.checks))

    def attempt(self, name: str, source: str, hashed: str | None = "hash") -> Deferred[bool]:
        async def find_hash() -> str | None:
            return hashed

        return Deferred.fromCoroutine(self.guard.check(name, "secret", source, find_hash))

    def log_in(self, name: str, source: str) -> None:
        done = self.attempt(name, source)
        self.checks.answer(True)
        self.assertTrue(self.successResultOf(done))

    @property
    def priorities(self) -> list[int]:
        return [priority for _, priority, _ in self.checks.waiting]

    def test_a_burst_at_one_account_goes_after_others(self) -> None:
        """Sixty addresses make their first guess at once, before any is known to be wrong."""
        guesses = [self.attempt("messi", f"192.0.2.{number}") for number in range(60)]
        self.attempt("lineker", "198.51.100.1")
        few = MAX_AT_ONCE
        self.assertEqual(self.priorities, [LOGIN] * few + [SUSPECT] * (60 - few) + [LOGIN])
        self.checks.answer(False)
        for guess in guesses:
            self.assertFalse(self.successResultOf(guess))
        self.assertEqual(self.guard._checking, {})

    def test_unknown_names(self) -> None:
        """Guesses at unknown names do not delay other logins from the same address."""
        self.attempt("nobody1", "192.0.2.1", None)
        self.checks.answer(False)
        self.attempt("nobody2", "192.0.2.1", None)
        self.attempt("messi", "192.0.2.1")
        self.assertEqual(self.priorities, [SUSPECT, LOGIN])

    def test_owner_at_a_known_address(self) -> None:
        """They neither wait for guessers at other addresses, nor have a lower priority."""
        self.log_in("messi", "198.51.100.1")
        for _ in range(2):
            for number in range(60):
                self.attempt("messi", f"192.0.2.{number}")
            self.checks.answer(False)
        self.attempt("messi", "203.0.113.1")
        self.assertEqual(self.priorities, [])  # who comes from elsewhere has to wait
        self.attempt("messi", "198.51.100.1")
        self.assertEqual(self.priorities, [LOGIN])
        self.checks.answer(False)
        self.attempt("messi", "198.51.100.1")
        self.assertNotIn(LOGIN, self.priorities)  # there was a failure here, too

    def test_owner_at_a_new_address(self) -> None:
        """They do not wait for all the guessers, and not for a burst of new ones, either."""
        for _ in range(2):
            for number in range(60):
                self.attempt("messi", f"192.0.2.{number}")
            self.checks.answer(False)
        owner = self.attempt("messi", "198.51.100.1")
        self.clock.advance(PAUSE)
        self.assertEqual([each[0] for each in self.checks.waiting], [("198.51.100.1", "messi")])
        self.checks.answer(True)
        self.assertTrue(self.successResultOf(owner))

    def test_owner_among_new_guessers(self) -> None:
        """One has a turn at a time, the newest or the oldest; nobody waits for longer than four seconds."""
        for number in range(FREE_FAILURES_PER_ACCOUNT + 10):
            self.attempt("messi", f"192.0.2.{number}")
        self.checks.answer(False)
        for number in range(100, 150):
            self.attempt("messi", f"192.0.2.{number}")
        self.attempt("messi", "198.51.100.1")
        self.clock.advance(PAUSE)
        self.assertEqual([each[0][0] for each in self.checks.waiting], ["198.51.100.1"])
        self.clock.advance(PAUSE)
        self.assertEqual(self.checks.waiting[1][0][0], "192.0.2.100")
        self.clock.pump([0.1] * 40)
        self.assertEqual(len(self.checks.waiting), 51)
        self.checks.answer(False)
        self.clock.pump([0.1] * 200)
        self.assertEqual((self.guard._turns._lines, self.clock.getDelayedCalls()), ({}, []))

    def test_pending_attempts_are_limited(self) -> None:
        """Each attempt takes memory until it is answered, even if its connection is closed."""
        tries = [self.attempt("messi", "192.0.2.1") for _ in range(MAX_PENDING_PER_ACCOUNT)]
        self.failureResultOf(self.attempt("messi", "192.0.2.1"), Busy)
        for number in range(MAX_PENDING - MAX_PENDING_PER_ACCOUNT):
            tries.append(self.attempt(f"player{number}", "192.0.2.1"))
        self.failureResultOf(self.attempt("lineker", "192.0.2.1"), Busy)
        self.attempt("lineker", "192.0.2.2")
        while self.checks.waiting:
            self.checks.answer(True)
        self.assertTrue(all(self.successResultOf(each) for each in tries))
        self.assertEqual(self.guard._pending, {})
