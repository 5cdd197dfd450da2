"""Accounts that move to another realm: who follows, and that nothing is lost or doubled."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred

from chatd.base.errors import (
    BadArgument,
    ChatError,
    MovedAway,
    NoMove,
    NotAccepted,
    TooManyMoves,
    UnknownGroup,
)
from chatd.base.events import AddressChange, MemberChange
from chatd.base.names import Place, parse_address
from chatd.base.texts import Secret
from chatd.commands import values as ask
from chatd.federation.capabilities import ACCOUNT_MOVES
from chatd.federation.move_receiver import DAY, PER_HOUR
from chatd.federation.parcels import AccountMove, Agreed, Luggage, Parcel
from chatd.federation.signing.move_statements import (
    MoveAgreement,
    MoveNotice,
    MoveProof,
    SignedMove,
    encode,
)
from chatd.simulate.databases import copy_state
from chatd.simulate.people import Person
from chatd.simulate.servers import Server
from chatd.store import luggage as luggage_store
from chatd.store.account_moves import LIFE, MAX_PLANS, find_move
from chatd.store.groups import find_group
from chatd.store.schema import participants
from tests.support.network import NetworkTestCase, lacks

PASSWORD = Secret("surabaya")


class MovesTestCase(NetworkTestCase):
    """Three linked realms. ana of realm1 moves to anna of realm2; citra of realm3 and budi of realm1 stay."""

    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        names = ("realm1", "realm2", "realm3")
        self.one, self.two, self.three = (
            self.network.server(each, **self.settings) for each in names
        )
        servers = (self.one, self.two, self.three)
        for at, near in enumerate(servers):
            for far in servers[at + 1 :]:
                near.add(far)
        self.network.settle()
        self.ana, self.budi = self.one.person("ana"), self.one.person("budi")
        self.anna = self.two.person("anna")
        self.citra = self.three.person("citra")

    def agree(self, new: Person | None = None, old: str = "ana@realm1") -> None:
        (new or self.anna).does(ask.TakeAccount(parse_address(old)))
        self.network.settle()

    def move(self, old: Person | None = None, to: str = "anna@realm2") -> Any:
        reply = (old or self.ana).does(ask.MoveAccount(parse_address(to), PASSWORD))
        self.settle()
        return reply

    def settle(self) -> None:
        self.network.advance(3.0)
        self.network.settle()

    def moved(self) -> None:
        self.agree()
        self.assertTrue(self.move().data["moved"])

    def conversations(self, person: Person) -> list[str]:
        return [f"{each.user or each.group}" for each in person.does(ask.ListConversations()).items]


class FollowingTestCase(MovesTestCase):
    def test_elsewhere(self) -> None:
        self.ana.sends("citra@realm3", "satu")
        self.citra.sends("ana@realm1", "dua")
        self.moved()
        self.assertEqual(self.conversations(self.citra), ["anna@realm2"])
        self.citra.sends("ana@realm1", "tiga")
        self.citra.sends("anna@realm2", "empat")
        self.settle()
        self.assertEqual(self.anna.reads(), ["citra@realm3: tiga", "citra@realm3: empat"])
        self.anna.sends("citra@realm3", "lima")
        self.settle()
        whole = [
            "ana@realm1: satu",
            "citra: dua",
            "citra: tiga",
            "citra: empat",
            "anna@realm2: lima",
        ]
        self.assertEqual(self.citra.history("anna@realm2"), whole)
        self.assertEqual(self.citra.history("ana@realm1"), whole)
        self.assertEqual(self.ana.history("citra@realm3"), ["ana: satu", "citra@realm3: dua"])

    def test_here(self) -> None:
        self.ana.sends("budi", "satu")
        self.budi.does(ask.SetListening("all"))
        self.moved()
        told = [each for each in self.budi.events if isinstance(each, AddressChange)]
        self.assertEqual([(each.old, each.new) for each in told], [("ana", "anna@realm2")])
        self.budi.sends("ana", "dua")
        self.settle()
        self.assertEqual(self.anna.reads(), ["budi@realm1: dua"])
        self.anna.sends("budi@realm1", "tiga")
        self.settle()
        self.assertEqual(self.budi.history("ana"), ["ana: satu", "budi: dua", "anna@realm2: tiga"])
        self.assertEqual(self.conversations(self.budi), ["anna@realm2"])

    def test_to_the_new_realm(self) -> None:
        """Somebody of the new realm goes on in the same conversation, which is of two accounts there now."""
        dewi = self.two.person("dewi")
        dewi.sends("ana@realm1", "satu")
        self.moved()
        dewi.sends("ana@realm1", "dua")
        self.anna.sends("dewi", "tiga")
        self.assertEqual(self.anna.history("dewi"), ["dewi: satu", "dewi: dua", "anna: tiga"])
        self.assertEqual(dewi.history("ana@realm1"), ["dewi: satu", "dewi: dua", "anna: tiga"])

    def test_either_order(self) -> None:
        self.ana.sends("citra@realm3", "satu")
        self.assertFalse(self.move().data["moved"])
        self.assertEqual(
            [(each.what, each.address) for each in self.ana.does(ask.ListMoves()).items],
            [("moving", "anna@realm2")],
        )
        self.agree()
        self.settle()
        self.assertEqual(
            [(each.what, each.address) for each in self.ana.does(ask.ListMoves()).items],
            [("moved", "anna@realm2")],
        )
        self.assertEqual(self.anna.does(ask.ListMoves()).items, ())
        self.assertEqual(self.conversations(self.citra), ["anna@realm2"])

    def test_waits_for_the_old_realm(self) -> None:
        """What was sent while the old realm was away is sent on, before what comes later."""
        self.citra.sends("ana@realm1", "satu")
        self.agree()
        self.network.cut()
        self.network.refusing[self.one.where] = OSError()
        self.network.settle()
        for text in ("dua", "tiga"):
            self.citra.begins_to_send("ana@realm1", text)
        self.network.settle()
        self.network.refusing.clear()
        self.ana.does(ask.MoveAccount(parse_address("anna@realm2"), PASSWORD))
        self.citra.begins_to_send("ana@realm1", "empat")
        self.network.advance(40.0)
        self.citra.sends("anna@realm2", "lima")
        self.settle()
        self.assertEqual(
            self.anna.reads(),
            [f"citra@realm3: {each}" for each in ("dua", "tiga", "empat", "lima")],
        )
        self.assertEqual(self.ana.reads(), ["citra@realm3: satu"])
        self.assertEqual(
            self.citra.history("anna@realm2"),
            [f"citra: {each}" for each in ("satu", "dua", "tiga", "empat", "lima")],
        )
        self.assertEqual(self.conversations(self.citra), ["anna@realm2"])

    def test_two_conversations(self) -> None:
        """What waited is refused if the new address, which is of the author's realm, would not see it: the
        two have another conversation."""
        dewi = self.two.person("dewi")
        dewi.sends("anna", "halo")
        self.agree()
        self.network.cut()
        self.network.refusing[self.one.where] = OSError()
        self.network.settle()
        dewi.begins_to_send("ana@realm1", "satu")
        self.network.settle()
        self.network.refusing.clear()
        self.ana.does(ask.MoveAccount(parse_address("anna@realm2"), PASSWORD))
        self.network.advance(40.0)
        self.settle()
        self.assertEqual(self.ana.reads(), [])
        self.assertEqual(self.anna.history("dewi"), ["dewi: halo"])
        self.assertIn("ana@realm1 has moved and is anna now", dewi.reads()[-1])

    def test_contacts_and_blocks(self) -> None:
        self.citra.does(ask.AddContact(parse_address("ana@realm1")))
        self.budi.does(ask.BlockPerson(parse_address("ana")))
        for each in ("budi", "citra@realm3"):
            self.ana.does(ask.AddContact(parse_address(each)))
        self.ana.does(ask.BlockPerson(parse_address("eka@realm3")))
        self.moved()
        contacts = [each.username for each in self.citra.does(ask.ListContacts()).items]
        self.assertEqual(contacts, ["anna@realm2"])
        self.assertIn(
            "anna@realm2", [each.address for each in self.budi.does(ask.ListBlocks()).items]
        )
        self.assertRaises(NotAccepted, self.anna.sends, "budi@realm1", "halo")
        contacts = [each.username for each in self.anna.does(ask.ListContacts()).items]
        self.assertEqual(contacts, ["budi@realm1", "citra@realm3"])
        blocked = [each.address for each in self.anna.does(ask.ListBlocks()).items]
        self.assertEqual(blocked, ["eka@realm3"])

    def test_away(self) -> None:
        """The old account can be read, and nothing else."""
        self.ana.sends("citra@realm3", "satu")
        self.moved()
        self.assertRaises(MovedAway, self.ana.sends, "citra@realm3", "dua")
        self.assertEqual(self.ana.history("citra@realm3"), ["ana: satu"])
        self.one.restart()
        self.assertRaises(MovedAway, self.ana.sends, "citra@realm3", "dua")

    def test_back(self) -> None:
        """An account that moves back finds its conversations as they are by then."""
        self.ana.sends("citra@realm3", "satu")
        self.ana.sends("budi", "satu")
        self.moved()
        self.citra.sends("ana@realm1", "dua")
        self.budi.sends("ana", "dua")
        self.settle()
        self.agree(self.ana, "anna@realm2")
        self.assertTrue(self.move(self.anna, "ana@realm1").data["moved"])
        self.citra.sends("anna@realm2", "tiga")
        self.budi.sends("anna@realm2", "tiga")
        self.settle()
        self.assertEqual(self.conversations(self.citra), ["ana@realm1"])
        self.assertEqual(self.conversations(self.budi), ["ana"])
        self.assertEqual(
            sorted(self.ana.reads()), ["budi: dua", "budi: tiga", "citra@realm3: tiga"]
        )
        self.ana.sends("budi", "empat")
        self.assertEqual(
            self.budi.history("ana"), ["ana: satu", "budi: dua", "budi: tiga", "ana: empat"]
        )

    def test_twice(self) -> None:
        """Messages follow over two moves."""
        self.citra.sends("ana@realm1", "satu")
        self.budi.sends("ana", "satu")
        clara = self.three.person("clara")
        self.moved()
        self.agree(clara, "anna@realm2")
        self.assertTrue(self.move(self.anna, "clara@realm3").data["moved"])
        self.citra.sends("ana@realm1", "dua")
        self.budi.sends("ana", "dua")
        self.settle()
        self.assertEqual(clara.reads(), ["citra: dua", "budi@realm1: dua"])
        self.assertEqual(self.conversations(self.budi), ["clara@realm3"])
        self.assertEqual(self.citra.history("clara"), ["citra: satu", "citra: dua"])


class GroupTestCase(MovesTestCase):
    """ana is in a group of each realm, as its admin in her own."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("satu")
        self.anna_s_friend = self.two.person("dewi")
        self.anna_s_friend.creates("dua")
        self.citra.creates("tiga")
        for group in ("dua@realm2", "tiga@realm3"):
            self.ana.joins(group)
        for person, groups in (
            (self.citra, ("satu@realm1", "dua@realm2")),
            (self.budi, ("satu", "dua@realm2", "tiga@realm3")),
            (self.anna_s_friend, ("satu@realm1", "tiga@realm3")),
        ):
            for group in groups:
                person.joins(group)
        self.settle()

    def test_all(self) -> None:
        self.moved()
        self.assertEqual(sorted(self.anna.mine()), ["dua", "satu@realm1", "tiga@realm3"])
        self.assertEqual(self.ana.mine(), [])
        self.assertEqual(
            self.budi.members("satu"), ["*anna@realm2+", "citra@realm3+", "budi+", "dewi@realm2+"]
        )
        self.anna.posts("satu@realm1", "halo")
        self.anna.posts("tiga@realm3", "halo")
        self.anna.posts("dua", "halo")
        self.citra.posts("tiga", "hai")
        self.settle()
        for group in ("satu", "tiga@realm3", "dua@realm2"):
            self.assertIn("anna@realm2: halo", self.budi.history(group=group))
        self.assertEqual(self.anna.history(group="tiga@realm3")[-1], "citra@realm3: hai")

    def test_entry(self) -> None:
        """Each member sees one entry that tells of the new address, signed by the old realm."""
        self.moved()
        for person, server, group, old, new in (
            (self.budi, self.one, "satu", "ana", "anna@realm2"),
            (self.citra, self.three, "tiga", "ana@realm1", "anna@realm2"),
            (self.citra, self.three, "dua@realm2", "ana@realm1", "anna@realm2"),
            (self.anna_s_friend, self.two, "dua", "ana@realm1", "anna"),
            (self.budi, self.one, "tiga@realm3", "ana", "anna@realm2"),
        ):
            finding = server.service.rosters.find(parse_address(group))
            roster = self.network.result(Deferred.fromCoroutine(finding))
            entries = [each.entry for each in person.does(ask.SyncLog(roster.group.id)).items]
            told = [
                (each.by, each.who, each.unverified)
                for each in entries
                if isinstance(each, MemberChange) and each.what == "moved"
            ]
            self.assertEqual(told, [(old, new, False)], group)

    def test_private(self) -> None:
        """No code is needed, and what could not be seen stays hidden."""
        self.citra.does(ask.SetGroup(parse_address("tiga"), "past", "joined"))
        self.citra.does(ask.SetGroup(parse_address("tiga"), "visibility", "private"))
        self.citra.posts("tiga", "rahasia")
        self.settle()
        self.ana.reads()
        self.citra.posts("tiga", "baru")
        self.settle()
        self.moved()
        self.assertIn("tiga@realm3", self.anna.mine())
        self.settle()
        self.assertIn("citra@realm3: rahasia", self.anna.history(group="tiga@realm3"))

    def test_banned(self) -> None:
        self.anna.joins("tiga@realm3")
        self.citra.does(ask.KickMember(parse_address("tiga"), parse_address("anna@realm2")))
        self.settle()
        self.moved()
        self.assertEqual(sorted(self.anna.mine()), ["dua", "satu@realm1"])
        self.assertNotIn("anna@realm2", self.citra.members("tiga"))
        self.assertNotIn("ana@realm1", self.citra.members("tiga"))

    def test_member_already(self) -> None:
        self.anna.joins("satu@realm1")
        self.settle()
        self.moved()
        self.assertEqual(
            self.budi.members("satu"), ["*anna@realm2+", "citra@realm3+", "budi+", "dewi@realm2+"]
        )
        self.assertEqual(self.one.service.rosters.cached("satu").size, 4)

    def test_killed(self) -> None:
        """Every realm is killed after each step of its own."""
        self.agree()
        self.ana.begins(ask.MoveAccount(parse_address("anna@realm2"), PASSWORD))
        for turn in range(9):
            self.network.advance(0.4)
            server = (self.one, self.two, self.three)[turn % 3]
            server.restart()
        self.network.advance(20.0)
        self.settle()
        self.assertEqual(sorted(self.anna.mine()), ["dua", "satu@realm1", "tiga@realm3"])
        self.assertEqual(self.ana.mine(), [])


