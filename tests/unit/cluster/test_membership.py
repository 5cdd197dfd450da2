"""Nodes that come, go, fall silent and return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from chatd.cluster.membership import BEAT, JOINS_WITHIN, ClusterMembership
from chatd.store import nodes
from chatd.store.nodes import DEAD_AFTER, ClusterNode
from tests.support.nodes import SharedDatabaseTestCase, as_database, join

DEAD = DEAD_AFTER / 1000  # seconds


class Node:
    """A node, and what it is told: the names that come (+) and go (-), and new ids of itself (*)."""

    def __init__(self, case: SharedDatabaseTestCase, name: str) -> None:
        self.database = case.connect()
        me = case.join(self.database, name)
        self.membership = ClusterMembership(
            as_database(self.database), case.clock, case.wall, me.name, me.address
        )
        self.told: list[str] = []
        self.membership.on_came(lambda node: self.told.append(f"+{node.name}"))
        self.membership.on_gone(lambda node: self.told.append(f"-{node.name}"))
        self.membership.on_rejoined(lambda node: self.told.append(f"*{node.name}"))
        self.membership.start(me)

    def take(self) -> list[str]:
        told, self.told = self.told, []
        return told

    @property
    def id(self) -> int:
        me = self.membership.me
        return 0 if me is None else me.id


class Membership(SharedDatabaseTestCase):
    def start(self, name: str) -> Node:
        return Node(self, name)

    def try_to_join(self, name: str) -> ClusterNode | None:
        return join(self.connect(), name, int(self.wall() * 1000))

    def start_two(self) -> tuple[Node, Node]:
        a, b = self.start("a"), self.start("b")
        self.advance(5 * BEAT)
        self.assertEqual((a.take(), b.take()), (["+b"], ["+a"]))
        return a, b

    def stop(self, node: Node) -> None:
        self.successResultOf(Deferred.fromCoroutine(node.membership.stop()))

    def test_joining(self) -> None:
        a, b = self.start_two()
        me = a.membership.me
        assert me is not None
        self.assertEqual([node.name for node in b.membership.others.values()], ["a"])
        self.assertEqual(b.membership.others[me.id].address, "a.example.org")
        self.advance(20 * BEAT)
        self.assertEqual((a.take(), b.take()), ([], []))

    def test_leaving(self) -> None:
        a, b = self.start_two()
        self.stop(a)
        self.advance(BEAT)
        self.assertEqual(b.take(), ["-a"])
        self.stop(b)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_dying(self) -> None:
        """A node that misses three beats is removed within a beat more."""
        a, b = self.start_two()
        a.database.held = True
        self.advance(DEAD - BEAT)
        self.assertEqual(b.take(), [])
        self.advance(2.5 * BEAT)
        self.assertEqual(b.take(), ["-a"])
        self.assertEqual(dict(b.membership.others), {})

    def test_returning(self) -> None:
        """A node that was paused joins again with a new id."""
        a, b = self.start_two()
        before = a.id
        a.database.held = True
        self.advance(DEAD + 2 * BEAT)
        self.assertEqual(b.take(), ["-a"])
        a.database.held = False
        a.database.settle()
        self.advance(2 * BEAT)
        self.assertEqual((a.take(), b.take()), (["*a"], ["+a"]))
        self.assertGreater(a.id, before)
        self.assertEqual([*b.membership.others], [a.id])

    def test_everybody_was_silent(self) -> None:
        """When the database was away, nobody is removed: the beats of all nodes are late."""
        a, b = self.start_two()
        for node in (a, b):
            node.database.full = True
        self.advance(10 * DEAD)
        for node in (a, b):
            node.database.full = False
        self.advance(10 * BEAT)
        self.assertEqual((a.take(), b.take()), ([], []))

    def test_everybody_was_slow(self) -> None:
        """Nor when the database has answered nobody for a while."""
        a, b = self.start_two()
        for node in (a, b):
            node.database.held = True
        self.advance(10 * DEAD)
        for node in (b, a):
            node.database.held = False
            node.database.settle()
        self.advance(10 * BEAT)
        self.assertEqual((a.take(), b.take()), ([], []))

    def test_waited_for_a_turn(self) -> None:
        """Nor by the first beat after a long transaction: those of the other nodes wait behind it."""
        self.patch(nodes, "database_time", lambda _connection, _now: int(self.wall() * 1000))
        a, b = self.start_two()
        waiting: list[Callable[[], object]] = []
        for database in (a.database, b.database):
            run = database.run

            def wait(*job: Any, run: Any = run) -> Deferred[Any]:
                done: Deferred[Any] = Deferred()
                waiting.append(lambda: run(*job).chainDeferred(done))
                return done

            self.patch(database, "run", wait)  # as one that waits for a lock
        self.advance(DEAD + BEAT)
        self.assertEqual(len(waiting), 2)
        while waiting:
            waiting.pop(0)()
        self.advance(BEAT)
        self.assertEqual((a.take(), b.take()), ([], []))

    def test_dead_before_the_start(self) -> None:
        """A node that was dead when this one has joined has never come."""
        a = self.start("a")
        self.advance(BEAT)
        a.database.held = True
        self.advance(2 * DEAD)
        b = self.start("b")
        self.advance(2 * DEAD)
        self.assertEqual(b.take(), [])

    def test_killed_and_started(self) -> None:
        """A node that was killed joins when its earlier stay counts as dead."""
        a, b = self.start_two()
        a.database.held = True
        self.assertIsNone(self.try_to_join("a"))
        self.advance(JOINS_WITHIN)
        again = self.start("a")
        self.advance(BEAT)
        self.assertGreater(again.id, a.id)
        self.assertEqual(b.take(), ["-a", "+a"])

    def test_name_in_use(self) -> None:
        """A node with the name of another that lives does not join, and does not disturb that."""
        a, b = self.start_two()
        for _ in range(5):
            self.assertIsNone(self.try_to_join("a"))
            self.advance(BEAT)
        self.assertEqual((a.take(), b.take()), ([], []))

    def test_name_taken_by_another(self) -> None:
        """A node that was removed, and whose name another has taken, waits until it is free."""
        a, b = self.start_two()
        a.database.held = True
        self.advance(JOINS_WITHIN)
        again = self.start("a")
        self.advance(BEAT)
        a.database.held = False
        a.database.settle()
        self.advance(3 * BEAT)
        self.assertEqual(a.take(), [])
        self.stop(again)
        self.advance(2 * BEAT)
        self.assertIn("*a", a.take())
        self.assertEqual(b.take(), ["-a", "+a", "-a", "+a"])

    def test_not_left(self) -> None:
        """A node that can't leave is removed by the others."""
        a, b = self.start_two()
        a.database.full = True
        self.stop(a)
        self.advance(DEAD + 2 * BEAT)
        self.assertEqual(b.take(), ["-a"])

    def test_failing_callback(self) -> None:
        a = self.start("a")

        def fail(node: ClusterNode) -> None:
            raise ValueError(node.name)

        a.membership._came.insert(0, fail)
        self.start("b")
        self.advance(2 * BEAT)
        self.assertEqual(a.take(), ["+b"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
