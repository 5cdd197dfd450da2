"""Lookups are remembered, shared and bounded."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import BadCertificate, Busy, RealmNotFound, TooManyLookups
from chatd.federation.amp.lookup import DialPlace, NotFound
from chatd.federation.amp.place_finder import FAILED_FOR, FOUND_FOR, MAX_UNDER_WAY, PlaceFinder

PLACES = [DialPlace("192.0.2.1", 8890)]


class PlaceFinderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[str, Deferred[list[DialPlace]]]] = []
        self.finder = PlaceFinder(self.clock, self.find)

    def find(self, realm: str) -> Deferred[list[DialPlace]]:
        found: Deferred[list[DialPlace]] = Deferred()
        self.asked.append((realm, found))
        return found

    def answered(self, realm: str, cause: str = "account 1") -> list[DialPlace]:
        """The places, which are found at once if they are asked for."""
        before = len(self.asked)
        waiting = self.finder.places(realm, cause)
        if len(self.asked) > before:
            self.asked[-1][1].callback(PLACES)
        return self.successResultOf(waiting)

    def test_remembered(self) -> None:
        for _ in range(3):
            self.assertEqual(self.answered("a"), PLACES)
        self.assertEqual(len(self.asked), 1)
        self.clock.advance(FOUND_FOR)
        self.answered("a")
        self.assertEqual(len(self.asked), 2)
        self.finder.forget("a")
        self.answered("a")
        self.assertEqual(len(self.asked), 3)

    def test_shared(self) -> None:
        waiting = [self.finder.places("a", f"account {at}") for at in range(3)]
        waiting[0].cancel()
        self.failureResultOf(waiting[0])
        self.assertEqual(len(self.asked), 1)
        self.asked[0][1].callback(PLACES)
        self.assertEqual([self.successResultOf(each) for each in waiting[1:]], [PLACES] * 2)

    def test_not_found(self) -> None:
        """A failure is remembered for 10 minutes, for all accounts."""
        waiting = self.finder.places("a", "account 1")
        self.asked[0][1].errback(NotFound("there is nothing"))
        error = self.failureResultOf(waiting, RealmNotFound).value
        self.assertIn("there is nothing", str(error))
        self.clock.advance(FAILED_FOR - 1)
        self.failureResultOf(self.finder.places("a", "account 2"), RealmNotFound)
        self.assertEqual(len(self.asked), 1)
        self.clock.advance(1)
        self.answered("a")

    def test_not_accepted(self) -> None:
        self.answered("a")
        self.finder.failed("a", BadCertificate(realm="a", reason="it ended"))
        self.failureResultOf(self.finder.places("a", "account 2"), BadCertificate)

    def test_too_many(self) -> None:
        """20 in an hour for each cause; what is remembered does not count."""
        for at in range(20):
            self.answered(f"r{at}")
            self.answered(f"r{at}")
        error = self.failureResultOf(self.finder.places("b", "account 1"), TooManyLookups).value
        self.assertIn("try again in 3 min", str(error))
        self.answered("b", "account 2")
        self.assertEqual(len(self.asked), 21)
        self.clock.advance(200)
        self.answered("c")

    def test_at_the_same_time(self) -> None:
        for at in range(MAX_UNDER_WAY):
            self.finder.places(f"r{at}", f"account {at}").addErrback(lambda _failure: None)
        self.failureResultOf(self.finder.places("b", "account 99"), Busy)
        self.asked[0][1].callback(PLACES)
        self.answered("b", "account 99")
        self.finder.stop()
        self.assertEqual(len([each for _, each in self.asked if not each.called]), 0)