class ChangesTestCase(MovesTestCase):
    """Messages from before the move are changed where they are; later ones at the new realm."""

    def setUp(self) -> None:
        super().setUp()
        self.citra.sends("ana@realm1", "satu")
        self.ana.sends("citra@realm3", "dua")
        self.moved()
        self.citra.sends("ana@realm1", "tiga")
        self.settle()

    def test_edit(self) -> None:
        seqs = {each.text: each.seq for each in self.shown()}
        for text in ("satu", "tiga"):
            self.citra.does(ask.EditMessage(self.place(), seqs[text], f"{text}!"))
        self.settle()
        self.assertEqual(self.ana.history("citra@realm3"), ["citra@realm3: satu!", "ana: dua"])
        self.assertEqual(self.anna.history("citra@realm3"), ["citra@realm3: tiga!"])

    def test_reaction(self) -> None:
        seqs = {each.text: each.seq for each in self.shown()}
        for text in ("dua", "tiga"):
            self.citra.does(ask.ReactToMessage(self.place(), seqs[text], "👍"))
        self.settle()
        place = Place(user=parse_address("citra@realm3"))
        [_, old] = self.ana.does(ask.ShowHistory(place, 9)).items
        [new] = self.anna.does(ask.ShowHistory(place, 9)).items
        for message in (old, new):
            self.assertEqual([each.emoji for each in message.reactions], ["👍"])

    def test_read(self) -> None:
        """A read mark goes to the realm that has sent the messages."""
        self.anna.sends("citra@realm3", "empat")
        self.citra.reads()
        self.citra.does(ask.CheckAlive())
        self.settle()
        place = Place(user=parse_address("citra@realm3"))
        [_, new] = self.anna.does(ask.ShowHistory(place, 9)).items
        readers = self.anna.does(ask.ShowReaders(place, new.seq)).items
        self.assertEqual([each.username for each in readers], ["citra@realm3"])

    def place(self) -> Place:
        return Place(user=parse_address("anna@realm2"))

    def shown(self) -> list[Any]:
        return list(self.citra.does(ask.ShowHistory(self.place(), 9)).items)


