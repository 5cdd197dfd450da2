"""Links are shared evenly among the nodes of a realm."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chatd.federation.amp import link_balance
from chatd.federation.amp.link import Route
from chatd.federation.amp.link_balance import MAX_GIVEN, MIN_AGE, surplus
from chatd.store.peers import KnownPeer
from tests.support.node_servers import NodesTestCase

EVERY = 1.0  # seconds between two rounds


class Surplus(SynchronousTestCase):
    def rounds(self, counts: dict[int, int]) -> tuple[int, int]:
        """Let all nodes look, one after the other, until none gives anything. Returns how many rounds that
        takes, and the leases that were given in all."""
        rounds = given = 0
        while True:
            in_round = 0
            for node in counts:
                to, count = surplus(counts, node)
                self.assertLessEqual(count, MAX_GIVEN)
                counts[node] -= count
                counts[to] += count
                in_round += count
            if not in_round:
                return rounds, given
            rounds, given = rounds + 1, given + in_round
            self.assertLess(rounds, 1000)

    def test_even_in_the_end(self) -> None:
        """All nodes have the same number at last, give or take one, and no lease is given in vain."""
        random = Random(1)  # noqa: S311 - for counts
        for _ in range(50):
            counts = {node: random.randrange(60) for node in range(random.randrange(1, 12))}
            total, nodes = sum(counts.values()), len(counts)
            fair = total // nodes
            needed = sum(max(0, count - fair) for count in counts.values())
            _, given = self.rounds(counts)
            self.assertLessEqual(max(counts.values()) - min(counts.values()), 1)
            self.assertLessEqual(given, needed)

    def test_new_node(self) -> None:
        """A node that joins gets its share of 1,000 leases in some minutes, not at once."""
        counts = {1: 500, 2: 500, 3: 0}
        rounds, given = self.rounds(counts)
        self.assertEqual(sorted(counts.values()), [333, 333, 334])
        self.assertEqual(given, 333)
        self.assertTrue(10 < rounds < 60, rounds)

    def test_nothing_to_give(self) -> None:
        for counts in ({1: 5}, {1: 3, 2: 2}, {1: 0, 2: 0}, {2: 9}):
            self.assertEqual(surplus(counts, 1)[1], 0)


class Balance(NodesTestCase):
    def setUp(self) -> None:
        self.patch(link_balance, "EVERY", EVERY)
        super().setUp()

    def owned(self) -> list[set[str]]:
        """The realms of each node."""
        return [
            {key for key, peer in node.realm.directory.peers.by_key.items() if peer.owned}
            for node in (self.a, self.b)
        ]

    def test_idle(self) -> None:
        """Realms without a link are given to a node that has fewer."""
        self.a.add(self.two)
        self.network.advance(1.0)
        self.assertEqual(self.owned(), [{"realm2"}, set()])
        peers = self.a.realm.directory.peers
        for name in ("lost1", "lost2"):
            peer = peers.add(KnownPeer(name, name))
            self.network.result(peers.remember(peer, peer.known))
        self.network.advance(3.0)
        self.take_back("lost1", "lost2")
        self.network.advance(3 * EVERY)
        one, two = self.owned()
        self.assertEqual((len(one), len(two)), (2, 1))
        self.assertIn("realm2", one)
        self.network.advance(2 * EVERY)
        self.assertEqual(self.owned(), [one, two])

    def test_links(self) -> None:
        """A link that was dialled is given when it is old enough, and made anew. One that has come in
        stays."""
        self.a.add(self.two)
        self.network.advance(1.0)
        near, far = (node.realm.nodes.id for node in (self.a, self.b))

        def give(_counts: Mapping[int, int], node: int) -> tuple[int, int]:
            return (far, 1) if node == near else (node, 0)

        self.patch(link_balance, "surplus", give)
        self.network.advance(2 * EVERY)
        self.assertEqual([self.a.links, self.b.links], [["realm2"], []])
        peer = self.a.realm.directory.peers.by_key["realm2"]
        link = peer.link
        assert link is not None
        peer.since -= MIN_AGE
        dialled, link.route = link.route, Route("there")
        self.network.advance(2 * EVERY)
        self.assertEqual([self.a.links, self.b.links], [["realm2"], []])
        link.route = dialled
        self.network.advance(2 * EVERY)
        self.assertEqual([self.a.links, self.b.links], [[], ["realm2"]])

    def take_back(self, *realms: str) -> None:
        """Let node `a` have the leases of these realms."""
        for realm in realms:
            peer = self.b.realm.directory.peers.by_key[realm]
            if peer.owned:
                shared = self.b.realm.directory._shared
                assert shared is not None
                self.network.result(shared.leases.hand_over(peer, self.a.realm.nodes.id))
                self.network.advance(1.0)
