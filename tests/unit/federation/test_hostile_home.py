"""What the home of a group can do to the words of its guests, and what it gets for each attempt.

docs/federation.md has the results as a table.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.events import GroupChange, MemberChange, StateChange
from chatd.base.model import Message
from chatd.base.names import Place, parse_group
from chatd.commands import values as ask
from chatd.federation import parcels
from chatd.federation.parcel_fields import MAX_SEQ
from chatd.federation.parcels import KEPT, Joined, Relay, Verdict
from chatd.federation.signing.entries import SignedEntry
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.signing.keys import GRACE, RealmKey, encode_keys
from chatd.federation.signing.statements import (
    Attributes,
    DeletionAttributes,
    EditAttributes,
    GroupAttributes,
    MemberAttributes,
    MessageAttributes,
    PinAttributes,
    ReactionAttributes,
    StatedRef,
    Statement,
    decode_statement,
    encode,
)
from chatd.lines.dialects import json_events, plain_events
from chatd.store import guard, macs
from chatd.store.schema import changes, messages
from tests.support.network import LinkedTestCase
from tests.support.signing import START, SigningRealm
from tests.unit.federation.test_receive import InboundTestCase

BAGAN = 5
NUSA = 6


class HomeTestCase(InboundTestCase):
    """ana is a member of bagan@realm2 and nusa@realm2, whose home is hostile. dewi@realm3 is one too."""

    def setUp(self) -> None:
        super().setUp()
        for group in ("bagan", "nusa"):
            self.ana.has_asked_for(f"{group}@realm2")
        self.says(Joined("bagan", BAGAN, "ana", 10))
        self.says(Joined("nusa", NUSA, "ana", 10))
        self.seq = 10

    def dewi(self, text: str = "halo", **said: Any) -> SignedEntry:
        """What dewi@realm3 says in bagan."""
        said = {"home": "realm2", "group": BAGAN, "author": "dewi", **said}
        return self.signers["realm3"].says(text, **said)

    def relays(self, entry: SignedEntry, group: str = "bagan", group_id: int = BAGAN) -> Verdict:
        self.seq += 1
        return self.says(Relay(entry, group, group_id, self.seq))

    def history(self, group: str = "bagan@realm2") -> list[str]:
        return self.ana.history(group=group)

    def shown(self) -> list[Message]:
        place = Place(None, parse_group("bagan@realm2"))
        found: list[Message] = list(self.ana.does(ask.ShowHistory(place, 500)).items)
        return found

    def refuses(self, entry: SignedEntry, group: str = "bagan", group_id: int = BAGAN) -> None:
        before = self.history(), self.history("nusa@realm2")
        self.assertEqual(self.relays(entry, group, group_id).code, "bad-signature")
        self.assertEqual((self.history(), self.history("nusa@realm2")), before)


class AttemptsTestCase(HomeTestCase):
    def test_no_room_for_more_numbers(self) -> None:
        """The log of the mirror goes on after the highest number that an entry may have."""
        for seq in (2**63 - 1, 2**53):
            for refused in (
                Relay(self.dewi(), "bagan", BAGAN, seq),
                Joined("bagan", BAGAN, "ana", seq),
            ):
                with self.assertRaises(msgspec.ValidationError):
                    parcels.decode(parcels.encode(refused))
        for seq in (MAX_SEQ, 11):
            parcel = parcels.decode(
                parcels.encode(Relay(self.dewi(f"no. {seq}"), "bagan", BAGAN, seq))
            )
            assert parcel is not None
            self.assertEqual(self.says(parcel).code, "")
        self.assertEqual(len(self.history()), 2)

    def test_relay(self) -> None:
        self.assertEqual(self.relays(self.dewi()), Verdict(seq=11))
        self.assertEqual(self.history(), ["dewi@realm3: halo"])
        (message,) = self.ana.inbox()
        self.assertFalse(message.unverified)

    def test_repeat(self) -> None:
        """The same entry, with another seq, an hour later, after a restart: a duplicate."""
        entry = self.dewi()
        self.relays(entry)
        self.assertEqual(self.relays(entry), Verdict(seq=11))
        self.network.advance(3_600)
        self.assertEqual(self.relays(entry), Verdict(seq=11))
        self.one.restart()
        self.one.knows("realm2")
        self.assertEqual(self.relays(entry), Verdict(seq=11))
        self.assertEqual(self.history(), ["dewi@realm3: halo"])

    def test_move_to_another_group(self) -> None:
        entry = self.dewi()
        self.refuses(entry, "nusa", NUSA)
        self.ana.has_asked_for("bagan@realm3")
        self.says(Joined("bagan", 7, "ana", 0), "realm3")
        relay = Relay(entry, "bagan", 7, 1)
        self.assertEqual(self.says(relay, "realm3").code, "bad-signature")
        self.relays(entry)
        self.refuses(entry, "nusa", NUSA)

    def test_move_by_name(self) -> None:
        """dewi is no member, and her realm does not know the group's id: the name counts."""
        self.assertEqual(self.relays(self.dewi(group="bagan")), Verdict(seq=11))
        self.refuses(self.dewi(group="bagan"), "nusa", NUSA)

    def test_alter(self) -> None:
        entry = self.dewi()
        content: tuple[dict[str, Any], ...] = (
            {"body": b"halo!"},
            {"body": b""},
            {"salt": b"x" * 16},
            {"attributes": encode(MessageAttributes(forwarded="budi@realm1"))},
        )
        for altered in content:
            self.refuses(msgspec.structs.replace(entry, **altered))
        stated = decode_statement(entry.statement)
        for altered in (
            {"author": "eka"},
            {"number": 77},
            {"at": START - 1},
            {"realm": "realm2"},
            {"group": NUSA},
        ):
            other: Statement = msgspec.structs.replace(stated, **altered)
            self.refuses(msgspec.structs.replace(entry, statement=encode(other)))

    def test_remove_the_content(self) -> None:
        """It may: that is a deletion, as it may make one itself. The entry stays, empty."""
        self.relays(self.dewi().blank())
        (message,) = self.shown()
        self.assertTrue(message.deleted)

    def test_invent(self) -> None:
        """In the name of a realm whose key is known, of this one, or of its own with a key that it has not
        announced."""
        home = self.signers["realm2"].key
        for realm, author in (("realm3", "dewi"), ("realm1", "ana")):
            forger = SigningRealm(realm, home)
            proof = self.signers[realm].key.sign([b"something else"])[0]
            entry = forger.says(home="realm2", group=BAGAN, author=author)
            self.refuses(msgspec.structs.replace(entry, proof=proof))
        stranger = SigningRealm("realm9").key
        for realm, author in (("realm2", "citra"), ("realm1", "ana")):
            forger = SigningRealm(realm, stranger)
            self.refuses(forger.says(home="realm2", group=BAGAN, author=author))

    def test_unsigned(self) -> None:
        for number in (7, 1 << 40):
            self.refuses(msgspec.structs.replace(self.dewi(number=number), proof=None))

    def test_old_key(self) -> None:
        """realm3 has replaced its key. What it has signed before is still accepted."""
        late, early = self.dewi(at=START), self.dewi("dulu", at=START - GRACE - 2000)
        key = RealmKey(self.signers["realm3"].key.public, 0, START - GRACE - 1000)
        self.network.result(self.one.federation.keys.learn("realm3", encode_keys([key])))
        self.refuses(late)
        self.assertEqual(self.relays(early).code, "")

    def test_reorder_and_withhold(self) -> None:
        """It can: its seqs are not signed."""
        entries = [self.dewi(text) for text in ("satu", "dua", "tiga")]
        for entry in (entries[2], entries[0]):
            self.relays(entry)
        self.assertEqual(self.history(), ["dewi@realm3: tiga", "dewi@realm3: satu"])


