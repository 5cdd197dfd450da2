"""Tests of chatd.simulate.mishaps."""

from __future__ import annotations

import gc
from collections import Counter

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from chatd.simulate import runs
from chatd.simulate.mishaps import Mishaps
from chatd.simulate.runs import Result

log = Logger()


class MishapsTestCase(SynchronousTestCase):
    def test_failures(self) -> None:
        """Failures are noted with what was being done, and warnings are not."""
        with Mishaps() as mishaps:
            log.warn("the disk is nearly full")
            try:
                raise ZeroDivisionError("twice nothing")
            except ZeroDivisionError:
                log.failure("{what} was not counted", what="nothing")
        self.assertEqual(
            mishaps.found, ["nothing was not counted: ZeroDivisionError: twice nothing"]
        )
        self.assertIn("test_mishaps.py", mishaps.details[0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_unhandled(self) -> None:
        with Mishaps() as mishaps:
            Deferred[None]().errback(ZeroDivisionError())
            gc.collect()
        self.assertEqual(len(mishaps.found), 2)
        self.assertRegex(mishaps.found[-1], "ZeroDivisionError")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_afterwards(self) -> None:
        with Mishaps() as mishaps:
            pass
        Deferred[None]().errback(ZeroDivisionError())
        gc.collect()
        self.assertEqual(mishaps.found, [])
        self.flushLoggedErrors(ZeroDivisionError)

    def test_seed_fails(self) -> None:
        """A seed fails whose realms have logged such a thing, even if all promises were kept."""

        def run(seed: int, *_: object) -> Result:
            Deferred[None]().errback(ZeroDivisionError())
            return Result(seed, "", 0, Counter(), 0.0)

        self.patch(runs, "_simulate", run)
        result = runs.simulate(7, runs.SimulationOptions())
        self.assertRegex(result.violation or "", "^unexpected: ")
        self.assertIn("ZeroDivisionError", result.details)
        self.flushLoggedErrors(ZeroDivisionError)
