"""Entries about groups and their members: each is signed by the realm that has caused it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatd.base.errors import BadSignature
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation.parcels import Left
from chatd.federation.signing.entries import SignedEntry
from chatd.federation.signing.statements import MemberAttributes, decode_attributes, encode
from chatd.store.schema import changes, signatures
from tests.support.network import Server
from tests.support.signing import SigningRealm
from tests.unit.federation.test_realm_groups import GroupTestCase, addresses
from tests.unit.federation.test_receive import InboundTestCase

GROUP = "bagan@realm1"


def encoded(*entries: SignedEntry) -> bytes:
    """Entries as a question takes them."""
    return encode(list(entries))


Signed = list[tuple[int, str, str, str, Any]]


class SignedFacts(GroupTestCase):
    """citra@realm3 and budi@realm2 are members of bagan@realm1."""

    def setUp(self) -> None:
        super().setUp()
        self.citra.joins(GROUP)
        self.budi.joins(f"{self.code}@realm1")
        self.network.settle()

    def signed(self, server: Server) -> Signed:
        """The entries about the group from the joining of citra on: seq, author, who has signed, whether that
        was verified, and the attributes."""
        here = (signatures.c.conversation_id == changes.c.conversation_id) & (
            signatures.c.seq == changes.c.seq
        )
        query = sa.select(
            changes.c.seq,
            changes.c.author,
            signatures.c.realm,
            signatures.c.status,
            signatures.c.attributes,
        )
        query = query.join_from(changes, signatures, here, isouter=True).order_by(changes.c.seq)
        found = server.realm.database.now(lambda db: db.execute(query).all())
        return [
            (*rest, None if data is None else decode_attributes(data))
            for *rest, data in found
            if rest[0] > 1
        ]

    def does(self, person: Any, command: type[Any], *who: str) -> None:
        person.does(command(parse_address(GROUP), *map(parse_address, who)))
        self.network.settle()

    def signers(self, server: Server) -> list[tuple[str, str, str]]:
        """The author of each entry, the realm that has signed it, and what happened."""
        return [(each[1], each[2], each[4].what) for each in self.signed(server)]

    def test_by_their_realms(self) -> None:
        """Guests join, invite, kick, promote and leave. All realms have the same signatures."""
        self.ana.does(ask.PromoteMember(parse_address("bagan"), parse_address("budi@realm2")))
        self.budi.does(ask.InviteMembers(parse_address(GROUP), addresses("agus@realm1", "bela")))
        self.agus.accepts("bagan")
        self.does(self.budi, ask.PromoteMember, "citra@realm3")
        self.does(self.citra, ask.KickMember, "agus@realm1")
        self.does(self.budi, ask.LeaveGroup)
        expected = [
            ("citra@realm3", "realm3", "joined"),
            ("budi@realm2", "realm2", "joined"),
            ("ana", "realm1", "promoted"),
            ("budi@realm2", "realm2", "invited"),
            ("budi@realm2", "realm2", "invited"),
            ("agus", "realm1", "joined"),
            ("budi@realm2", "realm2", "promoted"),
            ("citra@realm3", "realm3", "kicked"),
            ("budi@realm2", "realm2", "left"),
        ]
        self.assertEqual(self.signers(self.one), expected)
        three = self.signed(self.three)
        self.assertEqual([each[4] for each in three], [each[4] for each in self.signed(self.one)])
        self.assertEqual({each[3] for each in three}, {"verified"})
        self.assertEqual([each[2] for each in three], [each[1] for each in expected])
        self.assertEqual(three[0][1], "citra")

    def test_closed_by_a_guest(self) -> None:
        self.ana.does(ask.PromoteMember(parse_address("bagan"), parse_address("budi@realm2")))
        self.budi.does(ask.CloseGroup(parse_address(GROUP)))
        self.network.settle()
        for server in (self.one, self.two, self.three):
            newest = self.signed(server)[-1]
            self.assertEqual((newest[2], newest[3]), ("realm2", "verified"))
            self.assertEqual(newest[4].fields, {"closed": True})

    def test_the_last_admin_leaves(self) -> None:
        """That somebody else becomes admin is the act of the home."""
        self.does(self.ana, ask.LeaveGroup)
        self.assertEqual(
            [each[1:3] for each in self.signed(self.three)[-2:]],
            [("ana@realm1", "realm1"), ("system@realm1", "realm1")],
        )
        self.citra.does(ask.KickMember(parse_address(GROUP), parse_address("citra@realm3")))
        self.network.settle()
        self.assertEqual(
            [(each[1], each[2], each[4].what) for each in self.signed(self.two)[-2:]],
            [("citra@realm3", "realm3", "left"), ("system@realm1", "realm1", "promoted")],
        )

    def test_restart(self) -> None:
        """Numbers that were given to questions are not given again."""
        self.budi.posts(GROUP, "satu")
        self.two.restart()
        self.network.advance(10)
        self.does(self.budi, ask.LeaveGroup)
        self.budi.joins(GROUP)
        self.network.settle()
        self.assertEqual(
            [each[2:4] for each in self.signed(self.one)[-2:]], [("realm2", "verified")] * 2
        )

    def test_left_while_the_home_is_down(self) -> None:
        self.part(self.two)
        self.network.cut()
        self.network.settle()
        self.does(self.budi, ask.LeaveGroup)
        self.network.refusing.clear()
        self.network.until(lambda: self.signers(self.one)[-1] == ("budi@realm2", "realm2", "left"))


class Attempts(InboundTestCase):
    """What realm2 may say about bagan, whose home is realm1."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("bagan")
        self.joins("citra", "bagan")
        self.signer = self.signers["realm2"]

    def test_left(self) -> None:
        """Only the person themselves, of that realm, and in a signed entry."""
        stranger = SigningRealm("realm2", SigningRealm("realm9").key)
        for entry in (
            None,
            self.signer.happened("left", "dewi@realm2", author="dewi"),
            self.signer.happened("joined", "citra@realm2", author="citra"),
            self.signer.happened("left", "dewi@realm2", author="citra"),
            self.signer.happened("crowned", "citra@realm2", author="citra"),
            self.signer.happened("left", "citra@realm2", author="citra", group="nusa"),
            stranger.happened("left", "citra@realm2", author="citra"),
            self.signers["realm3"].happened("left", "citra@realm3", author="citra"),
            self.signer.signs(MemberAttributes("left", "citra"), author="citra"),
        ):
            self.assertEqual(self.code_of(Left("citra", "bagan", entry)), "bad-signature")
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "citra@realm2"])

    def test_questions(self) -> None:
        """They need an entry for each person, which says what is asked for."""
        self.ana.does(ask.PromoteMember(parse_address("bagan"), parse_address("citra@realm2")))
        questions = self.one.federation.questions
        kick = self.signer.happened("kicked", "budi@realm1", author="citra")
        other = self.signer.happened("kicked", "ana@realm1", author="citra")
        for change, users, entries in (
            ("kick", ["budi@realm1"], b""),
            ("kick", ["budi@realm1"], b"\x90"),
            ("kick", ["budi@realm1"], b"\x91\xc0"),
            ("promote", ["budi@realm1"], encoded(kick)),
            ("kick", ["budi@realm1"], encoded(other)),
            ("invite", ["budi@realm1"], encoded(kick)),
            ("close", [], encoded(kick)),
        ):
            asked = questions.change("realm2", "citra", "bagan", change, users, entries)
            with self.assertRaises(BadSignature):
                self.network.result(asked)
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "*citra@realm2"])

    def test_the_same_entry_twice(self) -> None:
        """An entry is in the log once. What its realm causes with it again is the act of the home."""
        entry = self.signer.joins("dewi", group="bagan")
        questions = self.one.federation.questions
        for _ in range(2):
            self.network.result(questions.join("realm2", "dewi", "bagan", entry))
            self.says(self.signer.leaves("dewi"))
        query = sa.select(changes.c.author).where(changes.c.data.contains("dewi"))
        found = self.one.realm.database.now(lambda db: db.scalars(query).all())
        self.assertEqual(found, ["dewi@realm2", "dewi@realm2", "system", "dewi@realm2"])