class LegacyTestCase(MovesTestCase):
    """realm3 does not know accounts that move."""

    def setUp(self) -> None:
        lacks(self, "realm3", ACCOUNT_MOVES)
        super().setUp()

    def test_forwarded(self) -> None:
        self.citra.sends("ana@realm1", "satu")
        self.moved()
        self.citra.sends("ana@realm1", "dua")
        self.one.restart()
        self.network.advance(10.0)
        self.citra.sends("ana@realm1", "tiga")
        self.settle()
        self.one.restart()
        self.network.advance(10.0)
        [first, second] = self.anna.inbox()
        self.assertEqual(
            (first.sender, first.text, first.forwarded), ("ana@realm1", "dua", "citra@realm3")
        )
        self.assertEqual((second.text, second.forwarded), ("tiga", "citra@realm3"))

    def test_group(self) -> None:
        self.citra.creates("tiga")
        self.ana.joins("tiga@realm3")
        self.settle()
        self.moved()
        self.assertEqual(self.citra.members("tiga"), ["*citra+"])
        self.assertEqual(self.ana.mine(), [])


class HostileTestCase(MovesTestCase):
    """realm3 means harm, or what it brings is old."""

    def proof(self) -> bytes:
        read = self.one.service.database.read(find_move, "ana")
        stored = self.network.result(read)
        proof: bytes = stored.move.proof
        return proof

    def verdict(self, server: Server, realm: str, parcel: Parcel) -> str:
        [verdict] = server.receives(realm, (1 << 60, parcel))
        return verdict.code

    def forged(
        self, signer: Server, new: Server, old: str = "ana", to: str = "anna", later: int = 0
    ) -> bytes:
        """The proof of a move of somebody of realm1, of which `signer` has signed one part and `new` the
        other, `later` ms before that."""
        now = signer.service.context.now()
        agreement = MoveAgreement("realm2", 7, to, "realm1", old, now - later)
        notice = MoveNotice("realm1", 1 << 50, old, "realm2", to, 7, now)
        signed = [
            SignedMove(data, server.realm.keys.signer.sign(data))
            for server, data in ((signer, encode(notice)), (new, encode(agreement)))
        ]
        return encode(MoveProof(*signed))

    def test_of_a_third_realm(self) -> None:
        """A realm says that somebody of another realm has moved."""
        self.budi.sends("ana", "satu")
        dewi = self.two.person("dewi")
        dewi.sends("ana@realm1", "satu")
        forged = AccountMove(self.forged(self.three, self.two))
        for server in (self.one, self.two):
            self.assertEqual(self.verdict(server, "realm3", forged), "bad-signature")
        self.assertEqual(self.conversations(dewi), ["ana@realm1"])
        self.assertEqual(self.conversations(self.budi), ["ana"])

    def test_agreement_of_long_ago(self) -> None:
        """A realm does not move its account by an agreement that has ended."""
        self.ana.sends("citra@realm3", "satu")
        for later, code in ((LIFE + 2 * DAY, "bad-signature"), (LIFE, "")):
            forged = AccountMove(self.forged(self.one, self.two, later=later))
            self.assertEqual(self.verdict(self.three, "realm1", forged), code)

    def test_agreement_with_another(self) -> None:
        """What an account has agreed to take is no agreement to take another one."""
        now = self.two.service.context.now()
        data = encode(MoveAgreement("realm2", 7, "anna", "realm1", "ana", now))
        signed = encode(SignedMove(data, self.two.realm.keys.signer.sign(data)))
        for sender, to in (("anna", "budi"), ("dewi", "ana")):
            verdict = self.verdict(self.one, "realm2", Agreed(sender, to, signed))
            self.assertEqual(verdict, "bad-signature")
        self.assertEqual(self.verdict(self.one, "realm2", Agreed("anna", "ana", signed)), "")

    def test_not_agreed(self) -> None:
        """A realm moves its account to an address whose owner has not agreed."""
        self.ana.sends("citra@realm3", "satu")
        forged = AccountMove(self.forged(self.one, self.one))
        self.assertEqual(self.verdict(self.three, "realm1", forged), "")
        self.assertEqual(self.conversations(self.citra), ["ana@realm1"])
        self.network.cut()
        self.network.advance(40.0)
        known = self.three.service.database.read(find_move, "ana@realm1")
        self.assertIsNone(self.network.result(known))
        self.citra.sends("ana@realm1", "dua")
        self.assertEqual(self.ana.reads(), ["citra@realm3: dua"])

    def test_to_oneself(self) -> None:
        for address in ("ana", "ana@realm1"):
            self.assertRaises(BadArgument, self.move, to=address)
            self.assertRaises(BadArgument, self.ana.does, ask.TakeAccount(parse_address(address)))

    def test_replayed(self) -> None:
        """An old proof has no effect after the account has moved back."""
        self.ana.sends("citra@realm3", "satu")
        self.moved()
        before = self.proof()
        self.agree(self.ana, "anna@realm2")
        self.move(self.anna, "ana@realm1")
        self.assertEqual(self.conversations(self.citra), ["ana@realm1"])
        for realm in ("realm1", "realm2"):
            self.assertEqual(self.verdict(self.three, realm, AccountMove(before)), "")
        self.assertEqual(self.conversations(self.citra), ["ana@realm1"])
        self.citra.sends("ana@realm1", "dua")
        self.settle()
        self.assertEqual(self.ana.reads(), ["citra@realm3: dua"])

    def test_blocked(self) -> None:
        """Nobody is led to somebody whom they have blocked."""
        self.citra.sends("ana@realm1", "satu")
        self.citra.does(ask.BlockPerson(parse_address("anna@realm2")))
        self.moved()
        self.assertEqual(self.conversations(self.citra), ["ana@realm1"])

    def test_luggage_of_others(self) -> None:
        """Only the old realm of an account sends its luggage."""
        self.moved()
        luggage = Luggage("ana", "anna", encode([["contact", "x@realm3"]]))
        self.assertEqual(self.verdict(self.two, "realm3", luggage), "bad-signature")
        self.assertEqual(self.anna.does(ask.ListContacts()).items, ())

    def secret_group(self) -> Person:
        """rahasia is a private group of realm2. Returns its admin."""
        dodi = self.two.person("dodi")
        dodi.creates("rahasia")
        dodi.does(ask.SetGroup(parse_address("rahasia"), visibility="private"))
        return dodi

    def test_forged_invitation(self) -> None:
        """The old realm can't let an account into a private group of the new one."""
        self.secret_group()
        self.moved()
        found = self.network.result(self.two.realm.service.database.read(find_group, "rahasia"))
        item = ["invitation", "realm2", found.id, "rahasia", None, "dodi@realm2"]
        self.assertEqual(
            self.verdict(self.two, "realm1", Luggage("ana", "anna", encode([item]))), ""
        )
        with self.assertRaises(UnknownGroup):
            self.anna.joins("rahasia")

    def test_forged_inviter(self) -> None:
        """The old realm can't say that people of other realms invite, or write to the screen."""
        self.moved()
        items = [
            ["invitation", "realm3", number, f"g{number}", "a\x1b[2J", by]
            for number, by in enumerate(("dodi@realm2", "citra@realm3", "x@realm9", "budi@realm1"))
        ]
        items.append(["invitation", "re alm\n3", 9, "g9", None, "budi@realm1"])
        luggage = Luggage("ana", "anna", encode(items))
        self.assertEqual(self.verdict(self.two, "realm1", luggage), "")
        shown = self.anna.does(ask.ListInvitations()).items
        self.assertEqual(
            {each.group: each.by for each in shown},
            {
                "g0@realm3": "ana@realm1",
                "g1@realm3": "ana@realm1",
                "g2@realm3": "ana@realm1",
                "g3@realm3": "budi@realm1",
            },
        )
        self.assertTrue(all((each.title or "").isprintable() for each in shown))

    def test_much_luggage(self) -> None:
        """The old realm can't begin any number of conversations of an account."""
        self.patch(luggage_store, "MAX_CONVERSATIONS", 3)
        self.moved()
        items = [["direct", f"p{number}@realm3"] for number in range(9)]
        self.assertEqual(
            self.verdict(self.two, "realm1", Luggage("ana", "anna", encode(items))), ""
        )
        self.network.settle()
        query = sa.select(sa.func.count()).where(participants.c.peer_key.startswith("p"))
        read = self.two.realm.service.database.read(lambda connection: connection.scalar(query))
        self.assertLessEqual(self.network.result(read), 3)

    def test_invitation_of_the_new_realm(self) -> None:
        """An invitation that the new realm has sent to the old address is one of the new address."""
        dodi = self.secret_group()
        dodi.does(ask.InviteMembers(parse_address("rahasia"), (parse_address("ana@realm1"),)))
        self.network.settle()
        self.moved()
        self.anna.joins("rahasia")
        self.assertEqual(dodi.members("rahasia"), ["*dodi+", "anna+"])

    def test_unreadable(self) -> None:
        for parcel in (
            AccountMove(b"x"),
            Agreed("citra", "ana", b"x"),
            Agreed("citra", "nobody", b"x"),
            Luggage("ana", "anna", b"x"),
        ):
            self.assertEqual(self.verdict(self.two, "realm1", parcel), "bad-signature")

    def test_flood(self) -> None:
        """Agreements of strangers do not push out that of the address which the account wants."""
        self.agree()
        for number in range(60):
            person = self.three.person(f"p{number % 6}")
            person.does(ask.TakeAccount(parse_address("ana@realm1")))
        self.settle()
        self.assertTrue(self.move().data["moved"])

    def test_too_many(self) -> None:
        for number in range(MAX_PLANS):
            self.agree(old=f"p{number}@realm1")
        self.assertRaises(TooManyMoves, self.agree, old="ana@realm1")

    def test_many_moves(self) -> None:
        """A realm lets its people move to and fro, so that messages go round: that ends."""
        receiver = self.three.federation.moves
        for _ in range(PER_HOUR):
            receiver._count("realm1")
        self.ana.sends("citra@realm3", "satu")
        self.moved()
        self.assertEqual(self.conversations(self.citra), ["ana@realm1"])
        self.assertRaises(ChatError, self.citra.sends, "ana@realm1", "dua")

    def test_cancelled(self) -> None:
        self.agree()
        self.anna.does(ask.CancelMove())
        self.settle()
        self.assertFalse(self.move().data["moved"])
        self.ana.does(ask.CancelMove())
        self.assertRaises(NoMove, self.ana.does, ask.CancelMove())
        self.agree()
        self.assertEqual(self.ana.does(ask.ListMoves()).items, ())


