"""What another realm may return as lost, true or not: nobody gets words back that they have not written."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.entries import MadeFact, MemberFact
from chatd.base.errors import BadSignature, RealmQuota, StorageFailed, UnknownGroup
from chatd.base.model import Party
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.federation import parcels
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import (
    Direct,
    DirectDeletion,
    DirectEdit,
    DirectPin,
    DirectReaction,
    Joined,
    Parcel,
    Post,
    Ref,
)
from chatd.federation.restores import Returned
from chatd.federation.seals import Seals
from chatd.federation.signing.statements import (
    Attributes,
    DeletionAttributes,
    GroupAttributes,
    MemberAttributes,
    MessageAttributes,
    StatedRef,
)
from chatd.service import lost_facts
from chatd.service.remote import SignedFact
from chatd.store.parcel_stream import ParcelStream
from chatd.store.schema import changes
from chatd.store.sealing import NewSignature
from tests.support.signing import START
from tests.unit.federation.test_receive import InboundTestCase

THEM = Place(parse_address("citra@realm2"), None)
BAGAN = Place(None, parse_group("bagan"))


class ReturnedTestCase(InboundTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.seals: Seals = self.one.federation.seals

    def returns(
        self,
        number: int,
        parcel: Parcel,
        *,
        theirs: bool = True,
        by: int = 0,
        first: bytes = b"",
        realm: str = "realm2",
    ) -> None:
        """Let a realm return a parcel."""
        item = Returned(number, msgspec.Raw(parcels.encode(parcel)), theirs, by, first)
        taking = self.one.federation.returned.take(realm, [item], ParcelStream())
        self.network.result(taking)

    def sealed(self, number: int, parcel: Any) -> Any:
        """The parcel, with the seal of realm1."""
        return msgspec.structs.replace(parcel, seal=self.seals.seal(number, parcel))

    def history(self) -> list[str]:
        return self.ana.history("citra@realm2")


class DirectsTestCase(ReturnedTestCase):
    def test_own_message(self) -> None:
        for _ in range(2):
            self.returns(7, self.sealed(7, Direct("ana", "citra", START, "halo")))
        self.assertEqual(self.history(), ["ana: halo"])
        (message,) = self.ana.does(ask.ShowHistory(THEM, 5)).items
        self.assertEqual(message.state, "delivered")

    def test_no_seal(self) -> None:
        """Nothing counts but what this realm has sealed."""
        said = Direct("ana", "citra", START, "halo")
        seal = self.seals.seal(7, said)
        for number, parcel in (
            (7, said),
            (8, msgspec.structs.replace(said, seal=seal)),
            (7, msgspec.structs.replace(said, seal=seal[:-1])),
            (7, msgspec.structs.replace(said, text="lain", seal=seal)),
            (7, msgspec.structs.replace(said, sender="budi", seal=seal)),
            (7, msgspec.structs.replace(said, to="dewi", seal=seal)),
            (7, msgspec.structs.replace(said, text=None, seal=seal)),
            (7, DirectDeletion("ana", "citra", START, Ref(True, 7), seal)),
        ):
            self.returns(number, parcel)
        self.ana.sends("citra@realm2", "satu")
        self.assertEqual(self.history(), ["ana: satu"])

    def test_by_a_later_change(self) -> None:
        """The content of a message that was edited is proved by the edit, and the end of one by its
        deletion."""
        edit = self.sealed(9, DirectEdit("ana", "citra", START, Ref(True, 7), "HALO"))
        deletion = self.sealed(9, DirectDeletion("ana", "citra", START, Ref(True, 8)))
        message = Direct("ana", "citra", START, "HALO", seal=edit.seal)
        self.returns(7, msgspec.structs.replace(message, text="lain"), by=9)
        self.assertEqual(self.history(), [])
        self.returns(7, message, by=9)
        self.returns(9, edit)
        self.returns(8, Direct("ana", "citra", START, seal=deletion.seal), by=9)
        first, second = self.ana.does(ask.ShowHistory(THEM, 5)).items
        self.assertEqual((first.text, first.edited is not None), ("HALO", True))
        self.assertTrue(second.deleted)

    def test_by_an_edit_without_a_text(self) -> None:
        """An edit that was deleted before it was sent proves no content at all."""
        seal = self.sealed(9, DirectEdit("ana", "citra", START, Ref(True, 7))).seal
        file = FileNote("a.txt", 4, "0" * 64, "0" * 16, "text/plain")
        self.returns(7, Direct("ana", "citra", START, file=file, seal=seal), by=9)
        opaque = Direct("ana", "citra", START, media="application/x", body=b"123", seal=seal)
        self.returns(7, opaque, by=9)
        self.ana.sends("citra@realm2", "satu")
        self.assertEqual(self.history(), ["ana: satu"])

    def test_changes(self) -> None:
        self.returns(7, self.sealed(7, Direct("ana", "citra", START, "halo")))
        about = ("ana", "citra", START, Ref(True, 7))
        for number, change in (
            (8, DirectReaction(*about, "👍")),
            (8, DirectReaction(*about, "👍")),
            (10, DirectReaction(*about, "🎉")),
            (9, DirectReaction(*about, "🎉", False)),  # later ones have come before it
            (12, DirectEdit(*about, "tiga")),
            (11, DirectEdit(*about, "dua")),
            (13, DirectEdit(*about)),  # replaced since
            (14, DirectPin(*about)),
            (15, DirectPin("ana", "citra", START, Ref(True, 99))),
        ):
            self.returns(number, self.sealed(number, change))
        (message,) = self.ana.does(ask.ShowHistory(THEM, 5)).items
        self.assertEqual((message.text, message.pinned), ("tiga", True))
        self.assertEqual(sorted(each.emoji for each in message.reactions), ["🎉", "👍"])
        self.returns(16, self.sealed(16, DirectDeletion(*about)))
        (message,) = self.ana.does(ask.ShowHistory(THEM, 5)).items
        self.assertTrue(message.deleted)

    def test_older_pin(self) -> None:
        self.returns(7, self.sealed(7, Direct("ana", "citra", START, "halo")))
        about = ("ana", "citra")
        self.returns(9, self.sealed(9, DirectPin(*about, START - 5, Ref(True, 7))))
        self.returns(8, self.sealed(8, DirectPin(*about, START - 9, Ref(True, 7), False)))
        (message,) = self.ana.does(ask.ShowHistory(THEM, 5)).items
        self.assertTrue(message.pinned)

    def test_parts(self) -> None:
        """What a message has besides its text comes back, too."""
        self.says(Direct("citra", "ana", START, "satu"), number=5)
        mentions = ("ana@realm1", "citra@realm2")
        parcel = Direct("ana", "citra", START, "dua", None, Ref(False, 5), "budi@realm1", mentions)
        self.returns(7, self.sealed(7, parcel))
        first, second = self.ana.does(ask.ShowHistory(THEM, 5)).items
        self.assertEqual((second.reply, second.forwarded), (first.seq, "budi"))
        self.assertEqual(second.mentions, ("ana", "citra@realm2"))

    def test_parts_without_proof(self) -> None:
        """A reply, mentions and the name of a file count only with their part of the seal. The message
        counts without them."""
        self.says(Direct("citra", "ana", START, "satu"), number=5)
        file = FileNote("a.txt", 4, "0" * 64, "0" * 16, "text/plain")
        replace, reply, mentions = msgspec.structs.replace, Ref(False, 5), ("citra@realm2",)
        plain = self.sealed(7, Direct("ana", "citra", START, "dua"))
        whole = self.sealed(8, replace(plain, reply=reply, mentions=mentions))
        self.assertEqual((len(plain.seal), len(whole.seal)), (16, 32))
        edit = self.sealed(20, DirectEdit("ana", "citra", START, Ref(True, 8), "dua", mentions))
        for number, parcel, by, expected in (
            (7, replace(plain, reply=reply, mentions=mentions), 0, (False, ())),
            (8, whole, 0, (True, mentions)),
            (9, replace(self.sealed(9, whole), reply=Ref(True, 8)), 0, (False, mentions)),
            (10, replace(self.sealed(10, whole), mentions=("ana",)), 0, (True, ())),
            (11, replace(self.sealed(11, whole), reply=None), 0, (False, mentions)),
            (12, replace(self.sealed(12, plain), forwarded="budi@realm3"), 0, None),
        ):
            with self.subTest(number=number):
                before = len(self.history())
                self.returns(number, replace(parcel), by=by)
                found = self.ana.does(ask.ShowHistory(THEM, 99)).items
                if expected is None:
                    self.assertEqual(len(found), before)
                else:
                    self.assertEqual((found[-1].reply is not None, found[-1].mentions), expected)
        self.returns(13, replace(self.sealed(13, replace(plain, text=None, file=file)), file=file))
        sent = self.sealed(14, replace(plain, text=None, file=file))
        self.returns(14, replace(sent, file=replace(file, name="b.txt")))
        found = self.ana.does(ask.ShowHistory(THEM, 99)).items[-2:]
        self.assertEqual([each.file.name for each in found], ["a.txt", "file"])
        self.returns(20, edit)
        self.returns(21, replace(self.sealed(21, replace(edit, text="tiga")), mentions=("ana",)))
        (edited,) = (each for each in self.ana.does(ask.ShowHistory(THEM, 99)).items if each.edited)
        self.assertEqual((edited.text, edited.mentions), ("tiga", ()))

    def test_parts_of_an_edited_message(self) -> None:
        """Its seal proves the reply, and the seal of the edit the mentions."""
        self.says(Direct("citra", "ana", START, "satu"), number=5)
        mentions = ("citra@realm2",)
        said = Direct("ana", "citra", START, "dua", reply=Ref(False, 5))
        for number, first, of_edit in ((7, True, True), (8, False, True), (9, True, False)):
            seal = self.seals.seal(number, said) if first else b""
            about = ("ana", "citra", START, Ref(True, number), "tiga")
            edit = self.sealed(20 + number, DirectEdit(*about, mentions if of_edit else ()))
            parcel = msgspec.structs.replace(said, text="tiga", mentions=mentions, seal=edit.seal)
            self.returns(number, parcel, by=20 + number, first=seal)
            found = self.ana.does(ask.ShowHistory(THEM, 9)).items[-1]
            expected = (first, mentions if of_edit else ())
            self.assertEqual((found.reply is not None, found.mentions), expected)

    def test_opaque(self) -> None:
        parcel = Direct("ana", "citra", START, None, media="application/x", body=b"123")
        self.returns(7, self.sealed(7, parcel))
        (message,) = self.ana.does(ask.ShowHistory(THEM, 5)).items
        assert message.opaque is not None
        self.assertEqual(message.opaque.body, b"123")

    def test_nobody(self) -> None:
        """The account is not here, or the text not allowed: the others are taken."""
        self.returns(7, self.sealed(7, Direct("dewi", "citra", START, "halo")))
        self.returns(8, self.sealed(8, Direct("ana", "citra", START, "\0")))
        self.returns(9, self.sealed(9, Direct("ana", "citra", START, "dua")))
        self.assertEqual(self.history(), ["ana: dua"])

    def test_other_kinds(self) -> None:
        """Only entries come back."""
        for parcel in (Joined("bagan", 5, "ana", 1), parcels.DirectMark("ana", "citra", 5)):
            self.returns(7, parcel)
        item = Returned(7, msgspec.Raw(b"\x93\x01\x02\x03"), theirs=True)
        self.network.result(self.one.federation.returned.take("realm2", [item], ParcelStream()))
        self.assertEqual(self.ana.mine(), [])

    def test_theirs(self) -> None:
        """What a realm sends again of its own people is received like anything else, once."""
        for _ in range(2):
            self.returns(5, Direct("citra", "ana", START, "halo"), theirs=False)
        self.says(Direct("citra", "ana", START, "halo"), number=5)
        self.assertEqual(self.history(), ["citra@realm2: halo"])

    def test_too_much(self) -> None:
        quotas = self.one.federation.receiver._quotas

        def full(*_: Any) -> None:
            raise RealmQuota(limit=1, minutes=5)

        self.patch(quotas, "charge", full)
        with self.assertRaises(RealmQuota):
            self.returns(5, Direct("citra", "ana", START, "halo"), theirs=False)

    def test_full_disk(self) -> None:
        self.one.realm.database.full = True
        for theirs in (True, False):
            with self.assertRaises(StorageFailed):
                people = ("ana", "citra") if theirs else ("citra", "ana")
                parcel = self.sealed(5, Direct(*people, START, "halo"))
                self.returns(5, parcel, theirs=theirs)
        self.one.realm.database.full = False


class GroupsTestCase(ReturnedTestCase):
    """bagan is a group of realm1 with ana and budi, and with citra of realm2."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("bagan")
        self.ask_join("realm2", "citra")
        roster = self.network.result(self.one.service.rosters.find(parse_address("bagan")))
        self.ident = roster.group.id

    def ask_join(self, realm: str, user: str) -> None:
        entry = self.signers[realm].joins(user, group="bagan")
        self.network.result(self.one.federation.questions.join(realm, user, "bagan", entry))

    def posted(self, realm: str, text: str = "halo", **said: Any) -> Post:
        said = {"group": self.ident, **said}
        return Post(self.signers[realm].says(text, **said), "bagan")

    def texts(self) -> list[str]:
        return self.ana.history(group="bagan")

    def test_taken(self) -> None:
        """Words of the realm that returns them, of another one, and of this one."""
        self.ask_join("realm3", "dewi")
        entries = (
            self.posted("realm2"),
            self.posted("realm3", "hai", author="dewi"),
            self.posted("realm1", "apa kabar", author="budi", number=7),
        )
        for entry in (*entries, *entries):
            self.returns(0, entry)
        self.assertEqual(
            self.texts(), ["citra@realm2: halo", "dewi@realm3: hai", "budi: apa kabar"]
        )

    def test_not_taken(self) -> None:
        """From realms without members; for other groups; with no signature, or a wrong one; by nobody."""
        good = self.posted("realm2")
        other = msgspec.structs.replace(good.entry, body=b"lain")
        for entry, realm in (
            (good, "realm3"),
            (Post(good.entry, "nusa"), "realm2"),
            (self.posted("realm2", group=self.ident + 1), "realm2"),
            (Post(msgspec.structs.replace(good.entry, proof=None), "bagan"), "realm2"),
            (Post(other, "bagan"), "realm2"),
            (self.posted("realm1", author="dewi", number=7), "realm2"),
        ):
            self.returns(0, entry, realm=realm)
        self.one.federation.keys.ring.forget("realm3")
        self.returns(0, self.posted("realm3", author="dewi"))
        self.assertEqual(self.texts(), [])

    def test_banned(self) -> None:
        group = parse_address("bagan")
        self.ana.does(ask.KickMember(group, parse_address("citra@realm2")))
        self.ask_join("realm2", "cici")
        self.returns(0, self.posted("realm2"))
        self.assertEqual(self.texts(), [])

    def test_own_people_who_are_banned(self) -> None:
        """This realm has taken their words once."""
        self.budi.joins("bagan")
        self.ana.does(ask.KickMember(parse_address("bagan"), parse_address("budi")))
        self.returns(0, self.posted("realm1", author="budi", number=7))
        self.assertEqual(self.texts(), ["budi: halo"])

    def test_deletion(self) -> None:
        entry = self.posted("realm2", number=1)
        self.returns(0, entry)
        target = StatedRef("realm2", 1)
        gone = self.signers["realm2"].signs(
            DeletionAttributes(), group=self.ident, target=target, number=2
        )
        self.returns(0, Post(gone, "bagan"))
        self.returns(0, entry)
        (message,) = self.ana.does(ask.ShowHistory(BAGAN, 5)).items
        self.assertTrue(message.deleted)

    def test_rights(self) -> None:
        """A deletion that the home would refuse is not made by its return."""
        self.ana.posts("bagan", "satu")
        (message,) = self.one.realm.database.now(
            lambda db: db.exec_driver_sql("SELECT number FROM messages").all()
        )
        target = StatedRef("realm1", message.number)
        gone = self.signers["realm2"].signs(
            DeletionAttributes(), group=self.ident, target=target, number=2
        )
        self.returns(0, Post(gone, "bagan"))
        self.assertEqual(self.texts(), ["ana: satu"])

    def test_facts(self) -> None:
        """Only what this realm has signed itself has an effect, for its own people as far as they exist.
        People of the realm that returns it get no rights by it, and are banned again."""
        self.budi.joins("bagan")
        promoted = MemberAttributes("promoted", "citra@realm2")
        for number in (490, 490):
            entry = self.signers["realm1"].signs(
                promoted, author="ana", group=self.ident, number=number
            )
            self.returns(0, Post(entry, "bagan"))
        self.assertIn("citra@realm2", "".join(self.ana.members("bagan")))
        self.assertNotIn("*citra", "".join(self.ana.members("bagan")))
        self.assertEqual(self.said_of("citra@realm2"), ["joined", "promoted", "demoted"])
        facts: tuple[tuple[str, str, Attributes], ...] = (
            ("realm2", "citra", MemberAttributes("kicked", "budi@realm1")),
            ("realm1", "ana", MemberAttributes("joined", "agus@realm1")),
            ("realm1", "agus", MemberAttributes("joined", "agus@realm1")),
            ("realm1", "ana", MemberAttributes("joined", "ana@realm1")),
            ("realm1", "ana", MemberAttributes("what", "ana@realm1")),
            ("realm1", "ana", GroupAttributes({"title": "x"})),
        )
        for number, (realm, author, said) in enumerate(facts, start=500):
            entry = self.signers[realm].signs(said, author=author, group=self.ident, number=number)
            self.returns(0, Post(entry, "bagan"))
        names = [each.strip("*+") for each in self.ana.members("bagan")]
        self.assertEqual(names, ["ana", "citra@realm2", "budi"])
        by_system = MemberAttributes("kicked", "budi@realm1")
        for number, author in ((600, "system"), (600, "ana")):
            entry = self.signers["realm1"].signs(
                by_system, author=author, group=self.ident, number=number
            )
            self.returns(0, Post(entry, "bagan"))
        self.assertNotIn("budi", "".join(self.ana.members("bagan")))
        self.budi.joins("bagan")  # `system` bans nobody
        kicked = MemberAttributes("kicked", "citra@realm2")
        for number, back in ((690, True), (700, False)):
            entry = self.signers["realm1"].signs(
                kicked, author="ana", group=self.ident, number=number
            )
            self.returns(0, Post(entry, "bagan"))
            if back:
                text = self.signers["realm2"].signs(
                    MessageAttributes(), b"kembali", group=self.ident, number=3
                )
                self.returns(0, Post(text, "bagan"))
                self.network.result(self.one.federation.returned.finish("realm2"))
                self.assertEqual(self.texts(), ["citra@realm2: kembali"])
        self.assertEqual(self.said_of("citra@realm2")[-1], "kicked")
        self.assertIn("citra@realm2", "".join(self.ana.members("bagan")))
        self.one.realm.database.full = True
        with self.assertRaises(StorageFailed):
            self.network.result(self.one.federation.returned.finish("realm2"))
        self.one.realm.database.full = False
        self.network.result(self.one.federation.returned.finish("realm2"))
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "budi+"])
        [ban] = self.ana.does(ask.ListBans(parse_address("bagan"))).items
        self.assertEqual(ban.username, "citra@realm2")

    def fact(self, number: int, said: Attributes, at: int = START) -> None:
        """Let realm2 return what ana has done to the group."""
        entry = self.signers["realm1"].signs(
            said, author="ana", group=self.ident, number=number, at=at
        )
        self.returns(0, Post(entry, "bagan"))

    def finish(self) -> None:
        self.network.result(self.one.federation.returned.finish("realm2"))

    def test_roles(self) -> None:
        """Somebody who is an admin stays one. A role that the log has ended later is not ended again. The
        last admin stays one."""
        bagan, citra = parse_address("bagan"), "citra@realm2"
        promoted = MemberAttributes("promoted", citra)
        self.ana.does(ask.PromoteMember(bagan, parse_address(citra)))
        self.fact(490, promoted)
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "*citra@realm2"])
        self.network.advance(1)
        self.fact(491, MemberAttributes("demoted", citra), at=self.one.service.context.now())
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "citra@realm2"])
        said = self.said_of(citra)
        self.fact(492, promoted)
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "citra@realm2"])
        self.assertEqual(self.said_of(citra), [*said, "promoted"])
        self.fact(493, MemberAttributes("demoted", "ana@realm1"))
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "citra@realm2"])

    def test_kicked_before_they_joined_again(self) -> None:
        """A kick does not count if the log has a later join; of somebody who has left, it is a ban only."""
        bagan, kicked = parse_address("bagan"), MemberAttributes("kicked", "citra@realm2")
        self.fact(690, kicked, at=START - 60_000)
        self.finish()
        self.assertIn("citra@realm2", self.ana.members("bagan"))
        self.ask_join("realm2", "cici")
        self.says(self.signers["realm2"].leaves("citra"), number=9)
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "cici@realm2"])
        self.fact(691, kicked, at=self.one.service.context.now() + 1)
        self.finish()
        [ban] = self.ana.does(ask.ListBans(bagan)).items
        self.assertEqual(ban.username, "citra@realm2")

    def test_last_member_kicked(self) -> None:
        """A group ends with its last member, also if they were kicked by somebody who has left since."""
        self.ana.does(ask.LeaveGroup(parse_address("bagan")))
        self.fact(690, MemberAttributes("kicked", "citra@realm2"))
        self.finish()
        with self.assertRaises(UnknownGroup):
            self.ana.does(ask.ShowGroup(parse_address("bagan")))

    def test_later_settings(self) -> None:
        """What was set since counts. The log says it again, for copies that go by its order."""
        bagan, title = parse_address("bagan"), ask.SetGroup
        self.network.advance(1)
        self.ana.does(title(bagan, "title", "A later one"))
        self.fact(500, GroupAttributes({"title": "An earlier one", "topic": "Anything"}))
        shown = self.ana.does(ask.ShowGroup(bagan)).fields
        self.assertEqual((shown["title"], shown["topic"]), ("A later one", "Anything"))
        query = sa.select(changes.c.data).where(changes.c.kind == "group").order_by(changes.c.seq)
        rows = self.one.realm.database.now(lambda db: db.scalars(query).all())
        self.assertEqual(json.loads(rows[-1]), {"title": "A later one"})

    def test_handed_over_without_a_rescue(self) -> None:
        """What another realm has signed counts only if the group was rescued here."""
        lost = self.one.federation.returned._groups._lost_facts
        group = self.network.result(self.one.service.rosters.find(parse_address("bagan"))).group
        citra = Party("citra@realm2", "citra@realm2", realm="realm2")
        made = MadeFact(MemberFact(citra, "promoted"), citra, START)
        signature = NewSignature("realm2", b"k", b"s", b"p", b"", b"")
        said = SignedFact(made, ("realm2", 5), signature, lambda _seq: b"")
        with self.assertRaises(BadSignature):
            self.network.result(lost.hand_over("realm2", group, said))
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "citra@realm2"])

    def test_made_private(self) -> None:
        """A group that was made private is so again, with a new code."""
        before = self.ana.does(ask.ShowGroup(parse_address("bagan"))).fields
        self.fact(500, GroupAttributes({"visibility": "private"}))
        shown = self.ana.does(ask.ShowGroup(parse_address("bagan"))).fields
        self.assertEqual(shown["visibility"], "private")
        self.assertNotEqual(shown["code"], before["code"])

    def test_kicks_after_a_crash(self) -> None:
        """A kick has its effect also if this realm crashes before everything is returned, or before that is
        noted. What a person wrote before the kick, and comes once more, does not undo it."""
        kicked = self.signers["realm1"].signs(
            MemberAttributes("kicked", "citra@realm2"), author="ana", group=self.ident, number=690
        )
        before, after = (
            self.signers["realm2"].signs(MessageAttributes(), text, group=self.ident, number=number)
            for number, text in ((3, b"sebelum"), (4, b"sesudah"))
        )
        for wrote, members in ((True, ["*ana+", "citra@realm2"]), (False, ["*ana+"])):
            for _ in range(2):
                self.returns(0, Post(before, "bagan"))
                self.returns(0, Post(kicked, "bagan"))
                if wrote:
                    self.returns(0, Post(after, "bagan"))
                self.one.kill()
                self.one.open()
                self.one.knows("realm2")
                self.signers["realm2"].announces(self.one)
                self.network.advance(5)
                self.assertIn("citra@realm2", "".join(self.ana.members("bagan")))
            self.network.result(self.one.federation.returned.finish("realm2"))
            self.assertEqual(self.ana.members("bagan"), members)
            kicked = self.signers["realm1"].signs(
                MemberAttributes("kicked", "citra@realm2"),
                author="ana",
                group=self.ident,
                number=700,
            )
        [ban] = self.ana.does(ask.ListBans(parse_address("bagan"))).items
        self.assertEqual(ban.username, "citra@realm2")
        self.ana.does(ask.LiftBan(parse_address("bagan"), parse_address("citra@realm2")))
        self.returns(0, Post(kicked, "bagan"))
        self.network.result(self.one.federation.returned.finish("realm2"))
        self.assertEqual(self.ana.does(ask.ListBans(parse_address("bagan"))).items, ())

    def test_kicks_that_are_not_remembered(self) -> None:
        """Of most realms that return something, the kicks are in the database only."""
        self.patch(lost_facts, "MAX_REALMS", 0)
        self.test_kicks_after_a_crash()
        self.assertEqual(len(self.one.federation.returned._groups._lost_facts._kicked), 0)

    def said_of(self, who: str) -> list[str]:
        """What happened to a person, by the log of realm1."""
        query = sa.select(changes.c.data).where(changes.c.kind == "member").order_by(changes.c.seq)
        rows = self.one.realm.database.now(lambda db: db.scalars(query).all())
        said = [json.loads(each) for each in rows]
        return [each["what"] for each in said if each["who"] == who]
