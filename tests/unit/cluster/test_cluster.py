"""Membership, bus and leases of a node together."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred

from chatd.cluster.cluster import Cluster
from chatd.cluster.heard_nodes import SILENT_AFTER
from chatd.cluster.membership import BEAT
from chatd.cluster.numbered_bus import NumberedBus
from chatd.simulate.bus import SimulatedBus, SimulatedWire
from chatd.store.leases import LASTS
from tests.support.inline import InlineDatabase
from tests.support.nodes import SharedDatabaseTestCase, as_database


class Clusters(SharedDatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.network = SimulatedBus(self.clock, Random(1))  # noqa: S311 - for faults
        self.wires: dict[str, SimulatedWire] = {}
        self.databases: dict[str, InlineDatabase] = {}
        self.gaps: dict[str, list[str]] = {"a": [], "b": []}
        self.a, self.b = self.start("a"), self.start("b")
        self.advance(5 * BEAT)
        self.clear()

    def clear(self) -> None:
        for gaps in self.gaps.values():
            gaps.clear()

    def start(self, name: str) -> Cluster:
        wire = self.wires[name] = self.network.wire()
        database = self.databases[name] = self.connect()
        bus = NumberedBus(wire, self.clock)
        bus.on_gap(lambda node: self.gaps[name].append(node))
        me = self.join(database, name)
        cluster = Cluster(as_database(database), self.clock, self.wall, bus, me.name, me.address)
        cluster.start(me)
        self.clock.advance(0)
        return cluster

    def test_messages(self) -> None:
        told: list[tuple[str, bytes]] = []
        self.b.bus.on_message(lambda *message: told.append(message))
        self.a.bus.publish(b"x")
        self.clock.advance(0)
        self.assertEqual(told, [("a", b"x")])

    def test_figures(self) -> None:
        """Operators see the nodes, the age of the last beat, the leases and the bus."""
        self.a.leases.want("x", lambda _epoch: None, lambda: None)
        self.clock.advance(0)
        self.b.bus.publish(b"x")
        self.advance(0.1)
        figures = self.a.figures()
        self.assertEqual((figures.node, figures.nodes, figures.leases), ("a", 2, 1))
        self.assertEqual(figures.bus.received, 1)
        self.assertLess(figures.beat, BEAT + 0.2)
        self.databases["a"].held = True
        self.wires["b"].cut()
        self.advance(LASTS / 1000)
        figures = self.a.figures()
        self.assertEqual(figures.leases, 0)  # it may not act any more
        self.assertGreater(figures.beat, LASTS / 1000)
        self.assertGreater(figures.quiet, SILENT_AFTER)
        self.databases["a"].held = False

    def test_expected(self) -> None:
        """A node that is in the database is expected on the bus, also if it was never heard there."""
        self.wires["a"].cut()
        self.advance(2 * SILENT_AFTER)
        self.assertIn("a", self.gaps["b"])
        self.assertGreater(self.b.bus.quiet_for(), SILENT_AFTER)

    def test_gone(self) -> None:
        """A node that has gone is not missed, but what it has told last may be lost."""
        self.wires["a"].cut()
        self.successResultOf(Deferred.fromCoroutine(self.a.stop()))
        self.advance(BEAT)
        self.assertEqual(self.gaps["b"], ["a"])
        self.clear()
        self.advance(2 * SILENT_AFTER)
        self.assertEqual((self.gaps["b"], self.b.bus.quiet_for()), ([], 0.0))

    def test_removed(self) -> None:
        """A node that the others have removed gets its leases again under its new id."""
        told: list[int] = []
        self.a.leases.want("x", told.append, lambda: told.append(0))
        self.clock.advance(0)
        self.databases["a"].held = True
        self.advance(LASTS / 1000 + BEAT)
        self.databases["a"].held = False
        self.databases["a"].settle()
        self.advance(LASTS / 1000 + 3 * BEAT)
        self.assertEqual((told[0], told[-1] > 1, 0 in told), (1, True, True))

    def test_third(self) -> None:
        """What a node has wanted before its start it gets afterwards."""
        database = self.connect()
        me = self.join(database, "c")
        bus = NumberedBus(self.network.wire(), self.clock)
        cluster = Cluster(as_database(database), self.clock, self.wall, bus, me.name, me.address)
        told: list[int] = []
        cluster.leases.want("x", told.append, lambda: told.append(0))
        cluster.start(me)
        self.advance(2 * BEAT)
        self.assertEqual(told, [1])
        self.assertIn(me.id, self.a.membership.others)
        self.assertEqual([each.name for each in cluster.membership.others.values()], ["a", "b"])
        self.assertEqual(cluster.membership.me, me)

    def test_not_started(self) -> None:
        """A node whose start has failed before can be stopped."""
        bus = NumberedBus(self.network.wire(), self.clock)
        cluster = Cluster(as_database(self.connect()), self.clock, self.wall, bus, "a", "host")
        self.successResultOf(Deferred.fromCoroutine(cluster.stop()))

    def test_stopped(self) -> None:
        for each in (self.a, self.b):
            self.successResultOf(Deferred.fromCoroutine(each.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
