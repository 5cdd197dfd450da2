"""What people use of other realms at a node that has no link with them: the node with the link does it."""

from __future__ import annotations

from typing import Any

from chatd.base.errors import RealmDown, UnknownGroup
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation.amp.node_questions import PATIENCE
from tests.support.node_servers import NodesTestCase

RAMAI = parse_address("ramai@realm2")


class AtOtherNodes(NodesTestCase):
    """Node `a` has the link with realm2, and ana uses node `b`. budi has the group `ramai` in realm2."""

    def setUp(self) -> None:
        super().setUp()
        self.budi = self.two.person("budi")
        self.a.add(self.two)
        self.network.advance(1.0)
        self.assertEqual([self.a.links, self.b.links], [["realm2"], []])
        self.ana = self.person(self.b, "ana")
        self.budi.creates("ramai")

    def join(self) -> None:
        self.ana.does(ask.JoinGroup(RAMAI))
        self.network.settle()


class Questions(AtOtherNodes):
    def test_groups(self) -> None:
        """Joining, members, earlier messages, settings, and what the realm refuses."""
        self.budi.posts("ramai", "lama")
        self.join()
        self.assertEqual(self.ana.members("ramai@realm2"), ["*budi@realm2+", "ana+"])
        self.assertEqual(self.ana.history(group="ramai@realm2"), ["budi@realm2: lama"])
        with self.assertRaises(UnknownGroup):
            self.ana.does(ask.JoinGroup(parse_address("sepi@realm2")))
        shown = self.ana.does(ask.ListRealms()).items
        self.assertEqual([(each.realm, each.state) for each in shown], [("realm2", "up")])

    def test_earlier_pages(self) -> None:
        """The node with the link fetches what was written before, also if it is asked for elsewhere."""
        for number in range(3):
            self.budi.posts("ramai", f"{number}")
        self.patch(self.a.federation.pasts, "begin", lambda _realm: None)
        self.join()
        fetched: list[int] = []
        fetch = self.a.federation.pasts.fetch

        def note(conversation: int) -> Any:
            fetched.append(conversation)
            return fetch(conversation)

        self.patch(self.a.federation.pasts, "fetch", note)
        texts = [f"budi@realm2: {number}" for number in range(3)]
        self.assertEqual(self.ana.history(group="ramai@realm2"), texts)
        self.assertEqual(len(fetched), 1)

    def test_lost_read(self) -> None:
        """A question that only reads is asked once more if it is lost."""
        self.join()
        self.b.bus.lost = True
        asking = self.ana.begins(ask.ListMembers(RAMAI))
        self.network.settle()
        self.assertNoResult(asking)
        self.b.bus.lost = False
        self.network.advance(PATIENCE + 1.0)
        self.assertEqual(len(self.network.result(asking).items), 2)

    def test_lost_change(self) -> None:
        """A change is not made twice: it fails as over a link that drops, and the realm may have made it."""
        self.a.bus.lost = True
        sent = len(self.b.bus.sent)
        directory = self.b.realm.directory
        changing: Any = directory.change("realm2", "ana", "ramai", "stay", ())
        asking: Any = directory.change("realm2", "ana", "ramai", "describe", ())
        self.network.settle()
        self.a.bus.lost = False
        self.network.advance(PATIENCE + 1.0)
        self.failureResultOf(changing, RealmDown)
        self.assertEqual(self.successResultOf(asking)["members"], ["1"])
        self.assertEqual(len(self.b.bus.sent), sent + 3)

    def test_no_link(self) -> None:
        """If the realm is not linked, the error is the same as at the node that dials it."""
        self.two.kill()
        self.network.advance(1.0)
        for node in (self.a, self.b):
            with self.assertRaises(RealmDown):
                self.person(node, "ana").does(ask.JoinGroup(RAMAI))

    def test_rests(self) -> None:
        """The node that has the lease dials a realm whose link rests."""
        peer = self.a.realm.directory.peers.by_key["realm2"]
        assert peer.link is not None
        peer.resting = True
        peer.link.close()
        self.network.advance(0.5)
        self.assertEqual(self.a.links, [])
        self.join()
        self.assertEqual(self.a.links, ["realm2"])
        self.assertEqual(self.ana.mine(), ["ramai@realm2"])

    def test_owner_dies(self) -> None:
        """A question on its way to a node that dies fails soon, or is asked at the next one."""
        self.join()
        self.a.kill()
        asking = self.ana.begins(ask.ListMembers(RAMAI))
        self.network.settle()
        self.assertNoResult(asking)
        self.expire()
        self.network.advance(PATIENCE + 1.0)
        self.assertEqual(len(self.network.result(asking).items), 2)
        self.assertEqual(self.b.links, ["realm2"])
