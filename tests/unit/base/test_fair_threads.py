"""The fair thread pool."""

from __future__ import annotations

import threading
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from chatd.base.errors import Busy, ShuttingDown
from chatd.base.fair_threads import FairThreads


class FairThreadsTest(TestCase):
    def setUp(self) -> None:
        self.threads = FairThreads(cast(Any, reactor), "test", threads=1, capacity=4, priorities=2)
        self.threads.start()
        self.stopped = False
        self.gate = threading.Event()
        self.done: list[str] = []
        self.addCleanup(self.stop)

    def stop(self) -> None:
        self.gate.set()
        if not self.stopped:
            self.stopped = True
            self.threads.stop()

    def work(self, name: str) -> str:
        self.gate.wait(10)
        self.done.append(name)
        return name

    def ask(self, owner: str, name: str, priority: int = 0) -> Deferred[str]:
        return self.threads.run((owner,), priority, self.work, name)

    async def test_owners_take_turns(self) -> None:
        """One call runs; waiting calls are taken by owner in turn, better classes first."""
        asked = [self.ask("a", "a1"), self.ask("a", "a2"), self.ask("a", "a3", 1)]
        asked += [self.ask("b", "b1"), self.ask("c", "c1", 1)]
        self.assertEqual(self.threads.waiting, 4)
        self.gate.set()
        self.assertEqual([await each for each in asked], ["a1", "a2", "a3", "b1", "c1"])
        self.assertEqual(self.done, ["a1", "a2", "b1", "a3", "c1"])

    async def test_full(self) -> None:
        """A call that makes room fails with Busy, and the others run."""
        asked = [self.ask("a", f"a{number}") for number in range(5)]
        late = self.ask("b", "b1")
        await self.assertFailure(asked[1], Busy)
        self.gate.set()
        self.assertEqual(await late, "b1")
        for each in (asked[0], *asked[2:]):
            await each

    async def test_failures_are_their_own(self) -> None:
        self.gate.set()
        broken = self.threads.run(("a",), 0, lambda: 1 // 0)
        good = self.ask("a", "a1")
        await self.assertFailure(broken, ZeroDivisionError)
        self.assertEqual(await good, "a1")

    async def test_stop(self) -> None:
        """Running calls finish; waiting and later ones are refused."""
        running, waiting = self.ask("a", "a1"), self.ask("a", "a2")
        self.stop()
        await self.assertFailure(waiting, ShuttingDown)
        await self.assertFailure(self.ask("a", "a3"), ShuttingDown)
        self.assertEqual(await running, "a1")
