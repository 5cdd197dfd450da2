"""Deletions and imports of accounts at several nodes: one node does the work for all."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import StorageFailed
from chatd.base.recurring_work import RecurringWork
from chatd.base.texts import Secret
from chatd.cluster.local_bus import LocalBus
from chatd.commands.values.accounts import DeleteAccount
from chatd.service.node_news import NodeNews
from chatd.service.node_work import NodeWork, WorkKind
from chatd.service.paced_read import BETWEEN
from chatd.store.departures import unfinished
from tests.support.buses import MemoryBus
from tests.support.node_servers import NodeServer, NodesTestCase


class Node:
    """What its work was told. `looks` are how often it has looked at the database, which fails with
    `error`."""

    def __init__(self, name: str, buses: list[MemoryBus], clock: Clock) -> None:
        self.bus = MemoryBus(name, buses)
        self.news = NodeNews(self.bus, clock)
        self.work = NodeWork(self.news)
        self.begun: list[int] = []
        self.looks = self.suspended = 0
        self.error: Exception | None = None
        self.work.add("imports", WorkKind(self._look, self.begun.append, self._suspend))

    def _look(self) -> Coroutine[Any, Any, object]:
        async def look() -> None:
            if self.error is not None:
                raise self.error
            self.looks += 1

        return look()

    def _suspend(self) -> None:
        self.suspended += 1


class WorkAtNodes(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.buses: list[MemoryBus] = []
        self.one, self.two = (Node(name, self.buses, self.clock) for name in ("one", "two"))
        self.one.work.start()

    def test_told(self) -> None:
        """The node that does the work begins what another one has stored, and its own at once."""
        self.assertFalse(self.two.work.claim("imports", 5))
        self.assertEqual((self.one.begun, self.two.begun), ([5], []))
        self.assertTrue(self.one.work.claim("imports", 6))
        self.assertEqual((self.one.begun, self.two.begun), ([5], []))
        self.two.work.claim("of a later version", 7)
        self.assertEqual(self.one.begun, [5])

    def test_handed_over(self) -> None:
        """The next node looks for what is left, and the one before stops."""
        self.assertEqual((self.one.looks, self.two.looks), (1, 0))
        self.one.work.suspend()
        self.two.work.start()
        self.assertEqual((self.one.suspended, self.two.looks), (1, 1))
        self.assertFalse(self.one.work.claim("imports", 5))
        self.assertEqual(self.two.begun, [5])

    def test_lost(self) -> None:
        """What was not heard, or not told because its node has died, is found by a look."""
        self.two.bus.lost = True
        self.two.work.claim("imports", 5)
        self.clock.advance(0)
        self.clock.advance(BETWEEN)
        self.assertEqual((self.one.begun, self.one.looks), ([], 2))
        self.one.news.gone("two")
        self.clock.advance(BETWEEN)
        self.assertEqual((self.one.looks, self.two.looks), (3, 0))

    def test_not_heard(self) -> None:
        """While another node is not heard, the database is read twice a second, and no run is interrupted."""
        step: Deferred[None] = Deferred()
        runs: list[float] = []

        async def run() -> None:
            runs.append(self.clock.seconds())
            await step

        work = RecurringWork(self.clock, run, 1.0, "")
        self.one.work.add_recurring("things", work, 5.0)
        work.start(0.0)
        self.clock.advance(0)
        for _ in range(20):
            self.two.bus.tell_gap("one")
            self.one.bus.tell_gap("two")
            self.clock.advance(0.1)
        self.assertLessEqual(self.one.looks, 2 / BETWEEN + 1)
        self.assertGreaterEqual(self.one.looks, 2 / BETWEEN - 1)
        self.assertFalse(work.is_interrupted)
        step.callback(None)
        self.clock.advance(4.9)
        self.assertEqual(runs, [0.0])
        self.clock.advance(0.1)
        self.assertEqual(runs, [0.0, 7.0])

    def test_database_away(self) -> None:
        """What can't be looked for now is looked for later, and stops no other kind."""
        others: list[str] = []

        async def look() -> None:
            others.append("looked")

        self.one.work.add("others", WorkKind(look, lambda _id: None, lambda: None))
        self.one.error = StorageFailed()
        self.one.work.start()
        self.clock.advance(BETWEEN)
        self.assertEqual((self.one.looks, others), (1, ["looked"]))
        self.one.error = None
        self.clock.advance(BETWEEN)
        self.assertEqual((self.one.looks, others), (2, ["looked"] * 2))
        self.one.error = ValueError()
        self.one.work.start()
        self.clock.advance(2 * BETWEEN)
        self.assertEqual((self.one.looks, others), (2, ["looked"] * 3))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_recurring(self) -> None:
        """What is not for single accounts is begun by the node that does the work, and again by the next."""
        runs: list[str] = []
        works = [self.recurring(node, runs) for node in (self.one, self.two)]
        self.one.work.wake("things", works[0])
        self.two.work.wake("things", works[1])
        self.clock.advance(0)
        self.assertEqual(runs, [])  # the first one comes later
        self.one.news.gone("three")
        self.clock.advance(BETWEEN)
        self.clock.advance(5)
        self.assertEqual(runs, ["one"])
        self.two.work.wake("things", works[1])
        self.clock.advance(0)
        self.assertEqual(runs, ["one", "one"])
        self.one.work.suspend()
        self.two.work.start()
        self.clock.advance(5)
        self.one.work.wake("things", works[0])
        self.clock.advance(0)
        self.assertEqual(runs, ["one", "one", "two", "two"])
        self.two.work.stop()
        works[1].stop()
        self.two.news.gone("three")
        self.clock.advance(BETWEEN)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def recurring(self, node: Node, runs: list[str]) -> RecurringWork:
        async def run() -> None:
            runs.append(node.bus.name)

        work = RecurringWork(self.clock, run, 1.0, "")
        node.work.add_recurring("things", work, 5.0)
        return work

    def test_alone(self) -> None:
        """Without other nodes it is done where it was begun."""
        work = NodeWork(NodeNews(LocalBus(), self.clock))
        self.assertTrue(work.claim("imports", 5))


class Deletions(NodesTestCase):
    def delete(self, node: NodeServer, name: str) -> None:
        """Delete an account of a member of the group, and its messages, at this node."""
        person = node.person(name)
        person.joins("bagan")
        person.posts("bagan", f"dari {name}")
        person.does(DeleteAccount(Secret("surabaya"), "erase"))

    def left(self) -> tuple[int, int, list[str]]:
        """How many deletions are unfinished, how many members the group has, and texts in it of people who
        were deleted."""
        node = self.b
        return (
            len(node.realm.database.now(unfinished)),
            len(self.citra.members("bagan")),
            [text for text in self.citra.history(group="bagan") if "dari" in text],
        )

    def test_other_nodes_finish_it(self) -> None:
        """An account that is deleted at one node leaves its groups by the work of the node that does it for
        all; if that one is dead, by that of the next one."""
        self.network.advance(1.0)
        self.citra = self.b.person("citra")
        self.citra.creates("bagan")
        first, second = self.a.realm.service.context.work, self.b.realm.service.context.work
        self.assertEqual([first.is_here, second.is_here], [True, False])
        self.delete(self.b, "ana")
        self.network.advance(1.0)
        self.assertEqual(self.left(), (0, 1, []))
        self.a.kill()
        self.delete(self.b, "dewi")
        self.network.settle()
        self.assertEqual(self.left()[0], 1)
        self.expire()
        self.network.advance(3.0)
        self.assertTrue(second.is_here)
        self.assertEqual(self.left(), (0, 1, []))


del NodesTestCase  # it is no test
