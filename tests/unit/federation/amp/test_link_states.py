"""What the nodes of a realm know of each other's links."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.federation.amp.link_states import LinkStates, OwnedLink
from chatd.service.node_news import NodeNews
from tests.support.buses import MemoryBus

SINCE = 1_000


class Node:
    """A node, the epochs of its leases, and the news that it has of the links of others."""

    def __init__(self, name: str, buses: list[MemoryBus], clock: Clock) -> None:
        self.bus = MemoryBus(name, buses)
        self.news = NodeNews(self.bus, clock)
        self.news.name = name
        self.epochs: dict[str, int] = {}
        self.by_key: dict[str, Any] = {}
        self.changes: list[tuple[str, bool]] = []
        context: Any = SimpleNamespace(news=self.news, clock=clock)
        peers: Any = self
        leases: Any = SimpleNamespace(epoch=self.epochs.get)
        self.states = LinkStates(context, peers, leases, self.note)

    def get(self, realm: str) -> Any:
        return self.by_key.get(realm)

    def note(self, realm: str, _before: OwnedLink | None, after: OwnedLink | None) -> None:
        self.changes.append((realm, after is not None and after.is_up))

    def own(self, realm: str, epoch: int, lacks: tuple[str, ...] | None) -> None:
        """Have the lease, and a link with a realm that lacks these; None: no link."""
        link = SimpleNamespace(is_up=lacks is not None, lacks=frozenset(lacks or ()), dialled=True)
        self.by_key[realm] = SimpleNamespace(owned=True, since=SINCE, link=link)
        self.epochs[realm] = epoch
        self.states.changed(realm)

    def lose(self, realm: str) -> None:
        self.by_key[realm].owned = False
        self.states.changed(realm)


class States(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        buses: list[MemoryBus] = []
        self.a, self.b, self.c = self.nodes = [Node(name, buses, self.clock) for name in "abc"]
        for node in self.nodes:
            node.bus.start(node.bus.name, 1)
            self.addCleanup(node.states.stop)
        self.clock.pump([0.1] * 30)

    def owner(self, node: Node) -> str | None:
        return node.states.told_owner("realm2")

    def test_link(self) -> None:
        """The others know who has the lease, whether the link is up, and what the realm lacks."""
        self.a.own("realm2", 1, None)
        self.clock.advance(0)
        known = self.b.states.get("realm2")
        self.assertEqual(known, OwnedLink(1, SINCE))
        self.a.own("realm2", 1, ("typing",))
        self.clock.advance(0)
        self.assertEqual(self.b.states.get("realm2"), OwnedLink(1, SINCE, ("typing",), True))
        self.assertEqual((self.owner(self.b), self.owner(self.a)), ("a", None))
        self.assertEqual(self.b.changes, [("realm2", False), ("realm2", True)])
        self.a.lose("realm2")
        self.clock.advance(0)
        self.assertIsNone(self.owner(self.b))

    def test_two_owners(self) -> None:
        """A node that does not know yet that it has lost the lease is not believed, whichever tells last."""
        self.a.own("realm2", 1, ())
        self.clock.advance(0)
        self.b.own("realm2", 2, None)
        self.clock.advance(0)
        self.a.own("realm2", 1, ("typing",))
        self.clock.advance(0)
        self.assertEqual(self.owner(self.c), "b")
        self.c.news.gone("b")
        self.assertEqual(self.owner(self.c), "a")

    def test_lost_news(self) -> None:
        """A node that has lost news asks for a snapshot, which has them."""
        self.a.bus.lost = True
        self.a.own("realm2", 1, ())
        self.clock.advance(0)
        self.a.bus.lost = False
        self.assertIsNone(self.owner(self.b))
        self.clock.pump([0.1] * 30)
        self.assertEqual(self.owner(self.b), "a")
