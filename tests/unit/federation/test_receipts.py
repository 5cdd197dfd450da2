"""Read marks and typing cross between realms: in directs, and in groups through their home."""

from __future__ import annotations

import sqlalchemy as sa

from chatd.base.events import ReadMoved, Typing
from chatd.base.names import Address, Place
from chatd.commands import values as ask
from chatd.service.read_events import INTERVAL
from chatd.service.realm_news import DirectRead, DirectTyping, GroupRead, GroupTyping
from chatd.store import marks
from tests.support.network import LinkedTestCase, Person
from tests.support.receipts import patch_may_see


class ReceiptsTestCase(LinkedTestCase):
    def setUp(self) -> None:
        super().setUp()
        for each in (self.ana, self.budi, self.citra):
            each.does(ask.SetListening("all"))

    def told(self, who: Person) -> list[str]:
        """What was pushed to a person since the last call: who has read up to where, and who is typing."""
        self.network.settle()
        found = []
        for event in who.events:
            if isinstance(event, ReadMoved):
                found.append(f"{event.who} {event.seq}")
            elif isinstance(event, Typing):
                found.append(f"{event.who} types")
        who.events.clear()
        return found

    def readers(self, who: Person, place: Place, seq: int) -> list[str]:
        return [each.username for each in who.does(ask.ShowReaders(place, seq)).items]

    def wait(self) -> None:
        """Let the round of each reader end."""
        self.network.advance(INTERVAL)
        self.network.settle()


BUDI = Place(Address("budi", "realm2"))
ANA = Place(Address("ana", "realm1"))


