"""The home of a group, or a mirror, is restored from a backup: nothing is lost that a realm still has."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred

from chatd.base.errors import Banned, RealmDown, StorageFailed, UnknownGroup
from chatd.base.model import Party
from chatd.base.names import Address, Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.federation import guest_lists, parcels, restores
from chatd.federation.admissions import encode_admission
from chatd.federation.standing import Standings
from chatd.simulate.people import Person
from chatd.store.change_requests import remove_old
from chatd.store.schema import admissions, change_requests, changes, groups, signatures
from tests.support.network import Server
from tests.support.restores import RestoredTestCase

PARTY = Party("budi@realm2", "budi@realm2", realm="realm2")
HERE, THERE = Place(None, parse_group("bagan")), Place(None, parse_group("bagan@realm1"))


class GroupRestoreTestCase(RestoredTestCase):
    """bagan is a group of realm1 with ana; budi and citra of realm2 are members."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.ana.posts("bagan", "satu")
        self.network.advance(5)

    def seqs(self, person: Person, place: Place) -> dict[str, int]:
        """The seqs of the messages, by their texts."""
        return {
            each.text: each.seq
            for each in person.does(ask.ShowHistory(place, 500)).items
            if each.text
        }

    def shown(self, person: Person, place: Place) -> list[str]:
        """The texts in the order of the log, without the realms of their authors."""
        return [
            f"{each.sender.partition('@')[0]}: {each.text}"
            for each in person.does(ask.ShowHistory(place, 500)).items
        ]

    def reacted_and_edited(self, server: Server) -> None:
        copy = self.back_up(server)
        for text in ("dua", "tiga"):
            self.ana.posts("bagan", text)
        seqs = self.seqs(self.ana, HERE)
        for text, seq in list(seqs.items())[1:]:
            self.citra.does(ask.ReactToMessage(THERE, seq, "👍", True))
            self.ana.does(ask.PinMessage(HERE, seq, True))
            self.ana.does(ask.EditMessage(HERE, seq, f"{text}!"))
        self.ana.does(ask.DeleteMessage(HERE, seqs["tiga"]))
        self.network.advance(5)
        self.restore(server, copy)
        self.network.advance(5)
        for person, place in ((self.ana, HERE), (self.budi, THERE)):
            _, edited, deleted = person.does(ask.ShowHistory(place, 500)).items
            self.assertEqual((edited.text, edited.pinned), ("dua!", True))
            self.assertEqual([each.emoji for each in edited.reactions], ["👍"])
            self.assertEqual(
                (deleted.deleted, deleted.pinned, deleted.reactions), (True, False, ())
            )


class EarlierTestCase(GroupRestoreTestCase):
    def test_signed_when_they_cross(self) -> None:
        """Messages of the home that are older than signatures are signed when a mirror that has lost them
        gets them again, also with a reply, a mention and a file. Deleted ones and those of others are not."""
        self.budi.posts("bagan@realm1", "dari budi")
        self.network.advance(5)
        copy = self.back_up(self.two)
        group = parse_address("bagan")
        self.ana.does(ask.SendGroupMessage(group, "@budi@realm2 dua", reply=self.first("satu")))
        self.ana.sends_file("#bagan", "a.txt", b"0123456789")
        self.ana.posts("bagan", "rahasia")
        self.ana.does(ask.DeleteMessage(HERE, self.first("rahasia")))
        self.budi.posts("bagan@realm1", "tiga")
        self.network.advance(5)
        before = self.shown(self.ana, HERE)

        def older(connection: sa.Connection) -> None:
            connection.execute(sa.delete(signatures).where(signatures.c.realm == "realm1"))

        self.one.realm.database.now(older)
        self.restore(self.two, copy)
        self.network.advance(5)
        self.assertEqual(self.shown(self.ana, HERE), before)
        found = self.budi.does(ask.ShowHistory(THERE, 500)).items
        texts = [each.text for each in found]
        self.assertEqual(texts, ["satu", "dari budi", "@budi@realm2 dua", None, "tiga"])
        self.assertEqual((found[2].reply, found[2].mentions), (found[0].seq, ("budi",)))
        self.assertEqual(found[3].file.name, "a.txt")
        self.assertFalse(any(each.unverified for each in found))
        count = sa.select(sa.func.count()).where(signatures.c.realm == "realm1")
        self.assertEqual(self.one.realm.database.now(lambda db: db.scalar(count)), 2)

    def first(self, text: str) -> int:
        return self.seqs(self.ana, HERE)[text]


