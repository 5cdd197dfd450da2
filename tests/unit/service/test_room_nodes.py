"""Rooms whose people are at several nodes."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.events import RoomChange, RoomTalk
from chatd.base.model import Account
from chatd.base.replies import RoomInfo
from chatd.service.node_news import NodeNews
from chatd.service.presence import Presence
from chatd.service.rooms import Rooms
from chatd.service.soft_state import ASK_AGAIN, BETWEEN
from tests.support.buses import MemoryBus
from tests.support.common import Listener

ANA, BUDI = Account(1, "ana", "ana", "Ana", ""), Account(2, "budi", "budi", "Budi", "")


class RoomsAtNodes(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.buses: list[MemoryBus] = []
        self.news: list[NodeNews] = []
        self.one, self.two, self.three = (self.node(name) for name in ("one", "two", "three"))
        self.ana, self.budi, self.again = Listener(), Listener(), Listener()
        for bus in self.buses:
            bus.start(bus.name, 1)
        self.settle()

    def node(self, name: str) -> Rooms:
        rooms, news = Rooms(Presence()), NodeNews(MemoryBus(name, self.buses), self.clock)
        news.name = name
        rooms.share(news, self.clock)
        self.news.append(news)
        return rooms

    def settle(self) -> None:
        self.clock.pump([0] * 8 + [ASK_AGAIN, BETWEEN, 0, 0, 0])

    def test_talk(self) -> None:
        """Both see and hear each other, once; the list is the same on all nodes; the room ends with the
        last."""
        self.one.join(self.ana, ANA, self.ana, "Tamu", changes=True)
        self.settle()
        info = self.two.join(self.budi, BUDI, self.budi, "tamu", changes=True)
        self.assertEqual(info, RoomInfo("Tamu", ("ana", "budi")))
        self.settle()
        self.assertEqual([each.all() for each in (self.one, self.two, self.three)], [(info,)] * 3)
        self.two.talk(self.budi, "halo", 5)
        talk = RoomTalk("Tamu", "budi", "Budi", "halo", 5)
        self.assertEqual(self.ana.heard, [RoomChange("Tamu", "budi", "Budi", True), talk])
        self.assertEqual(self.budi.heard, [])
        self.one.leave(self.ana)
        self.settle()
        self.assertEqual(self.budi.heard, [RoomChange("Tamu", "ana", "Ana", False)])
        self.assertEqual(self.one.all(), (RoomInfo("Tamu", ("budi",)),))
        self.two.leave(self.budi)
        self.settle()
        self.assertEqual([each.all() for each in (self.one, self.two, self.three)], [()] * 3)

    def test_one_account_at_two_nodes(self) -> None:
        """It enters with its first session, and leaves with its last."""
        self.one.join(self.ana, ANA, self.ana, "tamu", changes=True)
        self.two.join(self.budi, BUDI, self.budi, "tamu")
        self.settle()
        self.three.join(self.again, BUDI, self.again, "tamu")
        self.settle()
        self.two.leave(self.budi)
        self.settle()
        self.assertEqual(self.ana.heard, [RoomChange("tamu", "budi", "Budi", True)])
        self.three.leave(self.again)
        self.settle()
        self.assertEqual(self.ana.heard[1:], [RoomChange("tamu", "budi", "Budi", False)])

    def test_renewed(self) -> None:
        """A new profile is seen at the other nodes, and is no change of who is there."""
        self.one.join(self.ana, ANA, self.ana, "tamu", changes=True)
        self.two.join(self.budi, BUDI, self.budi, "tamu")
        self.settle()
        self.two.renew(self.budi, Account(2, "budi", "budi", "New", ""))
        self.settle()
        self.assertEqual(self.one.display_names(self.ana), {"ana": "Ana", "budi": "New"})
        self.assertEqual(len(self.ana.heard), 1)

    def test_loss(self) -> None:
        self.one.join(self.ana, ANA, self.ana, "tamu", changes=True)
        for bus in self.buses:
            bus.lost = True
        self.two.join(self.budi, BUDI, self.budi, "tamu")
        self.clock.pump([0] * 4)
        self.assertEqual(self.one.all(), (RoomInfo("tamu", ("ana",)),))
        for bus in self.buses:
            bus.lost = False
        self.settle()
        self.assertEqual(self.one.all(), (RoomInfo("tamu", ("ana", "budi")),))
        self.assertEqual(self.ana.heard, [RoomChange("tamu", "budi", "Budi", True)])

    def test_dead_node(self) -> None:
        """Its people have left."""
        self.one.join(self.ana, ANA, self.ana, "tamu", changes=True)
        self.two.join(self.budi, BUDI, self.budi, "tamu")
        self.settle()
        self.ana.heard.clear()
        self.news[0].gone("two")
        self.assertEqual(self.ana.heard, [RoomChange("tamu", "budi", "Budi", False)])
        self.assertEqual(self.one.all(), (RoomInfo("tamu", ("ana",)),))