class ChangesTestCase(HomeTestCase):
    """dewi@realm3 has said something. What becomes of it?"""

    def setUp(self) -> None:
        super().setUp()
        self.relays(self.dewi("satu", number=1000))

    def changes(
        self,
        attributes: Attributes,
        text: str = "",
        *,
        by: str = "realm3",
        author: str = "dewi",
        number: int = 1000,
        **said: Any,
    ) -> SignedEntry:
        """A change of her message, or of another of hers with that number."""
        said = {"home": "realm2", "group": BAGAN, "author": author, **said}
        target = StatedRef("realm3", number)
        return self.signers[by].signs(attributes, text.encode(), target=target, **said)

    def test_its_author_may(self) -> None:
        edit = self.changes(EditAttributes(), "dua")
        self.assertEqual(self.relays(edit).code, "")
        self.assertEqual(self.history(), ["dewi@realm3: dua"])
        self.assertEqual(self.relays(self.changes(DeletionAttributes())).code, "")
        self.assertTrue(self.shown()[0].deleted)

    def test_others_may_not_edit(self) -> None:
        """Not the home in its own name, nor somebody else of her realm."""
        for by, author in (("realm2", "citra"), ("realm3", "eka"), ("realm1", "ana")):
            edit = self.changes(EditAttributes(), "I resign", by=by, author=author)
            self.assertEqual(self.relays(edit).code, "not-yours")
        self.assertEqual(self.history(), ["dewi@realm3: satu"])

    def test_invented_changes(self) -> None:
        forger = SigningRealm("realm3", self.signers["realm2"].key)
        proof = self.signers["realm3"].key.sign([b"something else"])[0]
        self.signers["realm3"], own = forger, self.signers["realm3"]
        for attributes in (
            EditAttributes(),
            DeletionAttributes(),
            ReactionAttributes("👍", True),
            PinAttributes(True),
        ):
            entry = self.changes(attributes)
            self.refuses(msgspec.structs.replace(entry, proof=proof))
        self.signers["realm3"] = own

    def test_moved_to_another_message(self) -> None:
        self.relays(self.dewi("dua", number=1001))
        react = self.changes(ReactionAttributes("👎", True))
        stated = decode_statement(react.statement)
        moved = msgspec.structs.replace(stated, target=StatedRef("realm3", 1001))
        self.refuses(msgspec.structs.replace(react, statement=encode(moved)))
        self.assertFalse(any(message.reactions for message in self.shown()))

    def test_repeated(self) -> None:
        """What was taken back stays so."""
        first, second = (self.changes(EditAttributes(), text) for text in ("dua", "tiga"))
        on, off = (self.changes(ReactionAttributes("👍", each)) for each in (True, False))
        for entry in (first, second, on, off):
            self.assertEqual(self.relays(entry).code, "")
        for entry in (first, on):
            self.assertEqual(self.relays(entry), KEPT)
        (message,) = self.shown()
        self.assertEqual((message.text, message.reactions), ("tiga", ()))

    def test_revived(self) -> None:
        """The message is deleted: neither it nor an edit of it comes back."""
        edit = self.changes(EditAttributes(), "dua")
        message = self.dewi("satu", number=1000)
        self.relays(self.changes(DeletionAttributes()))
        self.relays(edit)
        self.relays(message)
        (shown,) = self.shown()
        self.assertEqual((shown.deleted, shown.text), (True, None))

    def test_deleted_by_the_home(self) -> None:
        """It may: its admins and moderators decide. It says who has done it."""
        entry = self.changes(DeletionAttributes(), by="realm2", author="citra")
        self.assertEqual(self.relays(entry).code, "")
        self.assertTrue(self.shown()[0].deleted)

    def test_edit_with_an_unknown_key(self) -> None:
        """It would replace words that were verified."""
        stranger = SigningRealm("realm3", SigningRealm("realm9").key)
        edit = stranger.signs(
            EditAttributes(),
            b"I resign",
            home="realm2",
            group=BAGAN,
            author="dewi",
            target=StatedRef("realm3", 1000),
        )
        self.refuses(edit)

    def test_about_nothing(self) -> None:
        """A message that this realm does not have."""
        self.assertEqual(self.relays(self.changes(EditAttributes(), "x", number=7)), KEPT)
        entry = self.signers["realm3"].signs(
            EditAttributes(), b"x", home="realm2", group=BAGAN, author="dewi"
        )
        self.refuses(entry)

    def test_of_another_group(self) -> None:
        edit = self.changes(EditAttributes(), "dua", group=NUSA)
        self.assertEqual(self.relays(edit, "nusa", NUSA), KEPT)
        self.assertEqual(self.history(), ["dewi@realm3: satu"])