class LostMembersTestCase(GroupRestoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        made = self.ana.does(ask.AddGroup("nusa", visibility="private"))
        self.code = f"{made.fields['groupcode']}@realm1"
        self.there = Place(None, parse_group("nusa@realm1"))

    def citra_joins(self) -> None:
        """citra joins after a message was written, which she doesn't see."""
        self.network.advance(1)
        self.ana.posts("nusa", "satu")
        self.network.advance(1)
        self.citra.joins(self.code)
        self.network.advance(1)
        self.ana.posts("nusa", "dua")
        self.network.advance(5)

    def compare(self) -> None:
        """The mirror has the numbers of the home, and its members see what they saw before."""
        seqs = self.seqs(self.ana, Place(None, parse_group("nusa")))
        self.assertEqual(self.seqs(self.budi, self.there), seqs)
        self.assertEqual(self.seqs(self.citra, self.there), {"dua": seqs["dua"]})

    def test_one(self) -> None:
        """The mirror is restored to a time before a member joined."""
        self.budi.joins(self.code)
        copy = self.back_up(self.two)
        self.citra_joins()
        self.restore(self.two, copy)
        self.network.advance(5)
        self.compare()

    def test_all(self) -> None:
        """The mirror is restored to a time before the group had members there. It has its settings again."""
        copy = self.back_up(self.two)
        self.budi.joins(self.code)
        self.citra_joins()
        self.restore(self.two, copy)
        self.network.advance(5)
        self.compare()
        self.part()
        details = self.budi.does(ask.ShowGroup(parse_address("nusa@realm1"))).fields
        self.assertEqual((details["visibility"], details["past"]), ("private", "joined"))

    def test_earlier_membership(self) -> None:
        """The mirror is restored to an earlier membership: the present one decides what the member sees."""
        self.budi.joins(self.code)
        self.ana.posts("nusa", "satu")
        self.network.advance(5)
        copy = self.back_up(self.two)
        self.budi.does(ask.LeaveGroup(parse_address("nusa@realm1")))
        self.ana.posts("nusa", "dua")
        self.network.advance(5)
        self.budi.joins(self.code)
        self.ana.posts("nusa", "tiga")
        self.network.advance(5)
        for _ in range(2):
            self.assertEqual(list(self.seqs(self.budi, self.there)), ["tiga"])
            self.restore(self.two, copy)
            self.network.advance(5)

    def test_home(self) -> None:
        """The home is restored to a time before a private group had members elsewhere: those who are still
        members are in it again, and nobody else of their realm."""
        copy = self.back_up(self.one)
        for person in (self.budi, self.citra):
            person.joins(self.code)
        self.ana.posts("nusa", "satu")
        self.citra.does(ask.LeaveGroup(parse_address("nusa@realm1")))
        self.budi.posts("nusa@realm1", "dua")
        self.network.advance(5)
        for _ in range(2):
            self.restore(self.one, copy)
            self.network.advance(5)
            self.assertEqual(self.ana.members("nusa"), ["*ana+", "budi@realm2+"])
            here = self.seqs(self.ana, Place(None, parse_group("nusa")))
            self.assertEqual(sorted(here), ["dua", "satu"])
            with self.assertRaises(UnknownGroup):
                self.citra.joins("nusa@realm1")
        self.ana.posts("nusa", "tiga")
        self.network.advance(5)
        self.assertEqual(list(self.seqs(self.budi, self.there)), ["satu", "dua", "tiga"])

    def test_mirror_and_then_home(self) -> None:
        """A membership that the home has returned can be shown to the home."""
        home, mirror = self.back_up(self.one), self.back_up(self.two)
        self.budi.joins(self.code)
        self.network.advance(5)
        self.restore(self.two, mirror)
        self.restore(self.one, home)
        self.network.advance(5)
        self.assertEqual(len(self.ana.members("nusa")), 2)
        self.ana.posts("nusa", "satu")
        self.network.advance(5)
        self.assertEqual(list(self.seqs(self.budi, self.there)), ["satu"])

    def test_proofs(self) -> None:
        """Only the report of the home proves a membership: of that person, in that group, and only if the
        home may have lost it."""
        copy = self.back_up(self.one)
        self.budi.joins(self.code)
        self.network.advance(5)
        [(number, ident, seal, at)] = self.admissions()
        shown: list[bytes | None] = []

        def encoded(*_: Any) -> bytes:
            return shown[-1] or b""

        self.patch(restores, "encode_admission", encoded)
        for proof in (
            (number + 1, ident, seal, at),
            (number, ident, seal, at - 1),
            (number, ident, seal),
            (number, ident + 1, seal, at),
            (number, ident, bytes(16), at),
            (number, ident, b"", at),
            (number, ident),
        ):
            shown.append(parcels.encode(proof))
            self.restore(self.one, copy)
            self.assertEqual(self.ana.members("nusa"), ["*ana+"])
        shown.append(encode_admission(number, ident, seal, at))
        self.restore(self.one, copy)
        self.assertEqual(self.ana.members("nusa"), ["*ana+", "budi@realm2+"])
        # The home has not lost the report, and budi has left.
        self.budi.does(ask.LeaveGroup(parse_address("nusa@realm1")))
        self.network.advance(5)
        taking = self.one.federation.questions._admissions.take(
            "realm2", PARTY, Address("nusa"), encode_admission(number, ident, seal, at)
        )
        self.network.result(taking)
        with self.assertRaises(UnknownGroup):
            self.budi.joins("nusa@realm1")

    def test_proof_while_the_disk_is_full(self) -> None:
        """A proof that can't be checked is shown again over the next link."""
        copy = self.back_up(self.one)
        self.budi.joins(self.code)
        self.network.advance(5)
        given, shown = Standings.given, []

        async def failing(standings: Standings, number: int) -> None:
            shown.append(number)
            if len(shown) == 1:
                raise StorageFailed
            await given(standings, number)

        self.patch(Standings, "given", failing)
        self.restore(self.one, copy)
        self.network.until(lambda: len(shown) > 1, patience=60)
        self.network.advance(5)
        self.assertEqual(self.ana.members("nusa"), ["*ana+", "budi@realm2+"])

    def admissions(self) -> list[tuple[int, int, bytes, int]]:
        """Those of realm2's members of the private group."""
        query = (
            sa.select(admissions.c.number, groups.c.home_id, admissions.c.seal, admissions.c.at)
            .join(groups, groups.c.conversation_id == admissions.c.conversation_id)
            .where(groups.c.private)
        )
        return [
            tuple(row) for row in self.two.realm.database.now(lambda db: db.execute(query)).all()
        ]


class HomeTestCase(GroupRestoreTestCase):
    def test_messages(self) -> None:
        copy = self.back_up(self.one)
        self.ana.posts("bagan", "dua")
        self.budi.posts("bagan@realm1", "tiga")
        self.network.advance(5)
        self.restore(self.one, copy)
        self.citra.posts("bagan@realm1", "empat")
        self.network.advance(5)
        texts = ["ana: satu", "ana: dua", "budi: tiga", "citra: empat"]
        self.assertEqual(self.shown(self.ana, HERE), texts)
        self.assertEqual(self.shown(self.budi, THERE), texts)
        self.assertEqual(self.one.parcels_waiting() + self.two.parcels_waiting(), 0)

    def test_changes(self) -> None:
        """Edits, deletions, reactions and pins come back, and what was deleted does not."""
        self.budi.posts("bagan@realm1", "dua")
        self.network.advance(5)
        copy = self.back_up(self.one)
        self.ana.posts("bagan", "tiga")
        seqs = self.seqs(self.ana, HERE)
        self.ana.does(ask.EditMessage(HERE, seqs["tiga"], "tiga!"))
        self.ana.does(ask.DeleteMessage(HERE, seqs["satu"]))
        self.ana.does(ask.PinMessage(HERE, seqs["dua"], True))
        self.citra.does(ask.ReactToMessage(THERE, seqs["dua"], "👍", True))
        self.network.advance(5)
        self.restore(self.one, copy)
        self.network.advance(5)
        for person, place in ((self.ana, HERE), (self.budi, THERE)):
            first, second, third = person.does(ask.ShowHistory(place, 500)).items
            self.assertEqual((first.text, first.deleted), (None, True))
            self.assertEqual((second.text, second.pinned), ("dua", True))
            self.assertEqual([each.emoji for each in second.reactions], ["👍"])
            self.assertEqual(third.text, "tiga!")
            self.assertIsNotNone(third.edited)

    def test_deleted_messages(self) -> None:
        """Messages that were written and deleted since the backup come back without their content."""
        copy = self.back_up(self.one)
        for text in ("dua", "tiga"):
            self.ana.posts("bagan", text)
            self.ana.does(ask.DeleteMessage(HERE, self.seqs(self.ana, HERE)[text]))
        self.network.advance(5)
        self.restore(self.one, copy)
        self.network.advance(5)
        for person, place in ((self.ana, HERE), (self.budi, THERE)):
            found = person.does(ask.ShowHistory(place, 500)).items
            self.assertEqual([(each.text, each.deleted) for each in found[1:]], [(None, True)] * 2)
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_marks_before_an_edit(self) -> None:
        """An edited message comes back in three steps: the message without content, the changes that others
        made to it, and the edit with the text."""
        self.reacted_and_edited(self.one)

    def test_facts(self) -> None:
        """The home gets back who of its people joined, left, was kicked or promoted, and that the group was
        closed. Each of these is one entry in both logs, also if it comes back twice. citra is no admin any
        more, because only her own realm says that she became one."""
        eka, dewi, agus = (self.one.person(name) for name in ("eka", "dewi", "agus"))
        for person in (eka, agus):
            person.joins("bagan")
        self.network.advance(5)
        copy = self.back_up(self.one)
        group = parse_address("bagan")
        self.ana.does(ask.KickMember(group, Address("eka")))
        dewi.joins("bagan")
        self.ana.does(ask.PromoteMember(group, Address("dewi")))
        self.ana.does(ask.PromoteMember(group, Address("citra", "realm2")))
        self.ana.does(ask.CloseGroup(group))
        agus.does(ask.LeaveGroup(group))
        self.network.advance(5)
        members = sorted(each.rstrip("+") for each in self.ana.members("bagan"))
        members = sorted(each.replace("*citra", "citra") for each in members)
        for _ in range(2):
            self.restore(self.one, copy)
            self.network.advance(5)
            found = sorted(each.rstrip("+") for each in self.ana.members("bagan"))
            self.assertEqual(found, members)
            with self.assertRaises(Banned):
                eka.joins("bagan")
            [info] = self.ana.does(ask.ListOwnGroups()).items
            self.assertTrue(info.closed)
            self.assertEqual(self.facts(self.one), self.facts(self.two))
            self.one.restart()
            self.network.advance(5)

    def test_what_happened_after_the_restore(self) -> None:
        """Facts that are older than the present state are in the log again, and change nothing else."""
        eka, dewi = self.one.person("eka"), self.one.person("dewi")
        for person in (eka, dewi):
            person.joins("bagan")
        copy = self.back_up(self.one)
        group = parse_address("bagan")
        self.ana.does(ask.PromoteMember(group, Address("dewi")))
        eka.does(ask.LeaveGroup(group))
        eka.joins("bagan")
        self.ana.does(ask.SetGroup(group, title="lama", topic="bola"))
        self.network.advance(5)
        self.part()
        self.restore(self.one, copy)
        self.ana.does(ask.KickMember(group, Address("eka")))
        self.ana.does(ask.SetGroup(group, title="baru"))
        self.ana.does(ask.PromoteMember(group, Address("dewi")))
        self.ana.does(ask.DemoteAdmin(group, Address("dewi")))
        self.meet()
        self.network.advance(5)
        members = [each.rstrip("+") for each in self.ana.members("bagan")]
        self.assertNotIn("eka", members)
        self.assertIn("dewi", members)
        with self.assertRaises(Banned):
            eka.joins("bagan")
        settings = self.ana.does(ask.ShowGroup(group)).fields
        self.assertEqual((settings["title"], settings["topic"]), ("baru", "bola"))
        self.assertEqual(self.facts(self.one), self.facts(self.two))

    def facts(self, server: Server) -> list[str]:
        """What the realm's log has of those people and of the group."""
        table = sa.select(changes.c.data).where(changes.c.kind.in_(("member", "group")))
        rows = server.realm.database.now(lambda db: db.scalars(table).all())
        found = (each.replace("@realm1", "") for each in rows)
        others = ("ana", "budi", "citra")
        return sorted(each for each in found if not any(other in each for other in others))

    def test_before_the_mirror(self) -> None:
        """The home is restored to a time before others joined. They join again, and the home gets their
        messages back."""
        self.ana.creates("nusa")
        copy = self.back_up(self.one)
        self.budi.joins("nusa@realm1")
        self.citra.joins("nusa@realm1")
        self.ana.posts("nusa", "satu")
        self.budi.posts("nusa@realm1", "dua")
        self.network.advance(5)
        self.restore(self.one, copy)
        self.network.advance(5)
        here, there = Place(None, parse_group("nusa")), Place(None, parse_group("nusa@realm1"))
        self.ana.posts("nusa", "tiga")
        self.network.advance(5)
        texts = ["ana: satu", "budi: dua", "ana: tiga"]
        self.assertEqual(self.shown(self.ana, here), texts)
        self.assertEqual(self.shown(self.citra, there), texts)
        self.assertEqual(len(self.ana.members("nusa")), 3)

    def test_not_known_any_more(self) -> None:
        """The home is restored to a time before the group: its mirror stays as it is."""
        copy = self.back_up(self.one)
        self.ana.creates("nusa")
        self.budi.joins("nusa@realm1")
        self.ana.posts("nusa", "satu")
        self.network.advance(5)
        self.restore(self.one, copy)
        self.network.advance(5)
        self.ana.posts("bagan", "dua")
        there = Place(None, parse_group("nusa@realm1"))
        self.assertEqual(self.shown(self.budi, there), ["ana: satu"])
        self.assertEqual(self.shown(self.budi, THERE), ["ana: satu", "ana: dua"])

    def test_members_who_may_not_join_again(self) -> None:
        """The home is restored to a time when budi and citra were banned. The mirror logs one line."""
        group = parse_address("bagan")
        for name in ("budi", "citra"):
            self.ana.does(ask.KickMember(group, Address(name, "realm2")))
        copy = self.back_up(self.one)
        for person in (self.budi, self.citra):
            self.ana.does(ask.LiftBan(group, Address(person.name, "realm2")))
            person.joins("bagan@realm1")
        self.network.advance(5)
        lines: list[str] = []
        self.patch(restores.log, "info", lambda line, **said: lines.append(line.format(**said)))
        self.restore(self.one, copy)
        self.network.advance(5)
        self.assertEqual(self.ana.members("bagan"), ["*ana+"])
        self.assertEqual(lines, ["2 members of bagan@realm1 may not join again"])
        self.assertEqual((self.budi.mine(), self.citra.mine()), ([], []))

    def test_posts_that_did_not_come_back(self) -> None:
        """Posts that the home had acknowledged, and lost by a restore before the other realm had them, are
        sent again with all their parts. They are refused if their author may not write any more."""
        group, citra = parse_address("bagan"), Address("citra", "realm2")
        self.ana.does(ask.KickMember(group, citra))
        self.network.advance(5)
        copy = self.back_up(self.one)
        self.ana.does(ask.LiftBan(group, citra))
        self.citra.joins("bagan@realm1")
        self.network.advance(5)
        self.connection.transport_of(self.one).losing = {"Deliver"}
        seq = self.seqs(self.budi, THERE)["satu"]
        self.budi.begins(ask.ReplyToMessage(THERE, seq, "@ana@realm1 dua"))
        self.citra.begins_to_post("bagan@realm1", "tiga")
        self.budi.begins_to_send_file("#bagan@realm1", "a.bin", b"bytes")
        self.network.advance(5)
        self.assertEqual(self.two.parcels_waiting(), 0)
        self.assertEqual(len(self.seqs(self.ana, HERE)), 3)
        self.restore(self.one, copy)
        self.network.advance(5)
        for person, place in ((self.ana, HERE), (self.budi, THERE)):
            items = person.does(ask.ShowHistory(place, 500)).items
            [reply] = [each for each in items if each.text == "@ana@realm1 dua"]
            self.assertEqual(reply.reply, self.seqs(person, place)["satu"])
            self.assertEqual([each.partition("@")[0] for each in reply.mentions], ["ana"])
            [file] = [each.file for each in items if each.file]
            self.assertEqual(person.fetches(file.code), b"bytes")
        [said] = [each for each in self.citra.reads() if each.startswith("system")]
        self.assertIn("tiga", said)
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_changes_that_did_not_come_back(self) -> None:
        """Changes that the home had acknowledged, and lost by a restore before the other realm had them, are
        made again. Edits of a message that was deleted since are not made, and leave no text."""
        self.budi.posts("bagan@realm1", "dua")
        self.budi.posts("bagan@realm1", "tiga")
        self.network.advance(5)
        copy = self.back_up(self.one)
        self.connection.transport_of(self.one).losing = {"Deliver"}
        seqs = self.seqs(self.budi, THERE)
        self.budi.begins(ask.ReactToMessage(THERE, seqs["satu"], "👍", True))
        self.budi.begins(ask.EditMessage(THERE, seqs["dua"], "dua!"))
        self.budi.begins(ask.EditMessage(THERE, seqs["tiga"], "rahasia"))
        self.network.advance(5)
        self.assertEqual(self.two.parcels_waiting(), 0)
        self.assertEqual(self.seqs(self.ana, HERE).keys(), {"satu", "dua!", "rahasia"})
        self.budi.begins(ask.DeleteMessage(THERE, seqs["tiga"]))
        self.network.advance(5)
        self.restore(self.one, copy)
        self.network.advance(5)
        for person, place in ((self.ana, HERE), (self.budi, THERE)):
            first, second, third = person.does(ask.ShowHistory(place, 500)).items
            self.assertEqual([each.emoji for each in first.reactions], ["👍"])
            self.assertEqual((second.text, third.text, third.deleted), ("dua!", None, True))
        left = sa.select(sa.func.count()).select_from(change_requests)
        self.assertEqual(self.two.realm.database.now(lambda db: db.scalar(left)), 0)
        self.assertEqual(self.one.parcels_waiting() + self.two.parcels_waiting(), 0)

    def test_changes_that_never_come_back(self) -> None:
        """Changes that wait to be made again are forgotten when they expire or are refused."""
        count = sa.select(sa.func.count()).select_from(change_requests)
        database = self.two.realm.database
        seq = self.seqs(self.budi, THERE)["satu"]
        self.connection.transport_of(self.one).losing = {"Deliver"}
        self.budi.begins(ask.ReactToMessage(THERE, seq, "👍", True))
        self.network.advance(5)
        for before, left in ((0, 1), (1 << 60, 0)):
            database.now(lambda db, at=before: remove_old(db, at))
            self.assertEqual(database.now(lambda db: db.scalar(count)), left)
        self.part()
        self.budi.begins(ask.ReactToMessage(THERE, seq, "👍", True))
        self.ana.does(ask.KickMember(parse_address("bagan"), Address("budi", "realm2")))
        self.meet()
        self.network.advance(5)
        self.assertEqual(database.now(lambda db: db.scalar(count)), 0)

    def test_posts_are_sent_again_once(self) -> None:
        """A link ends while the restore over it goes on, and the restore over the next link begins."""
        self.connection.transport_of(self.one).losing = {"Deliver"}
        self.budi.begins_to_post("bagan@realm1", "dua")
        self.network.advance(5)
        self.part()
        restores = self.two.realm.federation.restores
        both = [Deferred.fromCoroutine(restores._repost("realm1")) for _ in range(2)]
        while self.two.realm.database.step_read():
            pass
        self.network.settle()
        self.assertEqual([self.network.result(each) for each in both], [None, None])
        self.assertEqual(self.two.parcels_waiting(), 1)

    def test_after_a_second_start(self) -> None:
        """The home is restored, writes, and starts again before it meets the mirror."""
        copy = self.back_up(self.one)
        self.budi.posts("bagan@realm1", "dua")
        self.network.advance(5)
        self.part()
        self.restore(self.one, copy)
        self.ana.posts("bagan", "tiga")
        self.network.advance(5)
        self.one.restart()
        self.network.advance(5)
        self.meet()
        self.network.advance(5)
        self.assertEqual(sorted(self.seqs(self.ana, HERE)), ["dua", "satu", "tiga"])
        self.assertEqual(sorted(self.seqs(self.budi, THERE)), ["dua", "satu", "tiga"])


class MirrorTestCase(GroupRestoreTestCase):
    def test_messages(self) -> None:
        copy = self.back_up(self.two)
        self.ana.posts("bagan", "dua")
        self.budi.posts("bagan@realm1", "tiga")
        self.network.advance(5)
        self.restore(self.two, copy)
        self.ana.posts("bagan", "empat")
        self.network.advance(5)
        texts = ["ana: satu", "ana: dua", "budi: tiga", "ana: empat"]
        self.assertEqual(self.shown(self.ana, HERE), texts)
        self.assertEqual(self.shown(self.budi, THERE), texts)
        self.assertEqual(self.seqs(self.ana, HERE), self.seqs(self.budi, THERE))

    def test_marks_before_an_edit(self) -> None:
        """As for a home."""
        self.reacted_and_edited(self.two)

    def test_what_comes_first(self) -> None:
        """What has waited for the mirror comes after what it has lost."""
        copy = self.back_up(self.two)
        self.ana.posts("bagan", "dua")
        self.part()
        self.ana.posts("bagan", "tiga")
        self.restore(self.two, copy)
        self.meet()
        self.network.advance(5)
        self.assertEqual(self.shown(self.budi, THERE), ["ana: satu", "ana: dua", "ana: tiga"])
        self.assertEqual(self.seqs(self.ana, HERE), self.seqs(self.budi, THERE))

    def test_changes(self) -> None:
        copy = self.back_up(self.two)
        self.ana.posts("bagan", "dua")
        seqs = self.seqs(self.ana, HERE)
        self.ana.does(ask.EditMessage(HERE, seqs["dua"], "dua!"))
        self.ana.does(ask.EditMessage(HERE, seqs["dua"], "dua!!"))
        self.ana.does(ask.DeleteMessage(HERE, seqs["satu"]))
        self.network.advance(5)
        self.restore(self.two, copy)
        self.network.advance(5)
        first, second = self.budi.does(ask.ShowHistory(THERE, 500)).items
        self.assertEqual((first.text, first.deleted), (None, True))
        self.assertEqual(second.text, "dua!!")


class MembersTestCase(GroupRestoreTestCase):
    """After a restore, both realms have the same members."""

    def check(self, *names: str) -> None:
        """Check that these people of realm2 are members, for both realms."""
        self.network.advance(5)
        here = {each for each in self.ana.members("bagan") if "@realm2" in each}
        self.assertEqual(sorted(each.strip("+-").partition("@")[0] for each in here), [*names])
        there = [who.name for who in (self.budi, self.citra) if who.mine()]
        self.assertEqual(there, [*names])
        self.assertEqual(self.one.parcels_waiting() + self.two.parcels_waiting(), 0)

    def test_home_forgets_a_leave(self) -> None:
        copy = self.back_up(self.one)
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.check("citra")
        self.restore(self.one, copy)
        self.check("citra")

    def test_home_forgets_that_all_left(self) -> None:
        copy = self.back_up(self.one)
        for person in (self.budi, self.citra):
            person.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.restore(self.one, copy)
        self.check()

    def test_mirror_forgets_a_join(self) -> None:
        """The home has what the mirror has signed: its people are members again, with what was written."""
        for person in (self.budi, self.citra):
            person.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.network.advance(5)
        copy = self.back_up(self.two)
        for person in (self.budi, self.citra):
            person.joins("bagan@realm1")
        self.network.advance(1)
        self.ana.posts("bagan", "dua")
        self.citra.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.check("budi")
        self.restore(self.two, copy)
        self.check("budi")
        self.assertEqual(self.shown(self.budi, THERE)[-1], "ana: dua")
        self.ana.posts("bagan", "tiga")
        self.network.advance(5)
        self.assertEqual(self.seqs(self.ana, HERE)["tiga"], self.seqs(self.budi, THERE)["tiga"])

    def test_mirror_forgets_a_leave(self) -> None:
        copy = self.back_up(self.two)
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.check("citra")
        self.restore(self.two, copy)
        self.check("citra")

    def test_kicked_before_the_mirror_gets_what_it_lost(self) -> None:
        """The home returns nothing of a group without members of the mirror's realm. What is missing before
        the kick comes when somebody joins again, also if parcels that waited came meanwhile."""
        copy = self.back_up(self.two)
        self.ana.posts("bagan", "hilang")
        self.ana.does(ask.DeleteMessage(HERE, self.seqs(self.ana, HERE)["satu"]))
        self.network.advance(5)
        self.part()
        self.ana.posts("bagan", "tiga")
        group = parse_address("bagan")
        for name in ("budi", "citra"):
            self.ana.does(ask.KickMember(group, Address(name, "realm2")))
            self.ana.does(ask.LiftBan(group, Address(name, "realm2")))
        self.restore(self.two, copy)
        self.meet()
        self.check()
        self.budi.joins("bagan@realm1")
        self.check("budi")
        expected = ["ana: None", "ana: hilang", "ana: tiga"]
        self.assertEqual(self.shown(self.ana, HERE), expected)
        self.assertEqual(self.shown(self.budi, THERE), expected)

    def test_mirror_forgets_the_end(self) -> None:
        copy = self.back_up(self.two)
        group = parse_address("bagan")
        for name in ("budi", "citra"):
            self.ana.does(ask.KickMember(group, Address(name, "realm2")))
        self.network.advance(5)
        self.ana.does(ask.LeaveGroup(group))
        self.restore(self.two, copy)
        self.network.advance(5)
        self.assertEqual((self.budi.mine(), self.citra.mine()), ([], []))

    def test_in_pages(self) -> None:
        """Each page has all members between two places."""
        self.patch(guest_lists, "MAX_GUESTS", 1)
        copy = self.back_up(self.one)
        self.citra.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.check("budi")
        self.restore(self.one, copy)
        self.check("budi")

    def test_over_the_next_link(self) -> None:
        """The link ends before the lists are compared."""
        copy = self.back_up(self.one)
        self.citra.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.check("budi")
        compare = guest_lists.GuestLists.compare
        broken = [True]

        async def comparing(lists: Any, link: Any, realm: str) -> bool:
            if broken:
                broken.clear()
                raise RealmDown(realm=realm)
            return await compare(lists, link, realm)

        self.patch(guest_lists.GuestLists, "compare", comparing)
        self.restore(self.one, copy)
        self.network.cut()
        self.check("budi")
