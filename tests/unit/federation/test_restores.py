"""A realm that was restored from a backup: what its people send arrives exactly once, in both directions."""

from __future__ import annotations

from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.simulate.people import Person
from chatd.store import parcel_numbers
from tests.support.restores import RestoredTestCase


class RestoreTestCase(RestoredTestCase):
    def sender_is_restored(self, *, linked: bool) -> None:
        self.ana.sends("budi@realm2", "satu")
        copy = self.back_up(self.one)
        for text in ("dua", "tiga"):
            self.ana.sends("budi@realm2", text)
            self.budi.sends("ana@realm1", f"jawab {text}")
        if not linked:
            self.part()
        self.restore(self.one, copy)
        for text in ("empat", "lima"):
            self.ana.sends("budi@realm2", text)
        if not linked:
            self.meet()
        self.budi.sends("ana@realm1", "enam")
        self.network.advance(5)
        self.assertEqual(
            self.budi.history("ana@realm1"),
            [
                "ana@realm1: satu",
                "ana@realm1: dua",
                "budi: jawab dua",
                "ana@realm1: tiga",
                "budi: jawab tiga",
                "ana@realm1: empat",
                "ana@realm1: lima",
                "budi: enam",
            ],
        )
        lost = ["ana: dua", "budi@realm2: jawab dua", "ana: tiga", "budi@realm2: jawab tiga"]
        since = ["ana: empat", "ana: lima"]
        self.assertEqual(
            self.ana.history("budi@realm2"),
            ["ana: satu", *(lost + since if linked else since + lost), "budi@realm2: enam"],
        )
        self.assertEqual(self.one.parcels_waiting() + self.two.parcels_waiting(), 0)

    def test_sender(self) -> None:
        self.sender_is_restored(linked=True)

    def test_sender_without_a_link(self) -> None:
        self.sender_is_restored(linked=False)

    def test_parts(self) -> None:
        """Replies and mentions come back with their messages, also those of an edited one."""
        self.budi.sends("ana@realm1", "satu")
        copy = self.back_up(self.one)
        place = Place(parse_address("budi@realm2"), None)
        for text in ("@budi@realm2 dua", "tiga"):
            self.ana.does(ask.SendMessage((parse_address("budi@realm2"),), text, reply=1))
        self.ana.does(ask.EditMessage(place, 3, "@budi@realm2 empat"))
        before = self.ana.does(ask.ShowHistory(place, 9)).items
        self.restore(self.one, copy)
        after = self.ana.does(ask.ShowHistory(place, 9)).items
        for shown in (before, after):
            self.assertEqual([each.reply for each in shown], [None, 1, 1])
            self.assertEqual([len(each.mentions) for each in shown], [0, 1, 1])
        self.assertEqual([each.mentions for each in before], [each.mentions for each in after])

    def test_changes(self) -> None:
        """What was done to messages comes back to either side: the newest words, reactions, pins and
        deletions, of one's own and of the other's messages."""
        for text in ("satu", "dua", "tiga"):
            self.ana.sends("budi@realm2", text)
            self.budi.sends("ana@realm1", f"jawab {text}")
        here, there = (Place(parse_address(each), None) for each in ("budi@realm2", "ana@realm1"))
        copies = [(server, self.back_up(server)) for server in (self.one, self.two)]
        for person, place, first in ((self.ana, here, 1), (self.budi, there, 2)):
            for change in (
                ask.EditMessage(place, first, "lama"),
                ask.EditMessage(place, first, "baru"),
                ask.ReactToMessage(place, 3 - first, "👍", True),
                ask.ReactToMessage(place, first, "🎉", True),
                ask.ReactToMessage(place, first, "🎉", False),
                ask.PinMessage(place, 2 + first, True),
                ask.EditMessage(place, 4 + first, "rahasia"),
                ask.DeleteMessage(place, 4 + first),
            ):
                person.does(change)
        for server, copy in copies:
            self.restore(server, copy)
            for person, place in ((self.ana, here), (self.budi, there)):
                shown = person.does(ask.ShowHistory(place, 9)).items
                self.assertEqual(
                    [(each.text, each.pinned) for each in shown],
                    [
                        ("baru", False),
                        ("baru", False),
                        ("dua", True),
                        ("jawab dua", True),
                        (None, False),
                        (None, False),
                    ],
                )
                reactions = [[found.emoji for found in each.reactions] for each in shown]
                self.assertEqual(reactions, [["👍"], ["👍"], [], [], [], []])
        self.assertEqual(self.one.parcels_waiting() + self.two.parcels_waiting(), 0)

    def test_twice(self) -> None:
        """The same backup is restored twice: what was sent in between is not taken for what follows."""
        copy = self.back_up(self.one)
        for text in ("satu", "dua", "tiga"):
            self.ana.sends("budi@realm2", text)
            self.restore(self.one, copy)
        self.ana.sends("budi@realm2", "empat")
        self.assertEqual(
            self.budi.reads(), [f"ana@realm1: {text}" for text in ("satu", "dua", "tiga", "empat")]
        )

    def test_queued_in_the_backup(self) -> None:
        """What waited when the backup was made has arrived since, and is sent again."""
        self.part()
        self.ana.sends("budi@realm2", "satu")
        self.ana.sends("budi@realm2", "dua")
        copy = self.back_up(self.one)
        self.meet()
        self.network.advance(5)
        self.ana.sends("budi@realm2", "tiga")
        self.restore(self.one, copy)
        self.ana.sends("budi@realm2", "empat")
        self.network.advance(5)
        self.assertEqual(
            self.budi.reads(), [f"ana@realm1: {text}" for text in ("satu", "dua", "tiga", "empat")]
        )
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_receiver(self) -> None:
        """The receiver is restored: it gets again what it has lost, and nothing twice."""
        self.ana.sends("budi@realm2", "satu")
        copy = self.back_up(self.two)
        self.ana.sends("budi@realm2", "dua")
        self.part()
        self.ana.sends("budi@realm2", "tiga")
        self.restore(self.two, copy)
        self.meet()
        self.network.advance(5)
        self.ana.sends("budi@realm2", "empat")
        self.assertEqual(
            self.budi.reads(),
            [f"ana@realm1: {text}" for text in ("satu", "dua", "tiga", "empat")],
        )

    def test_read_marks(self) -> None:
        """A realm that has lost how far others have read is told again, in directs and in groups of either
        realm."""
        for person, group in ((self.ana, "bagan"), (self.budi, "nusa")):
            person.creates(group)
        for person, group in ((self.budi, "bagan@realm1"), (self.ana, "nusa@realm2")):
            person.joins(group)
        self.network.advance(5)
        copy = self.back_up(self.one)
        self.ana.sends("budi@realm2", "satu")
        self.ana.posts("bagan", "dua")
        self.ana.posts("nusa@realm2", "tiga")
        self.network.advance(5)
        places = [("budi@realm2", "ana@realm1"), ("#bagan", "#bagan@realm1")]
        places.append(("#nusa@realm2", "#nusa"))
        for _, there in places:
            self.reads(self.budi, there)
        self.network.advance(5)
        self.restore(self.one, copy)
        self.network.advance(5)
        found = [self.readers(self.ana, here) for here, _ in places]
        self.assertEqual(found, [["budi@realm2"]] * 3)

    def place(self, name: str) -> Place:
        if name.startswith("#"):
            return Place(None, parse_group(name[1:]))
        return Place(parse_address(name), None)

    def reads(self, who: Person, name: str) -> None:
        last = who.does(ask.ShowHistory(self.place(name), 1)).items[-1]
        who.does(ask.MarkRead(last.conversation, last.seq))

    def readers(self, who: Person, name: str) -> list[str]:
        place = self.place(name)
        last = who.does(ask.ShowHistory(place, 1)).items[-1]
        return [each.username for each in who.does(ask.ShowReaders(place, last.seq)).items]

    def test_clock_behind(self) -> None:
        """A realm is restored while its clock is behind: its numbers are lower than those that it has lost.
        These come back, and what follows has higher numbers. So both sides agree after another restore."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        copy, mirror = self.back_up(self.one), self.back_up(self.two)
        self.network.advance(600)
        self.one.restart()
        self.network.advance(5)
        self.ana.sends("budi@realm2", "satu")
        self.ana.posts("bagan", "dua")
        self.budi.posts("bagan@realm1", "tiga")
        self.network.advance(5)
        lost = self.one.federation.standings.of("realm2").acknowledged
        self.patch(parcel_numbers, "FIRST_TERM", parcel_numbers.FIRST_TERM + 500_000)
        self.restore(self.one, copy)
        self.assertGreater(
            self.one.realm.database.now(self.one.service.context.writers.parcels.take), lost
        )
        self.ana.sends("budi@realm2", "empat")
        self.ana.posts("bagan", "lima")
        self.network.advance(5)
        for _ in range(2):
            texts = [each.partition(": ")[2] for each in self.budi.history("ana@realm1")]
            self.assertEqual(texts, ["satu", "empat"])
            self.assertEqual(self.ana.history("budi@realm2"), ["ana: satu", "ana: empat"])
            for person, group in ((self.ana, "bagan"), (self.budi, "bagan@realm1")):
                texts = [each.partition(": ")[2] for each in person.history(group=group)]
                self.assertEqual(texts, ["dua", "tiga", "lima"])
            self.restore(self.two, mirror)

    def test_membership(self) -> None:
        """Budi has left, and joined again. The news that he has left comes again: it changes nothing."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.part()
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        copy = self.back_up(self.two)
        self.meet()
        self.network.advance(5)
        self.assertEqual(self.ana.members("bagan"), ["*ana+"])
        self.budi.joins("bagan@realm1")
        self.restore(self.two, copy)
        self.network.advance(5)
        self.assertEqual(self.two.parcels_waiting(), 0)
        self.assertIn("budi@realm2", "".join(self.ana.members("bagan")))