class FactsTestCase(HomeTestCase):
    """What the home reports about the group and its members. dewi@realm3 is one of them."""

    def setUp(self) -> None:
        super().setUp()
        self.before = self.facts()

    def facts(self) -> list[tuple[str, str]]:
        query = sa.select(changes.c.author, changes.c.data).order_by(changes.c.seq)
        found = self.one.realm.database.now(lambda connection: connection.execute(query).all())
        return [tuple(row) for row in found]

    def fact(
        self, what: str, who: str, author: str, by: str = "realm3", group: int = BAGAN
    ) -> SignedEntry:
        return self.signers[by].happened(what, who, author=author, home="realm2", group=group)

    def test_what_guests_say(self) -> None:
        for what, who in (
            ("joined", "dewi@realm3"),
            ("kicked", "eka@realm4"),
            ("left", "dewi@realm3"),
        ):
            self.assertEqual(self.relays(self.fact(what, who, "dewi")).code, "")
        closed = self.signers["realm3"].signs(
            GroupAttributes({"closed": True}), author="dewi", home="realm2", group=BAGAN
        )
        self.assertEqual(self.relays(closed).code, "")
        self.assertEqual({author for author, _ in self.facts()}, {"dewi@realm3"})
        self.assertEqual(len(self.facts()), 4)

    def test_what_the_home_does(self) -> None:
        """In its own name it may do all that its admins may."""
        for what, who, author in (
            ("joined", "citra@realm2", "citra"),
            ("kicked", "dewi@realm3", "citra"),
            ("promoted", "ana@realm1", "system"),
        ):
            self.assertEqual(self.relays(self.fact(what, who, author, "realm2")).code, "")
        self.assertEqual(self.facts()[-1], ("system@realm2", '{"who":"ana","what":"promoted"}'))

    def test_others_join_and_leave_by_themselves(self) -> None:
        for what in ("joined", "left"):
            for who in ("dewi@realm3", "ana@realm1", "hantu@realm1"):
                self.refuses(self.fact(what, who, "citra", "realm2"))
        self.assertEqual(self.facts(), self.before)

    def test_invented(self) -> None:
        """In the name of a guest, or of somebody here, whether they are members or not."""
        proof = self.signers["realm3"].key.sign([b"something else"])[0]
        for realm, author in (("realm3", "dewi"), ("realm1", "ana"), ("realm1", "hantu")):
            forger = SigningRealm(realm, self.signers["realm2"].key)
            for attributes in (
                MemberAttributes("joined", f"{author}@{realm}"),
                MemberAttributes("kicked", "budi@realm1"),
                GroupAttributes({"title": "Rahasia"}),
            ):
                entry = forger.signs(attributes, author=author, home="realm2", group=BAGAN)
                if realm == "realm1":
                    self.refuses(entry)  # of other realms, an unknown key may be a new one
                self.refuses(msgspec.structs.replace(entry, proof=proof))
                self.refuses(msgspec.structs.replace(entry, proof=None))
        self.assertEqual(self.facts(), self.before)

    def test_moved_or_altered(self) -> None:
        entry = self.fact("kicked", "eka@realm4", "dewi")
        self.refuses(entry, "nusa", NUSA)
        other = encode(MemberAttributes("kicked", "budi@realm1"))
        self.refuses(msgspec.structs.replace(entry, attributes=other))
        self.assertEqual(self.facts(), self.before)

    def test_twice(self) -> None:
        entry = self.fact("kicked", "eka@realm4", "dewi")
        for _ in range(3):
            self.assertEqual(self.relays(entry).code, "")
        self.assertEqual(len(self.facts()), len(self.before) + 1)


