"""Nodes and leases on PostgreSQL, whose clock nodes share. It can't be moved, so rows are."""

from __future__ import annotations

import threading
from unittest import SkipTest

import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import StorageFailed
from chatd.cluster.lease_keeper import LeaseKeeper
from chatd.cluster.membership import BEAT, ClusterMembership
from chatd.store import leases as lease_rows
from chatd.store.engine import connect
from chatd.store.nodes import DEAD_AFTER
from chatd.store.schema import leases, nodes, settings
from tests.support.inline import InlineDatabase, result_of
from tests.support.nodes import as_database, join
from tests.support.postgres import MISSING, server, temporary_database


def no_wall() -> float:
    """The clock of a machine whose time is wrong."""
    return 5.0


def change(connection: Connection) -> None:
    """A job that changes something."""
    connection.execute(sa.insert(settings).values(name="x", value="y"))


class OnPostgres(SynchronousTestCase):
    def setUp(self) -> None:
        if server() is None:
            raise SkipTest(MISSING)
        self.clock = Clock()
        self.url = temporary_database(self)
        self.told: list[str] = []
        self.engine = connect(self.url)
        self.addCleanup(self.engine.dispose)

    def connect(self) -> InlineDatabase:
        database = InlineDatabase(connect(self.url))
        self.addCleanup(database.close)
        return database

    def execute(self, statement: sa.Executable) -> None:
        with self.engine.begin() as connection:
            connection.execute(statement)

    def start(self, name: str) -> tuple[InlineDatabase, ClusterMembership]:
        database = self.connect()
        me = join(database, name, 0)
        assert me is not None
        membership = ClusterMembership(as_database(database), self.clock, no_wall, name, me.address)
        membership.on_came(lambda node: self.told.append(f"{name}: +{node.name}"))
        membership.on_gone(lambda node: self.told.append(f"{name}: -{node.name}"))
        membership.on_rejoined(lambda node: self.told.append(f"{name}: *"))
        membership.start(me)
        self.clock.advance(0)
        return database, membership

    def test_membership(self) -> None:
        """Nodes find each other; a silent one is removed, can't store anything, and joins again."""
        silent = DEAD_AFTER + 1
        database, a = self.start("a")
        _, b = self.start("b")
        self.clock.pump([BEAT] * 5)
        self.assertEqual(self.told, ["b: +a", "a: +b"])
        del self.told[:]
        assert a.me is not None
        before = a.me.id
        database.held = True
        self.execute(
            sa.update(nodes).where(nodes.c.id == before).values(beat=nodes.c.beat - silent)
        )
        self.clock.advance(BEAT)
        self.assertEqual(self.told, ["b: -a"])
        # Its writer has not noticed that.
        refused = database.run(change)
        database.settle()
        self.assertRaises(StorageFailed, result_of, refused)
        self.flushLoggedErrors()
        database.held = False
        self.clock.pump([BEAT] * 3)
        self.assertEqual(self.told, ["b: -a", "a: *", "b: +a"])
        self.assertGreater(a.me.id, before)
        result_of(database.run(change))
        result_of(Deferred.fromCoroutine(a.stop()))
        self.clock.advance(BEAT)
        self.assertEqual([*b.others], [])

    def test_at_the_same_time(self) -> None:
        """Of several nodes that ask for leases at once, without turns, one gets each; none waits forever."""
        names = [f"link {number}" for number in range(5)]
        rounds, count = 8, 4
        owners: dict[tuple[str, int], set[int]] = {}
        together = threading.Barrier(count)

        def ask(node: int) -> None:
            with self.engine.connect() as connection:
                for _ in range(rounds):
                    together.wait(30)
                    with connection.begin():
                        held = lease_rows.tend_leases(connection, node, names, 0).held
                    for name, epoch in held.items():
                        owners.setdefault((name, epoch), set()).add(node)
                    together.wait(30)
                    if node == 1:
                        with connection.begin():
                            connection.execute(sa.update(leases).values(until=0))
                    together.wait(30)

        threads = [threading.Thread(target=ask, args=(node + 1,)) for node in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual({len(nodes) for nodes in owners.values()}, {1})
        self.assertEqual({name for name, _ in owners}, set(names))
        self.assertEqual(together.broken, False)

    def test_leases(self) -> None:
        """A lease is taken over when it has expired by the clock of the database."""
        gained: list[int] = []
        keepers = [LeaseKeeper(as_database(self.connect()), self.clock, no_wall) for _ in "ab"]
        for number, keeper in enumerate(keepers):
            keeper.start(number + 1)
            keeper.want("x", gained.append, lambda: gained.append(0))
            self.clock.advance(0)
        self.assertEqual(gained, [1])
        self.execute(sa.update(leases).values(until=leases.c.until - lease_rows.LASTS))
        result_of(Deferred.fromCoroutine(keepers[0].stop()))
        self.clock.pump([1.0] * 2)
        self.assertEqual(gained, [1, 0, 2])
        with self.engine.begin() as connection:
            lease_rows.check_lease(connection, "x", 2)
            self.assertRaises(lease_rows.LeaseLost, lease_rows.check_lease, connection, "x", 1)
        result_of(Deferred.fromCoroutine(keepers[1].stop()))