class RestoredFilesTestCase(RestoredTestCase):
    """A backup has the files of its time only. Later ones come back from the other realm."""

    def sent(self, data: bytes = b"bytes" * 20_000) -> tuple[str, bytes]:
        self.budi.sends("ana@realm1", "satu")
        return "a.bin", data

    def code(self, person: Person) -> str:
        (file,) = [each for each in person.files() if each.name == "a.bin"]
        return file.code

    def test_of_the_sender(self) -> None:
        name, data = self.sent()
        copy = self.back_up(self.one)
        self.ana.sends_file("budi@realm2", name, data)
        self.restore(self.one, copy)
        self.assertEqual(self.ana.history("budi@realm2")[-1], "ana: file a.bin")
        self.assertEqual(self.ana.fetches(self.code(self.ana)), data)
        self.assertEqual(self.budi.fetches(self.code(self.budi)), data)

    def test_of_the_receiver(self) -> None:
        name, data = self.sent()
        copy = self.back_up(self.one)
        self.budi.sends_file("ana@realm1", name, data)
        self.restore(self.one, copy)
        self.assertEqual(self.ana.history("budi@realm2")[-1], "budi@realm2: file a.bin")
        self.assertEqual(self.ana.fetches(self.code(self.ana)), data)

    def test_while_it_arrives(self) -> None:
        """The sender is restored to a time before the message: the bytes that are still to come are lost."""
        name, data = self.sent()
        copy = self.back_up(self.one)
        end = self.connection.transport_of(self.one)
        end.holding = {"File answer"}
        self.ana.begins_to_send_file("budi@realm2", name, data)
        self.network.settle()
        self.restore(self.one, copy)
        self.network.advance(70)
        for person, other in ((self.ana, "budi@realm2"), (self.budi, "ana@realm1")):
            place = Place(user=parse_address(other))
            last = person.does(ask.ShowHistory(place, 9)).items[-1]
            self.assertEqual(last.file.state, "lost")

    def test_of_a_home(self) -> None:
        name, data = self.sent()
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        copy = self.back_up(self.one)
        self.ana.sends_file("#bagan", name, data)
        self.budi.sends_file("#bagan@realm1", "b.bin", data[:-1])
        self.restore(self.one, copy)
        self.network.advance(5)
        self.assertEqual(
            self.ana.history(group="bagan")[-2:], ["ana: file a.bin", "budi@realm2: file b.bin"]
        )
        self.assertEqual(self.ana.fetches(self.code(self.ana)), data)
        (other,) = [each for each in self.ana.files() if each.name == "b.bin"]
        self.assertEqual(self.ana.fetches(other.code), data[:-1])

    def test_of_a_mirror(self) -> None:
        name, data = self.sent()
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        copy = self.back_up(self.two)
        self.ana.sends_file("#bagan", name, data)
        self.budi.sends_file("#bagan@realm1", "b.bin", data[:-1])
        self.restore(self.two, copy)
        self.network.advance(5)
        shown = self.budi.history(group="bagan@realm1")[-2:]
        self.assertEqual(shown, ["ana@realm1: file a.bin", "budi: file b.bin"])
        self.assertEqual(self.budi.fetches(self.code(self.budi)), data)
