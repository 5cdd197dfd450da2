"""Rooms whose people are at several nodes."""

from __future__ import annotations

from itertools import count
from typing import Any, cast
from unittest.mock import Mock

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.attachments import Attachment, StoredFile
from chatd.base.errors import FileMissing, RoomFilesFull
from chatd.base.events import RoomChange, RoomTalk
from chatd.base.model import Account
from chatd.base.replies import RoomInfo
from chatd.service.node_news import NodeNews
from chatd.service.presence import Presence
from chatd.service.room_files import RoomFiles, RoomSend
from chatd.service.rooms import Rooms
from chatd.service.soft_state import ASK_AGAIN, BETWEEN
from tests.support.buses import MemoryBus
from tests.support.common import Listener

ANA, BUDI = Account(1, "ana", "ana", "Ana", ""), Account(2, "budi", "budi", "Budi", "")


class NodesTestCase(SynchronousTestCase):
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


class RoomsAtNodes(NodesTestCase):
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


class FilesAtNodes(NodesTestCase):
    """The store is replaced by one that opens everything."""

    is_shared = True

    def setUp(self) -> None:
        self.files: list[RoomFiles] = []
        self.random = count(1)
        super().setUp()
        self.one.join(self.ana, ANA, self.ana, "tamu")
        self.two.join(self.budi, BUDI, self.budi, "tamu")
        self.settle()

    def node(self, name: str) -> Rooms:
        rooms = super().node(name)
        context = Mock(
            news=self.news[-1],
            clock=self.clock,
            now=lambda: next(self.random),
            random_bytes=lambda size: next(self.random).to_bytes(size, "big"),
        )
        store = Mock(is_shared=self.is_shared, open=lambda file: succeed(file.stored))
        store.remove.return_value = succeed(None)
        self.files.append(RoomFiles(cast(Any, context), rooms, store, Mock()))
        return rooms

    def keep(self, node: int, session: Listener, sender: Account, name: str) -> Attachment:
        rooms = (self.one, self.two)[node]
        send = RoomSend(session, sender, rooms.room_of(session), 4, True)
        return self.files[node].keep(send, name, StoredFile(f"stored-{name}", 4, "", "text/plain"))

    def fetch(self, name: str) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.files[1].fetch(self.budi, name))

    def test_shared(self) -> None:
        """Files are listed at all nodes, oldest first, and fetched at any, until the room ends."""
        first = self.keep(0, self.ana, ANA, "a.txt")
        self.settle()
        second = self.keep(1, self.budi, BUDI, "b.txt")
        self.settle()
        for files, session in zip(self.files, (self.ana, self.budi), strict=False):
            self.assertEqual([each.name for each in files.list(session)], ["a.txt", "b.txt"])
        talks = [each for each in self.budi.heard if isinstance(each, RoomTalk)]
        self.assertEqual([each.file for each in talks], [first])
        self.assertEqual(self.successResultOf(self.fetch(first.code)).file, "stored-a.txt")
        self.one.leave(self.ana)
        self.settle()
        self.assertEqual(self.successResultOf(self.fetch("a.txt")).file, "stored-a.txt")
        self.two.leave(self.budi)
        self.settle()
        self.two.join(self.budi, BUDI, self.budi, "tamu")
        self.assertEqual(self.files[1].list(self.budi), ())
        self.assertNotEqual(first.code, second.code)

    def test_counted(self) -> None:
        """Files of all nodes count for the account and the room, until they are gone."""
        for files in self.files:
            cast(Any, files)._context.config.limits.file = 10
        first = self.files[0].begin(self.ana, ANA, "a", 10)
        self.settle()
        self.assertRaises(RoomFilesFull, self.begin_elsewhere, ANA)
        for number in range(3, 6):
            self.begin_elsewhere(Account(number, f"p{number}", "", "", ""))
        self.assertRaises(RoomFilesFull, self.begin_elsewhere, BUDI)
        first.abort()
        self.settle()
        self.begin_elsewhere(BUDI)

    def begin_elsewhere(self, sender: Account) -> None:
        """Start to send as much as an account may have, at the second node."""
        self.files[1].begin(self.budi, sender, "b", 10)

    def test_not_shared(self) -> None:
        """A file that only another node can read is refused, even if a file here has its name."""
        file = self.keep(0, self.ana, ANA, "a.txt")
        self.settle()
        for files in self.files:
            cast(Any, files)._uploads.is_shared = False
        self.failureResultOf(self.fetch(file.code), FileMissing)
