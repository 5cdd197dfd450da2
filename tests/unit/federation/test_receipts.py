"""Read marks and typing cross between realms: in directs, and in groups through their home."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatd.base.events import ReadMoved, Typing
from chatd.base.names import Address, Place
from chatd.commands import values as ask
from chatd.service.read_events import INTERVAL
from chatd.service.realm_news import DirectRead, DirectTyping, GroupRead, GroupTyping
from chatd.service.receipts import TRY_AGAIN
from chatd.service.remote import Notice, StagedNotice
from chatd.store import marks, shared_marks
from chatd.store.schema import untold_marks
from tests.support.network import LinkedTestCase, Person, Server
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

    def untold(self, server: Server) -> int:
        """How many marks other realms have yet to be told."""
        self.network.settle()
        count = sa.select(sa.func.count()).select_from(untold_marks)
        return int(server.realm.database.now(lambda db: db.scalar(count)))

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

    def test_full_disk(self) -> None:
        """What can't be stored when it is to be told is told later, and replaces no newer mark."""
        self.budi.does(ask.MarkRead(self.here, 1))
        self.budi.does(ask.MarkRead(self.here, 2))
        self.two.realm.database.full = True
        self.wait()
        self.assertEqual((self.told(self.ana), self.untold(self.two)), (["budi@realm2 1"], 1))
        self.two.realm.database.full = False
        self.network.advance(TRY_AGAIN)
        self.assertEqual((self.told(self.ana), self.untold(self.two)), (["budi@realm2 2"], 0))
        self.two.realm.database.full = True
        self.network.advance(TRY_AGAIN)
        self.assertEqual(self.told(self.ana), [])

    def test_crash(self) -> None:
        """A mark that is stored is told also if the realm is killed before."""
        self.budi.does(ask.MarkRead(self.here, 1))
        self.budi.does(ask.MarkRead(self.here, 4))
        self.assertEqual(self.untold(self.two), 1)
        self.two.restart()
        self.meet()
        self.assertEqual(self.told(self.ana), ["budi@realm2 1", "budi@realm2 4"])
        self.assertEqual(self.untold(self.two), 0)

    def test_stop(self) -> None:
        self.budi.does(ask.MarkRead(self.here, 1))
        self.budi.does(ask.MarkRead(self.here, 4))
        self.two.close()
        self.two.open()
        self.meet()
        self.assertEqual(self.told(self.ana), ["budi@realm2 1", "budi@realm2 4"])

    def test_mark_that_moves_on(self) -> None:
        """A mark that is told again does not replace a newer one, which waits."""
        self.budi.does(ask.MarkRead(self.here, 1))
        self.told(self.ana)
        self.part()
        now = self.two.realm.database.now
        older = now(lambda db: shared_marks.marks_for(db, self.here, "realm1"))
        self.assertEqual([each.seq for each in older], [1])
        self.patch(shared_marks, "marks_for", lambda *_: older)
        self.wait()
        self.budi.does(ask.MarkRead(self.here, 4))
        self.network.result(self.two.realm.service.receipts.tell_again("realm1"))
        self.meet()
        self.assertEqual(self.told(self.ana), ["budi@realm2 4"])

    def test_nobody_elsewhere_sees_it(self) -> None:
        """Marks in conversations of this realm alone, and of people without receipts, wait for nothing."""
        self.citra.sends("budi", "halo")
        for place in (self.here, self.here + 1):
            self.budi.does(ask.ChangePrivacy(receipts=place != self.here))
            self.budi.does(ask.MarkRead(place, 1))
            self.assertEqual(self.untold(self.two), 0)

    def test_person_who_is_blocked_meanwhile(self) -> None:
        """The mark is not told, and does not wait any more."""
        self.budi.does(ask.MarkRead(self.here, 1))
        self.budi.does(ask.MarkRead(self.here, 4))
        self.told(self.ana)
        self.budi.does(ask.BlockPerson(Address("ana", "realm1")))
        self.assertEqual(self.untold(self.two), 1)
        self.two.restart()
        self.meet()
        self.assertEqual((self.told(self.ana), self.untold(self.two)), ([], 0))

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

    def test_reader_of_whom_several_homes_tell(self) -> None:
        """The home tells all realms of a mark but the reader's own, also if another group's home has told it
        of the same reader just before. Realms that are told pass nothing on to other realms."""
        three = self.network.server("realm3")
        self.one.add(three)
        self.two.add(three)
        eka = three.person("eka")
        self.citra.creates("pasar")
        for joining in (self.ana, eka):
            joining.joins("pasar@realm2")
        self.citra.posts("pasar", "halo")
        eka.joins("bagan@realm1")
        self.network.advance(INTERVAL)
        pasar = self.citra.does(ask.ShowHistory(Place(group=Address("pasar")), 1)).items[-1]
        bagan = self.ana.does(ask.ShowHistory(self.here, 1)).items[-1]
        for each in (self.ana, self.budi):
            self.told(each)
        sent = [self.spy(server) for server in (self.one, self.two, three)]
        receipts = self.one.realm.service.receipts
        for realm, news in (
            ("realm2", GroupRead("eka@realm3", "realm2", pasar.conversation, pasar.seq)),
            ("realm3", GroupRead("eka", "realm1", bagan.conversation, bagan.seq)),
        ):
            self.network.result(receipts.arrived(realm, news))
        self.wait()
        of_pasar, of_bagan = (f"eka@realm3 {each.seq}" for each in (pasar, bagan))
        self.assertEqual(self.told(self.ana), [of_pasar, of_bagan])
        self.assertEqual(self.told(self.budi), [of_bagan])
        self.assertEqual(sent, [["realm2"], [], []])

    def spy(self, server: Server) -> list[str]:
        """The realms that a server tells of read marks from now on."""
        told: list[str] = []
        forwarder = server.realm.service.receipts._forwarder
        stage = forwarder.stage

        def noted(connection: sa.Connection, notices: Sequence[Notice]) -> Sequence[StagedNotice]:
            told.extend(each.realm for each in notices)
            return stage(connection, notices)

        self.patch(forwarder, "stage", noted)
        return told

    def test_crash_of_the_home(self) -> None:
        """The home, which has acknowledged a mark, tells the other realms of it also after a crash."""
        three = self.network.server("realm3")
        self.one.add(three)
        eka = three.person("eka")
        eka.does(ask.SetListening("all"))
        eka.joins("bagan@realm1")
        self.told(eka)
        group = self.ana.does(ask.ShowHistory(self.here, 1)).items[0].conversation
        for seq in (self.seq - 1, self.seq):
            news = GroupRead("budi", "realm1", group, seq)
            self.network.result(self.one.realm.service.receipts.arrived("realm2", news))
        self.assertEqual(self.told(eka), [f"budi@realm2 {self.seq - 1}"])
        self.assertEqual(self.untold(self.one), 1)
        self.one.restart()
        self.network.advance(5)
        self.assertEqual(self.told(eka), [f"budi@realm2 {self.seq}"])
        self.assertEqual(self.untold(self.one), 0)