class UnknownKeyTestCase(HomeTestCase):
    """The key of realm4 is not known here."""

    def setUp(self) -> None:
        super().setUp()
        self.four = SigningRealm("realm4")

    def eka(self, text: str = "halo") -> SignedEntry:
        return self.four.says(text, home="realm2", group=BAGAN, author="eka")

    def unverified(self) -> list[bool]:
        return [message.unverified for message in self.shown()]

    def test_marked_until_the_key_is_known(self) -> None:
        self.relays(self.eka())
        self.assertEqual(self.history(), ["eka@realm4: halo"])
        self.assertEqual(self.unverified(), [True])
        self.four.announces(self.one)
        self.assertEqual(self.unverified(), [False])
        self.relays(self.eka("lagi"))
        self.assertEqual(self.unverified(), [False, False])

    def test_killed_before_they_were_verified(self) -> None:
        """The key is on disk, and the entries are verified when it is announced again."""
        self.relays(self.eka())

        async def killed(*_: Any) -> None:
            pass

        patch = self.patch(KeyBook, "_verify", killed)
        self.four.announces(self.one)
        self.assertEqual(self.unverified(), [True])
        patch.restore()
        self.four.announces(self.one)
        self.assertEqual(self.unverified(), [False])

    def test_many(self) -> None:
        for number in range(100):
            self.relays(self.eka(str(number)))
        self.four.announces(self.one)
        self.assertEqual(self.unverified(), [False] * 100)

    def test_event(self) -> None:
        self.ana.does(ask.SetListening(True))
        self.relays(self.eka())
        (event,) = self.ana.events
        assert isinstance(event, Message)
        self.assertTrue(event.unverified)

    def test_invented(self) -> None:
        """It is shown as unverified, and no longer shown once the key is known."""
        entry = SigningRealm("realm4", self.signers["realm2"].key).says(
            "I resign", home="realm2", group=BAGAN, author="eka"
        )
        proof = self.four.key.sign([b"something else"])[0]
        self.relays(msgspec.structs.replace(entry, proof=proof))
        self.assertEqual(self.unverified(), [True])
        self.four.announces(self.one)
        (shown,) = self.history()
        self.assertIn("the realm of eka@realm4 did not sign it", shown)

    def announce(self) -> None:
        """Let realm4 announce its key, and wait until everything is verified."""
        self.four.announces(self.one)
        self.network.settle()

    def states(self, version: int) -> list[dict[str, Any]]:
        """The states that `sync` reports, which have changed since a version."""
        (conversation,) = {each.conversation for each in self.shown()}
        found: list[dict[str, Any]] = self.ana.does(
            ask.SyncLog(conversation, self.seq, 500, version)
        ).data["states"]
        return found

    def test_told_when_the_key_is_known(self) -> None:
        """Members who follow are told, and others learn it from `sync`."""
        self.relays(self.eka())
        (message,) = self.shown()
        before = self.ana.does(ask.SyncLog(message.conversation, 0, 500)).data["version"]
        self.assertEqual(self.states(before), [])
        self.ana.does(ask.SetListening(True, True))
        self.announce()
        told = StateChange(message.conversation, message.seq, message.id, "verified")
        self.assertEqual(self.ana.events, [told])
        self.assertEqual(
            self.states(before), [{"seq": message.seq, "id": message.id, "state": "verified"}]
        )
        self.announce()
        self.assertEqual(self.ana.events, [told])

    def test_told_that_it_was_invented(self) -> None:
        entry, other = self.eka("I resign"), self.four.key.sign([b"something else"])[0]
        self.relays(msgspec.structs.replace(entry, proof=other))
        (message,) = self.shown()
        self.ana.does(ask.SetListening(True, True))
        self.announce()
        (told,) = self.ana.events
        reason = "the realm of eka@realm4 did not sign it"
        assert isinstance(told, StateChange)
        self.assertEqual((told.seq, told.state, told.reason), (message.seq, "forged", reason))
        (state,) = self.states(0)
        self.assertEqual((state["state"], state["reason"]), ("forged", reason))

    def lines(self) -> list[tuple[str, bool]]:
        """What `sync` tells of the group and its members after the first entries."""
        (conversation,) = {each.conversation for each in self.shown()}
        entries = self.ana.does(ask.SyncLog(conversation, 0, 500)).items
        found = (each.entry for each in entries if each.entry.seq >= self.first)
        return [
            (plain_events.entry_lines(each), each.unverified)
            for each in found
            if isinstance(each, MemberChange | GroupChange)
        ]

    def test_facts(self) -> None:
        """What has happened to the group and its members is marked, too. What turns out to be invented stays
        marked."""
        self.relays(self.eka())
        self.first = self.shown()[-1].seq
        about: dict[str, Any] = {"home": "realm2", "group": BAGAN, "author": "eka"}
        joined = MemberAttributes("joined", "eka@realm4")
        facts: list[SignedEntry] = [
            self.four.signs(attributes, **about)
            for attributes in (joined, GroupAttributes({"closed": True}), joined)
        ]
        other = self.four.key.sign([b"something else"])[0]
        self.ana.does(ask.SetListening(True, True))
        for fact in (*facts[:2], msgspec.structs.replace(facts[2], proof=other)):
            self.assertEqual(self.relays(fact).code, "")
        events = [each for each in self.ana.events if isinstance(each, MemberChange | GroupChange)]
        self.assertEqual([each.unverified for each in events], [True] * 3)
        self.assertEqual(
            [json_events.event_object(each)["unverified"] for each in events], [True] * 3
        )
        marked = [
            ("eka@realm4 joined bagan@realm2 (unverified)", True),
            ("eka@realm4 closed bagan@realm2 (unverified)", True),
        ]
        self.assertEqual(self.lines(), [*marked, marked[0]])
        self.announce()
        told = [each for each in self.ana.events if isinstance(each, StateChange) and not each.id]
        self.assertEqual([each.state for each in told], ["verified", "verified", "forged"])
        self.assertIsNone(json_events.event_object(told[0])["id"])
        conversation, seq = told[0].conversation, told[0].seq
        self.assertEqual(
            plain_events.event_lines(told[0]),
            f"entry #{seq} of conversation {conversation} is verified",
        )
        self.assertEqual([unverified for _, unverified in self.lines()], [False, False, True])
        states = [each for each in self.states(0) if each["id"] is None]
        self.assertEqual([each["state"] for each in states], ["verified", "verified", "forged"])

    def test_not_told_of_what_was_deleted(self) -> None:
        """Nor of changes, which have no mark."""
        self.relays(self.four.says(home="realm2", group=BAGAN, author="eka", number=90))
        for attributes in (ReactionAttributes("👍", True), DeletionAttributes()):
            target = StatedRef("realm4", 90)
            said: dict[str, Any] = {
                "home": "realm2",
                "group": BAGAN,
                "author": "eka",
                "target": target,
            }
            self.assertEqual(self.relays(self.four.signs(attributes, **said)).code, "")
        self.ana.does(ask.SetListening(True, True))
        self.announce()
        self.assertEqual((self.ana.events, self.states(0)), ([], []))
        entries = [each.entry for each in self.ana.does(ask.SyncLog(1, self.seq - 2, 9)).items]
        self.assertEqual([each.unverified for each in entries], [False, False])

    def test_changes(self) -> None:
        """A reaction, a pin and a deletion are marked, too."""
        about: dict[str, Any] = {"home": "realm2", "group": BAGAN, "author": "eka"}
        self.relays(self.four.says(**about, number=90))
        self.ana.does(ask.SetListening(True, True))
        target = StatedRef("realm4", 90)
        for attributes in (
            ReactionAttributes("👍", True),
            PinAttributes(True),
            DeletionAttributes(),
        ):
            self.assertEqual(
                self.relays(self.four.signs(attributes, target=target, **about)).code, ""
            )
        place = "#11 in bagan@realm2 (unverified)"
        marked = [
            f"eka@realm4 reacted with 👍 to {place}",
            f"eka@realm4 pinned {place}",
            f"eka@realm4 deleted {place}",
        ]
        self.assertEqual(list(map(plain_events.event_lines, self.ana.events)), marked)
        shown = [json_events.event_object(each) for each in self.ana.events]
        self.assertEqual([each["unverified"] for each in shown], [True] * 3)
        (conversation,) = {each.conversation for each in self.shown()}
        entries = self.ana.does(ask.SyncLog(conversation, 11, 9)).items
        self.assertEqual([plain_events.entry_lines(each.entry) for each in entries], marked)

    def test_key_that_is_never_announced(self) -> None:
        entry = SigningRealm("realm4", self.signers["realm2"].key).says(
            home="realm2", group=BAGAN, author="eka"
        )
        self.relays(entry)
        self.four.announces(self.one)
        self.assertEqual(self.unverified(), [True])


class DiskTestCase(LinkedTestCase):
    """A text that was altered on disk."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.ana.posts("bagan", "satu")
        self.budi.posts("bagan@realm1", "dua")
        macs.report_altered.cache_clear()

    def test_altered(self) -> None:
        for person, server, place in (
            (self.ana, self.one, "bagan"),
            (self.budi, self.two, "bagan@realm1"),
        ):
            self.assertEqual([each[-4:] for each in person.history(group=place)], ["satu", " dua"])
            server.realm.database.now(
                lambda connection: connection.execute(
                    sa.update(messages).where(messages.c.text == "satu").values(text="sepuluh")
                )
            )
            for _ in range(2):
                first, second = person.history(group=place)
                self.assertIn(guard.ALTERED, first)
                self.assertEqual(second[-3:], "dua")
        (unread,) = self.budi.inbox()
        self.assertEqual(unread.text, guard.ALTERED)
