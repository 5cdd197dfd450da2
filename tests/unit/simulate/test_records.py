"""Tests of chatd.simulate.records: which values may be there in the end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chatd.simulate.records import LastValue, TrackedRequest


def tracked() -> tuple[TrackedRequest, Deferred[Any]]:
    """A request, and its answer."""
    done: Deferred[Any] = Deferred()
    return TrackedRequest("ana", lambda: done, None, lambda _: None), done


class LastValueTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.value = LastValue("first")

    def asks(self, value: str, rights: list[TrackedRequest] | None = None) -> Deferred[Any]:
        """Ask for a value. The Deferred is its answer."""
        request, done = tracked()
        self.value.set(value, request, rights)
        return done

    def test_one_after_the_other(self) -> None:
        self.assertEqual(self.value.values, ["first"])
        self.asks("satu").callback(None)
        self.assertEqual(self.value.values, ["satu"])
        two = self.asks("dua")
        self.assertEqual(self.value.values, ["satu", "dua"])
        two.callback(None)
        self.assertEqual(self.value.values, ["dua"])

    def test_at_once(self) -> None:
        """Of two that do not wait for each other, either may come first; a later one comes after both."""
        one, two = self.asks("satu"), self.asks("dua")
        two.callback(None)
        one.callback(None)
        self.assertEqual(self.value.values, ["satu", "dua"])
        self.asks("tiga").callback(None)
        self.assertEqual(self.value.values, ["tiga"])

    def test_refused(self) -> None:
        self.asks("satu").callback(None)
        self.asks("dua").errback(ZeroDivisionError())
        self.assertEqual(self.value.values, ["satu", "dua"])
        self.assertEqual(self.value.asked, ["first", "satu", "dua"])

    def test_right_that_comes_meanwhile(self) -> None:
        """What is asked for without a right is never there; if the right comes meanwhile, it may be there."""
        rights: list[TrackedRequest] = []
        self.asks("satu", rights).callback(None)
        self.assertEqual(self.value.values, ["first"])
        right, given = tracked()
        rights.append(right)
        self.assertEqual(self.value.values, ["satu", "first"])
        given.callback(None)
        self.assertEqual(self.value.values, ["satu", "first"])
        self.asks("dua", rights).callback(None)
        self.assertEqual(self.value.values, ["dua"])