class RestoredMoveTestCase(MovesTestCase):
    """One of the realms is restored from a copy from before the move."""

    def setUp(self) -> None:
        super().setUp()
        self.citra.sends("ana@realm1", "satu")
        self.budi.sends("ana", "satu")
        self.citra.creates("tiga")
        self.ana.joins("tiga@realm3")
        self.agree()
        self.settle()

    def back_up(self, server: Server) -> Path:
        copy = Path(self.mktemp())
        server.close()
        copy_state(server.config.state, copy)
        server.open()
        self.network.advance(5)
        return copy

    def restore(self, server: Server, copy: Path) -> None:
        server.kill()
        shutil.rmtree(server.config.state)
        copy_state(copy, server.config.state)
        server.open()
        self.network.advance(60)
        self.settle()

    def check(self) -> None:
        for number, text in enumerate(("empat", "lima")):
            self.citra.sends(("ana@realm1", "anna@realm2")[number], text)
        self.settle()
        received = [each for each in self.anna.history("citra@realm3") if each.startswith("citra")]
        wanted = [f"citra@realm3: {each}" for each in ("dua", "empat", "lima")]
        self.assertEqual(received, wanted)
        self.assertEqual(self.conversations(self.citra).count("anna@realm2"), 1)
        self.assertEqual(
            self.citra.history("anna@realm2"),
            [f"citra: {each}" for each in ("satu", "dua", "empat", "lima")],
        )
        self.assertIn("anna@realm2+", self.citra.members("tiga"))
        self.assertEqual(self.anna.mine(), ["tiga@realm3"])
        self.assertRaises(MovedAway, self.ana.sends, "citra@realm3", "x")

    def played(self, server: Server) -> None:
        copy = self.back_up(server)
        self.assertTrue(self.move().data["moved"])
        self.citra.sends("ana@realm1", "dua")
        self.settle()
        self.restore(server, copy)
        self.check()

    def test_old(self) -> None:
        self.played(self.one)
        self.assertEqual(self.conversations(self.budi), ["anna@realm2"])

    def test_new(self) -> None:
        self.played(self.two)

    def test_third(self) -> None:
        self.played(self.three)
