"""Failed logins count on all nodes of a realm."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.service.login_guard import FREE_FAILURES, FREE_FAILURES_PER_ACCOUNT, PasswordGuard
from chatd.service.node_news import NodeNews
from chatd.service.passwords import Passwords
from tests.support.buses import MemoryBus

HOUR = 3600


class Checks:
    """Replaces Passwords, counts the checks, and knows one password."""

    def __init__(self) -> None:
        self.checked = 0

    def verify(self, password: str, *_: object) -> Deferred[bool]:
        self.checked += 1
        return succeed(password == "right")


class GuessesAtSeveralNodes(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.checks = Checks()
        self.buses: list[MemoryBus] = []
        self.guards = [self.guard(f"node{number}") for number in range(4)]

    def guard(self, name: str) -> PasswordGuard:
        guard = PasswordGuard(self.clock, cast(Passwords, self.checks))
        guard.share(NodeNews(MemoryBus(name, self.buses), self.clock))
        return guard

    def attempt(self, node: int, word: str = "wrong", source: str = "192.0.2.1") -> Deferred[bool]:
        async def find_hash() -> str | None:
            return "hash"

        return Deferred.fromCoroutine(self.guards[node].check("messi", word, source, find_hash))

    def guess(self, nodes: int) -> int:
        """Guess for ten minutes, once a second at each of `nodes`. Returns how many guesses were checked."""
        before = self.checks.checked
        for _ in range(600):
            for node in range(nodes):
                self.attempt(node).addErrback(lambda _refused: None)
            self.clock.advance(1)
        return self.checks.checked - before

    def test_nodes_gain_nothing(self) -> None:
        """Who guesses at four nodes gets as many guesses as at one, and a few more at the beginning."""
        many = self.guess(4)
        self.clock.advance(HOUR)
        one = self.guess(1)
        self.assertGreater(one, 50)
        self.assertLess(many, 1.3 * one)

    def test_lost_bus(self) -> None:
        """Each node still limits its own."""
        for bus in self.buses:
            bus.lost = True
        many = self.guess(4)
        self.clock.advance(HOUR)
        one = self.guess(1)
        self.assertLess(abs(many - 4 * one), 0.1 * many)

    def test_right_password(self) -> None:
        """A login forgets the failures of the account from that address on all nodes."""
        for node in range(FREE_FAILURES + 1):
            self.attempt(node % 4)
        waiting = self.attempt(2, "right")
        self.assertNoResult(waiting)
        self.clock.advance(1)
        self.assertTrue(self.successResultOf(waiting))
        self.assertTrue(self.successResultOf(self.attempt(3, "right")))

    def test_familiar_address(self) -> None:
        """Where the account has logged in at one node, it does not wait for guessers at the others."""
        self.successResultOf(self.attempt(0, "right", "198.51.100.1"))
        for number in range(FREE_FAILURES_PER_ACCOUNT + 5):
            self.attempt(1, source=f"192.0.2.{number}")
        self.assertNoResult(self.attempt(2, "right", "203.0.113.1"))
        self.assertTrue(self.successResultOf(self.attempt(3, "right", "198.51.100.1")))
