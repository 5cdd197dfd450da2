"""A realm on several nodes, of which one links with each other realm."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from chatd.base.errors import UnknownUser
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation.amp.link_leases import OBTAIN_TIME, LinkLeases
from chatd.federation.amp.node_parcels import MARGIN
from chatd.federation.outcome_waiters import PATIENCE
from chatd.service.paced_read import BETWEEN
from chatd.service.remote import DELIVERED, QUEUED, DeliveryOutcome, OnOutcome
from chatd.simulate.people import Person
from chatd.store import peers
from chatd.store.peers import KnownPeer
from tests.support.node_servers import NodeServer, NodesTestCase


class Links(NodesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.budi = self.two.person("budi")
        self.a.add(self.two)
        self.network.advance(1.0)
        self.ana = {node: self.person(node, "ana") for node in (self.a, self.b)}

    def leases(self, node: NodeServer) -> LinkLeases:
        shared = node.realm.directory._shared
        assert shared is not None
        return shared.leases

    def texts(self, person: Person) -> list[str]:
        return [str(message.text) for message in person.inbox()]

    def test_one_node(self) -> None:
        """One of the nodes is linked. The other one knows the realm, too."""
        self.assertEqual([self.a.links, self.b.links], [["realm2"], []])
        peer: Any = self.b.realm.directory.peers.get("realm2")
        self.assertEqual(peer.known.host, "realm2.test")

    def test_sent_through_the_other(self) -> None:
        """Messages that both nodes store arrive once, and in the order in which they were stored."""
        for number in range(3):
            for node in (self.b, self.a):
                self.ana[node].sends("budi@realm2", f"{number}")
        self.network.advance(1.0)
        self.assertEqual(self.texts(self.budi), list("001122"))
        self.assertEqual(self.b.parcels_waiting(), 0)

    def test_lost_hint(self) -> None:
        """A parcel of which the linked node was not told is delivered a moment later."""
        self.b.bus.lost = True
        self.ana[self.b].begins_to_send("budi@realm2", "halo")
        self.network.advance(3.0)
        self.assertEqual(self.texts(self.budi), ["halo"])

    def test_not_heard(self) -> None:
        """While a node does not hear another one, it reads at most twice a second what is known of realms."""
        reads: list[float] = []
        read = peers.all_peers

        def note(connection: Connection) -> list[KnownPeer]:
            reads.append(self.network.clock.seconds())
            return read(connection)

        self.patch(peers, "all_peers", note)
        for _ in range(20):
            self.b.bus.tell_gap("a")
            self.network.advance(0.1)
        self.assertTrue(2 / BETWEEN - 1 <= len(reads) <= 2 / BETWEEN + 1, reads)

    def test_owner_dies(self) -> None:
        """The other node links once the lease has expired, and delivers what waits, once."""
        self.ana[self.b].sends("budi@realm2", "before")
        self.a.kill()
        self.ana[self.b].begins_to_send("budi@realm2", "after")
        self.network.advance(1.0)
        self.assertEqual(self.texts(self.budi), ["before"])
        self.expire()
        self.network.advance(3.0)
        self.assertEqual(self.texts(self.budi), ["after"])
        self.assertEqual(self.b.links, ["realm2"])
        self.assertEqual(self.b.parcels_waiting(), 0)

    def test_to_the_realm(self) -> None:
        """What the other realm sends comes to whichever node is linked."""
        self.budi.sends("ana@realm1", "halo")
        self.assertEqual(self.texts(self.ana[self.b]), ["halo"])
        self.a.kill()
        self.expire()
        self.network.advance(3.0)
        self.budi.sends("ana@realm1", "lagi")
        self.assertEqual(self.texts(self.ana[self.b]), ["lagi"])

    def test_link_at_another_node(self) -> None:
        """A new link that arrives at another node brings the lease there, and messages follow it."""
        self.network.advance(11.0)
        self.a.where = "realm1 a.test", 7000
        self.two.add(self.b)
        self.network.advance(1.0)
        self.assertEqual([self.a.links, self.b.links], [[], ["realm2"]])
        self.ana[self.a].sends("budi@realm2", "halo")
        self.network.advance(1.0)
        self.assertEqual(self.texts(self.budi), ["halo"])

    def test_link_lost_early(self) -> None:
        """A node that has got the lease for a link dials if that link is lost before it is up."""
        directory = self.b.realm.directory
        leases = self.leases(self.b)
        obtaining = leases.obtain(directory.peers.by_key["realm2"], b"a later start", False)
        self.assertTrue(self.network.result(Deferred.fromCoroutine(obtaining)))
        self.assertEqual([self.a.links, self.b.links], [[], []])
        self.network.advance(OBTAIN_TIME + 0.5)
        self.assertEqual([self.a.links, self.b.links], [[], ["realm2"]])

    def test_outcome(self) -> None:
        """A sender at the node that is not linked learns the outcome."""
        outcomes: list[Any] = []
        stored = self.ana[self.b]
        waiters = self.b.realm.directory.peers.by_key["realm2"].delivery.waiters
        settle = waiters.settle

        def note(numbers: Any, outcome: Any) -> None:
            outcomes.append(outcome)
            settle(numbers, outcome)

        self.patch(waiters, "settle", note)
        for to in ("nobody@realm2", "budi@realm2"):
            sending = stored.begins(ask.SendMessage((parse_address(to),), "x", wait=True))
            sending.addErrback(lambda failure: failure.trap(UnknownUser))
        self.network.settle()
        found = sorted((each.error.code if each.error else "", each.queued) for each in outcomes)
        self.assertEqual(found, [("", False), ("unknown-user", False)])

    def test_late_outcome(self) -> None:
        """The sender waits until the linked node tells the outcome, which may come as late as it can."""
        far, near = (node.realm.directory.peers.by_key["realm2"] for node in (self.a, self.b))

        def hold(number: int, on_outcome: OnOutcome, _soon: bool) -> None:
            far.delivery.waiters.add(number, on_outcome, PATIENCE + 0.2)  # as the bus takes time
            far.delivery.waiters.hold((number,), DELIVERED)  # the realm does not fetch the file

        self.patch(far.delivery, "dispatch_elsewhere", hold)
        outcomes: list[DeliveryOutcome] = []
        shared: Any = self.b.realm.directory._shared
        shared.parcels.dispatch(near, 7, outcomes.append)
        self.network.advance(PATIENCE + 0.5)
        self.assertEqual(outcomes, [DELIVERED])
        self.a.bus.lost = True
        shared.parcels.dispatch(near, 8, outcomes.append)
        self.network.advance(PATIENCE + MARGIN + 0.5)
        self.assertEqual(outcomes, [DELIVERED, QUEUED])

    def test_paused_owner(self) -> None:
        """A node that does not know yet that another one has its lease removes nothing from the outbox."""
        self.take_leases()
        self.ana[self.a].sends("budi@realm2", "halo")
        self.assertEqual(self.texts(self.budi), ["halo"])
        self.assertEqual(self.a.parcels_waiting(), 1)
