"""The rows of nodes and of their leases."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.store import leases, nodes
from chatd.store.leases import LASTS, LeaseLost, LeaseReport, check_lease, tend_leases
from chatd.store.nodes import BEAT_EVERY, DEAD_AFTER
from chatd.store.schema import metadata

NOW = 1_800_000_000_000


class StoreTestCase(SynchronousTestCase):
    """`self.now` is the time of the database, in ms."""

    def setUp(self) -> None:
        engine = sa.create_engine("sqlite://")
        self.addCleanup(engine.dispose)
        metadata.create_all(engine)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)
        self.now = NOW

    def wait(self, ms: int) -> None:
        self.now += ms


class Nodes(StoreTestCase):
    def join(self, name: str) -> int | None:
        node = nodes.join(self.connection, name, f"host of {name}", self.now)
        return None if node is None else node.id

    def beat(self, node: int | None) -> bool:
        return nodes.beat(self.connection, node or 0, self.now) is not None

    def names(self) -> list[str]:
        return [node.name for node in nodes.list_nodes(self.connection, self.now)]

    def test_joining(self) -> None:
        self.assertEqual((self.join("a"), self.join("b")), (1, 2))
        self.wait(BEAT_EVERY)
        self.assertTrue(self.beat(2))
        found = nodes.list_nodes(self.connection, self.now)
        self.assertEqual(
            [(each.id, each.name, each.address, each.started, each.silent) for each in found],
            [(1, "a", "host of a", NOW, BEAT_EVERY), (2, "b", "host of b", NOW, 0)],
        )

    def test_one_of_a_name(self) -> None:
        """A second node of a name joins once the first one has missed its beats, and gets another id."""
        self.join("a")
        self.wait(DEAD_AFTER)
        self.assertIsNone(self.join("a"))
        self.wait(1)
        again = self.join("a")
        self.assertGreater(again or 0, 1)
        self.assertFalse(self.beat(1))
        self.assertTrue(self.beat(again))

    def test_leaving(self) -> None:
        """A node that has left makes room for another of its name at once, whose id is new."""
        self.join("a")
        nodes.leave(self.connection, 1)
        self.assertFalse(nodes.list_nodes(self.connection, self.now)[0].is_alive)
        self.assertEqual(self.join("a"), 2)
        self.join("b")
        nodes.leave(self.connection, 2)
        self.assertTrue(nodes.is_listed(self.connection, 2))
        nodes.remove_left(self.connection)
        self.assertEqual(self.names(), ["b"])
        self.assertFalse(nodes.is_listed(self.connection, 2))

    def test_dead_ones_are_removed(self) -> None:
        self.join("a")
        self.join("b")
        for _ in range(nodes.MISSED_BEATS):
            self.wait(BEAT_EVERY)
            self.beat(2)
        nodes.remove_dead(self.connection, self.now)
        self.assertEqual(self.names(), ["a", "b"])
        self.wait(1)
        first = nodes.list_nodes(self.connection, self.now)[0]
        self.assertFalse(first.is_alive)
        nodes.remove_dead(self.connection, self.now)
        self.assertEqual(self.names(), ["b"])
        self.assertFalse(self.beat(1), "a node that was removed is told")

    def test_a_clock_that_was_set_back(self) -> None:
        self.join("a")
        self.wait(-5000)
        self.assertEqual(nodes.list_nodes(self.connection, self.now)[0].silent, 0)


class Leases(StoreTestCase):
    def tend(self, node: int, *names: str) -> LeaseReport:
        return tend_leases(self.connection, node, names, self.now)

    def test_one_owner(self) -> None:
        self.assertEqual(self.tend(1, "x", "y"), LeaseReport({"x": 1, "y": 1}, None))
        self.wait(1000)
        self.assertEqual(self.tend(2, "x", "z"), LeaseReport({"z": 1}, LASTS - 1000))

    def test_renewing(self) -> None:
        """An owner that renews keeps its leases and their epochs."""
        for _ in range(5):
            self.assertEqual(self.tend(1, "x").held, {"x": 1})
            self.assertEqual(self.tend(2, "x").held, {})
            self.wait(LASTS - 1)

    def test_taken_over(self) -> None:
        """The epoch grows with the owner, and the earlier owner can't do anything under the old one."""
        self.tend(1, "x")
        check_lease(self.connection, "x", 1)
        self.wait(LASTS)
        check_lease(self.connection, "x", 1)
        self.assertEqual(self.tend(2, "x"), LeaseReport({"x": 2}, None))
        self.assertRaises(LeaseLost, check_lease, self.connection, "x", 1)
        check_lease(self.connection, "x", 2)
        self.assertEqual(self.tend(1, "x"), LeaseReport({}, LASTS))

    def test_nobody_has_taken_it(self) -> None:
        """An owner that comes late finds its lease as it was, if no other node has taken it."""
        self.tend(1, "x")
        self.wait(10 * LASTS)
        self.assertEqual(self.tend(1, "x").held, {"x": 1})
        self.wait(1)
        self.assertEqual(self.tend(2, "x").held, {})

    def test_released(self) -> None:
        """A lease that was released is free at once; its epoch goes on. Those of others are not released."""
        self.tend(1, "x", "y")
        leases.release_leases(self.connection, 2, ["x"])
        self.assertEqual(self.tend(2, "x").held, {})
        leases.release_leases(self.connection, 1, ["x"])
        self.assertEqual(self.tend(2, "x", "y").held, {"x": 2})
        leases.release_leases(self.connection, 2, ["x"])
        self.assertEqual(self.tend(2, "x").held, {"x": 3})

    def test_unknown(self) -> None:
        self.assertRaises(LeaseLost, check_lease, self.connection, "x", 1)

    def test_many(self) -> None:
        self.patch(leases, "CHUNK", 3)
        names = [f"link {number}" for number in range(10)]
        self.assertEqual(self.tend(1, *names).held, dict.fromkeys(names, 1))
        leases.release_leases(self.connection, 1, names[:7])
        found = self.tend(2, *names)
        self.assertEqual(found, LeaseReport(dict.fromkeys(names[:7], 2), LASTS))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([1, 2, 3]),
                st.sampled_from(["tend", "release"]),
                st.sets(st.sampled_from("xyz")),
                st.sampled_from([0, 1, LASTS // 2, LASTS]),
            ),
            max_size=30,
        )
    )
    def test_epochs(self, steps: list[tuple[int, str, set[str], int]]) -> None:
        """Whatever nodes do: no epoch of a lease belongs to two nodes, and epochs never fall."""
        with self.connection.begin() as transaction:
            owners: dict[tuple[str, int], int] = {}
            newest: dict[str, int] = {}
            for node, act, names, passed in steps:
                self.wait(passed)
                if act == "release":
                    leases.release_leases(self.connection, node, names)
                    continue
                for name, epoch in self.tend(node, *names).held.items():
                    self.assertEqual(owners.setdefault((name, epoch), node), node)
                    self.assertGreaterEqual(epoch, newest.get(name, 0))
                    newest[name] = epoch
            transaction.rollback()
