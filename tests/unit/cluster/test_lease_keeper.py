"""One node at a time has a lease; when it dies, another takes over within 10 s."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from chatd.cluster.lease_keeper import ACTS_FOR, RENEW_EVERY, RETRY, KeptLease, LeaseKeeper
from chatd.store.leases import LASTS, LeaseLost, check_lease
from tests import RANDOM_RUNS
from tests.support.nodes import SharedDatabaseTestCase, as_database

TAKEN_OVER = 10.0  # seconds


class Node:
    """A node, and what it is told: the epochs of leases that it gains, and 0 when it loses one."""

    def __init__(self, case: SharedDatabaseTestCase, number: int) -> None:
        self.database = case.connect()
        self.keeper = LeaseKeeper(as_database(self.database), case.clock, case.wall)
        self.number = number
        self.told: list[int] = []
        self.keeper.start(number)

    def want(self, name: str = "x") -> KeptLease:
        return self.keeper.want(name, self.gain, lambda: self.told.append(0))

    def gain(self, epoch: int) -> None:
        self.told.append(epoch)

    def take(self) -> list[int]:
        told, self.told = self.told, []
        return told


class Keeping(SharedDatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.a, self.b = Node(self, 1), Node(self, 2)

    def stop(self, node: Node) -> None:
        self.successResultOf(Deferred.fromCoroutine(node.keeper.stop()))

    def test_one_owner(self) -> None:
        """A node renews its lease, and another that wants it does not get it."""
        first, second = self.a.want(), self.b.want()
        self.advance(5 * LASTS / 1000)
        self.assertEqual((self.a.take(), self.b.take()), ([1], []))
        self.assertEqual((first.epoch, second.epoch), (1, None))

    def test_taken_over(self) -> None:
        """The other node begins after the one that has died can't act any more, and within 10 s."""
        first, second = self.a.want(), self.b.want()
        self.advance(7.3)
        self.a.database.held = True
        while first.epoch is not None:
            self.assertIsNone(second.epoch)
            self.advance(0.1)
        self.assertEqual(self.a.take(), [1, 0])
        died = self.clock.seconds()
        while second.epoch is None:
            self.advance(0.1)
        self.assertLess(self.clock.seconds() - died, TAKEN_OVER - ACTS_FOR)
        self.assertEqual(self.b.take(), [2])

    def test_returned_too_late(self) -> None:
        """A node that was cut off finds its lease taken."""
        lease = self.a.want()
        self.b.want()
        self.advance(1)
        self.a.database.full = True
        self.advance(TAKEN_OVER + RENEW_EVERY)
        self.a.database.full = False
        self.advance(2 * RENEW_EVERY)
        self.assertEqual((self.a.take(), self.b.take()), ([1, 0], [2]))
        self.assertIsNone(lease.epoch)
        connection = self.a.database._reading
        self.assertRaises(LeaseLost, check_lease, connection, "x", 1)
        check_lease(connection, "x", 2)

    def test_returned_in_time(self) -> None:
        """A node that was cut off goes on under its epoch if nobody has taken the lease."""
        lease = self.a.want()
        self.advance(1)
        self.a.database.full = True
        self.advance(3 * TAKEN_OVER)
        self.assertIsNone(lease.epoch)
        self.a.database.full = False
        self.advance(RENEW_EVERY)
        self.assertEqual((self.a.take(), lease.epoch), ([1, 0, 1], 1))

    def test_paused(self) -> None:
        """Before its timers run, a process that was paused knows that it must not act. It goes on under its
        epoch if nobody has taken the lease."""
        lease = self.a.want()
        self.advance(1)
        self.clock.rightNow += TAKEN_OVER
        self.assertIsNone(lease.epoch)
        self.clock.advance(0)
        self.assertEqual((self.a.take(), lease.epoch), ([1], 1))

    def test_paused_too_long(self) -> None:
        """If another node has taken the lease meanwhile, the process finds that out."""
        lease = self.a.want()
        self.advance(1)
        self.b.want()
        self.a.database.held = True
        self.advance(TAKEN_OVER - 0.5)
        self.a.database.held = False
        self.a.database.settle()
        self.advance(RENEW_EVERY)
        self.assertEqual((self.a.take(), self.b.take(), lease.epoch), ([1, 0], [2], None))

    def test_late_answer(self) -> None:
        """A renewal whose answer comes after the lease may have ended counts for nothing."""
        self.a.want()
        self.advance(1)
        self.a.database.held = True
        self.advance(RENEW_EVERY + ACTS_FOR + 1)
        self.assertEqual(self.a.take(), [1, 0])
        self.a.database.held = False
        self.a.database.settle()
        self.assertEqual(self.a.take(), [])
        self.advance(2 * RETRY)
        self.assertEqual(self.a.take(), [1])

    def test_released(self) -> None:
        """A lease that is not wanted any more goes to another node soon, and comes back with a new epoch."""
        lease = self.a.want()
        self.b.want()
        self.advance(0.1)
        lease.release()
        lease.release()
        self.assertIsNone(lease.epoch)
        self.advance(RENEW_EVERY)
        self.assertEqual((self.a.take(), self.b.take()), ([1], [2]))
        again = self.a.want()
        self.stop(self.b)
        self.advance(RENEW_EVERY)
        self.assertEqual((self.a.take(), self.b.take()), ([3], [0]))
        self.assertEqual(again.epoch, 3)

    def test_release_that_fails(self) -> None:
        """It is tried again."""
        lease = self.a.want()
        self.advance(1)
        self.a.database.full = True
        lease.release()
        self.advance(3)
        self.a.database.full = False
        self.advance(1)
        self.b.want()
        self.advance(0.1)
        self.assertEqual(self.b.take(), [2])

    def test_wanted_again(self) -> None:
        lease = self.a.want()
        self.advance(0.1)
        lease.release()
        again = self.a.want()
        self.advance(0.1)
        self.assertEqual((lease.epoch, again.epoch), (None, 2))

    def test_wanted_twice(self) -> None:
        self.a.want()
        self.assertRaises(ValueError, self.a.want)

    def test_stopped(self) -> None:
        """A node that stops hands its leases over at once."""
        self.a.want("x")
        self.a.want("y")
        self.advance(0.1)
        self.stop(self.a)
        self.assertEqual(self.a.take(), [1, 1, 0, 0])
        self.b.want("x")
        self.b.want("y")
        self.advance(0.1)
        self.assertEqual(self.b.take(), [2, 2])
        self.stop(self.b)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_new_id(self) -> None:
        """A node that others had removed loses its leases and gets them later, under its new id."""
        lease = self.a.want()
        self.advance(0.1)
        self.a.keeper.change_node(3)
        self.assertEqual((self.a.take(), lease.epoch), ([1, 0], None))
        self.advance(LASTS / 1000 + RENEW_EVERY)
        self.assertEqual(self.a.take(), [2])

    def test_new_id_during_a_renewal(self) -> None:
        """What was renewed under the earlier id counts for nothing."""
        self.a.want()
        self.advance(0.1)
        self.a.database.held = True
        self.advance(RENEW_EVERY)
        self.a.keeper.change_node(3)
        self.a.database.held = False
        self.a.database.settle()
        self.assertEqual(self.a.take(), [1, 0])
        self.advance(2 * LASTS / 1000)
        self.assertEqual(self.a.take(), [2])

    def test_failing_work(self) -> None:
        def fail(epoch: int) -> None:
            raise ValueError(epoch)

        self.a.keeper.want("w", fail, self.a.told.clear)
        self.a.want("x")
        self.advance(0.1)
        self.assertEqual(self.a.take(), [1])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    @settings(max_examples=2 * RANDOM_RUNS)
    @given(st.integers(0, 2**32))
    def test_never_two(self, seed: int) -> None:
        """Whatever databases and nodes do, two nodes never act at once, and epochs grow with owners."""
        chance = random.Random(seed)  # noqa: S311 - for faults
        nodes = [Node(self, 10 + number) for number in range(3)]
        leases = [node.want("shared") for node in nodes]
        owners: dict[int, int] = {}
        for _ in range(60):
            node = chance.choice(nodes)
            act = chance.choice(["hold", "settle", "settle", "fail", "work", "work", "rejoin"])
            if act == "hold":
                node.database.held = True
            elif act == "settle":
                node.database.held = False
                node.database.settle()
            elif act == "rejoin" and chance.random() < 0.3:
                node.number += 10
                node.keeper.change_node(node.number)
            else:
                node.database.full = act == "fail"
            self.clock.pump([0.25] * chance.choice([1, 2, 8, 24]))
            acting = [(each.epoch, number) for number, each in enumerate(leases) if each.epoch]
            self.assertLess(len(acting), 2)
            for epoch, number in acting:
                self.assertEqual(owners.setdefault(epoch or 0, number), number)
        for node, lease in zip(nodes, leases, strict=True):
            node.database.held = node.database.full = False
            node.database.settle()
            lease.release()
            self.advance(RETRY)
            self.stop(node)
            node.database.close()