class Directs(ReceiptsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ana.sends("budi@realm2", "1")
        self.ana.sends("budi@realm2", "2")
        self.budi.sends("ana@realm1", "3")
        self.ana.sends("budi@realm2", "4")
        self.here = self.budi.does(ask.ShowHistory(ANA, 1)).items[0].conversation
        self.told(self.ana)

    def test_read(self) -> None:
        """The sender is told of the last of their own messages that was read."""
        self.budi.does(ask.MarkRead(self.here, 3))
        self.assertEqual(self.told(self.ana), ["budi@realm2 2"])
        self.assertEqual(self.readers(self.ana, BUDI, 2), ["budi@realm2"])
        self.assertEqual(self.readers(self.ana, BUDI, 4), [])
        self.budi.does(ask.MarkRead(self.here, 4))
        self.wait()
        self.assertEqual(self.told(self.ana), ["budi@realm2 4"])
        self.assertEqual(self.told(self.budi), [])

    def test_while_the_other_realm_is_down(self) -> None:
        """It is told later; of several marks only the last one."""
        self.part()
        for seq in (1, 2, 4):
            self.budi.does(ask.MarkRead(self.here, seq))
            self.wait()
        self.assertEqual(self.told(self.ana), [])
        self.meet()
        self.assertEqual(self.told(self.ana), ["budi@realm2 4"])
        self.assertEqual(self.readers(self.ana, BUDI, 4), ["budi@realm2"])

    def test_receipts_off_there(self) -> None:
        self.budi.does(ask.ChangePrivacy(receipts=False))
        self.budi.does(ask.MarkRead(self.here, 4))
        self.assertEqual(self.told(self.ana), [])
        self.assertEqual(self.readers(self.ana, BUDI, 4), [])

    def test_receipts_off_here(self) -> None:
        self.ana.does(ask.ChangePrivacy(receipts=False))
        self.budi.does(ask.MarkRead(self.here, 4))
        self.assertEqual(self.told(self.ana), [])
        self.assertEqual(self.readers(self.ana, BUDI, 4), [])
        self.ana.does(ask.ChangePrivacy(receipts=True))
        self.assertEqual(self.readers(self.ana, BUDI, 4), ["budi@realm2"])

    def test_separated(self) -> None:
        """Nothing goes either way between people who do not see what the other does."""
        patch_may_see(self, lambda _account_id, _key: sa.false())
        self.budi.does(ask.MarkRead(self.here, 4))
        self.budi.does(ask.TellTyping(ANA))
        self.assertEqual(self.told(self.ana), [])
        self.assertEqual(self.readers(self.ana, BUDI, 4), [])
        self.wait()
        patch_may_see(self, lambda _account_id, _key: sa.true())
        self.assertEqual(self.readers(self.ana, BUDI, 4), [])

    def test_typing(self) -> None:
        """At most one in 3 s; what happens while the link is down is forgotten."""
        self.budi.does(ask.TellTyping(ANA))
        self.budi.does(ask.TellTyping(ANA))
        self.assertEqual(self.told(self.ana), ["budi@realm2 types"])
        self.network.advance(3)
        self.budi.does(ask.TellTyping(ANA))
        self.assertEqual(self.told(self.ana), ["budi@realm2 types"])
        self.part()
        self.network.advance(3)
        self.budi.does(ask.TellTyping(ANA))
        self.meet()
        self.assertEqual(self.told(self.ana), [])

    def test_news_that_belongs_nowhere(self) -> None:
        """Marks of unknown people, of unknown messages, and of messages to others are ignored."""
        self.ana.sends("citra@realm2", "5")
        self.told(self.ana)
        receipts, typing = self.one.realm.service.receipts, self.one.realm.service.typing
        for news in (
            DirectRead("nobody", "ana", 1),
            DirectRead("budi", "nobody", 1),
            DirectRead("budi", "ana", 1),
            GroupRead("budi", "realm1", 1, 1),
            GroupRead("budi", "realm2", 1, 1),
            GroupRead("budi", "realm3", 1, 1),
        ):
            self.network.result(receipts.arrived("realm2", news))
        for typed in (
            DirectTyping("nobody", "ana"),
            DirectTyping("budi", "nobody"),
            GroupTyping("budi", "realm1", 1),
            GroupTyping("ana@realm1", "realm2", 1),
        ):
            self.network.result(typing.arrived("realm2", typed))
        self.assertEqual(self.told(self.ana), [])
        self.assertEqual(self.readers(self.ana, BUDI, 1), [])


class Groups(ReceiptsTestCase):
    """Ana's group lives in realm1, and has members of realm2."""

    def setUp(self) -> None:
        super().setUp()
        self.dewi = self.one.person("dewi")
        self.dewi.does(ask.SetListening("all"))
        self.ana.creates("bagan")
        self.dewi.joins("bagan")
        self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.ana.posts("bagan", "halo")
        page = self.budi.does(ask.ShowHistory(self.there, 1)).items
        self.mirror, self.seq = page[0].conversation, page[0].seq
        for each in (self.ana, self.budi, self.citra, self.dewi):
            self.told(each)

    here = Place(group=Address("bagan"))
    there = Place(group=Address("bagan", "realm1"))

    def test_read_elsewhere(self) -> None:
        """The home and the other members there are told."""
        self.budi.does(ask.MarkRead(self.mirror, self.seq))
        told = [f"budi@realm2 {self.seq}"]
        self.assertEqual(self.told(self.ana), told)
        self.assertEqual(self.told(self.dewi), told)
        self.assertEqual(self.told(self.citra), [f"budi {self.seq}"])
        self.assertEqual(self.told(self.budi), [])
        self.assertEqual(self.readers(self.ana, self.here, self.seq), ["budi@realm2"])

    def test_read_at_home(self) -> None:
        conversation = self.dewi.does(ask.ShowHistory(self.here, 1)).items[0].conversation
        self.dewi.does(ask.MarkRead(conversation, self.seq))
        self.assertEqual(self.told(self.ana), [f"dewi {self.seq}"])
        self.assertEqual(self.told(self.budi), [f"dewi@realm1 {self.seq}"])
        self.assertEqual(self.readers(self.budi, self.there, self.seq), ["dewi@realm1"])

    def test_typing(self) -> None:
        self.budi.does(ask.TellTyping(self.there))
        self.assertEqual(self.told(self.ana), ["budi@realm2 types"])
        self.assertEqual(self.told(self.dewi), ["budi@realm2 types"])
        self.assertEqual(self.told(self.citra), ["budi types"])
        self.ana.does(ask.TellTyping(self.here))
        self.assertEqual(self.told(self.dewi), ["ana types"])
        self.assertEqual(self.told(self.budi), ["ana@realm1 types"])

    def test_no_realm_speaks_for_the_people_of_another(self) -> None:
        """Realm2 can't move the marks of realm1's people."""
        receipts = self.one.realm.service.receipts
        group = self.ana.does(ask.ShowHistory(self.here, 1)).items[0].conversation
        for reader in ("ana@realm1", "dewi", "dewi@realm1"):
            news = GroupRead(reader, "realm1", group, self.seq)
            self.network.result(receipts.arrived("realm2", news))
        self.assertEqual(self.told(self.ana), [])
        self.assertEqual(self.readers(self.ana, self.here, self.seq), [])

    def test_home_that_makes_up_readers(self) -> None:
        """The marks of a group are bounded."""
        self.patch(marks, "MAX_REMOTE", 1)
        receipts = self.two.realm.service.receipts
        group = self.ana.does(ask.ShowHistory(self.here, 1)).items[0].conversation
        for seq, reader in ((1, "dewi"), (self.seq, "nobody"), (self.seq, "dewi")):
            news = GroupRead(reader, "realm1", group, seq)
            self.network.result(receipts.arrived("realm1", news))
        self.assertEqual(self.readers(self.budi, self.there, self.seq), ["dewi@realm1"])
