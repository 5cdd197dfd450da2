"""A realm that lacks a capability gets what it can take, and senders are told what it can't."""

from __future__ import annotations

from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.entries import EntryRef, MadeChange, MessageChange, Pin, React, SentParts
from chatd.base.errors import NotSupportedThere
from chatd.base.model import Opaque, party_of
from chatd.federation import capabilities as c
from chatd.federation import parcels as p
from chatd.federation.parcel_fields import FileNote
from chatd.federation.signing.entries import SignedEntry
from chatd.service.realm_news import DirectRead, DirectTyping
from chatd.service.targets import Target
from chatd.store.outbox import NewParcel
from tests.support.network import LinkedTestCase, lacks
from tests.support.receipts import tell_read

REF = p.Ref(True, 7)
NOTE = FileNote("a.txt", 1, "0" * 64, "abcdef")
NEEDS: tuple[tuple[p.Parcel, set[str]], ...] = (
    (p.Direct("a", "b", 1, "satu"), set()),
    (p.Direct("a", "b", 1), set()),
    (p.Direct("a", "b", 1, "satu", reply=REF, forwarded="c", mentions=("d",)), set()),
    (p.Direct("a", "b", 1, "satu\ndua"), {c.LINES}),
    (p.Direct("a", "b", 1, None, NOTE), {c.FILES}),
    (p.Direct("a", "b", 1, media="x/y", body=b"\n"), {c.OPAQUE}),
    (p.DirectEdit("a", "b", 1, REF, "satu"), {c.CHANGES}),
    (p.DirectEdit("a", "b", 1, REF, "satu\ndua"), {c.CHANGES, c.LINES}),
    (p.DirectDeletion("a", "b", 1, REF), {c.CHANGES}),
    (p.DirectReaction("a", "b", 1, REF, "👍"), {c.REACTIONS}),
    (p.DirectPin("a", "b", 1, REF), {c.PINS}),
    (p.DirectMark("a", "b", 1), {c.RECEIPTS}),
    (p.GroupMark("a", "realm1", 1, 1), {c.GROUPS, c.RECEIPTS}),
    (p.Joined("g", 1, "a", 1), {c.GROUPS}),
    (p.Removed("g", 1, "a"), {c.GROUPS}),
    (p.Left("a", "g"), {c.GROUPS}),
    (p.Invite("g", 1, "a", "b"), {c.GROUPS}),
    (p.Moved((SignedEntry(b"", None, b"", b""),)), {c.GROUPS, c.MOVES}),
    (p.MoveOffer("bagan", 1, "ana"), {c.GROUPS, c.MOVES}),
    (p.FileLoss(1, "file-gone"), {c.FILES}),
    (p.Accepted(7), {c.REQUESTS}),
    (p.Agreed("a", "b", b"x"), {c.ACCOUNT_MOVES}),
    (p.AccountMove(b"x"), {c.ACCOUNT_MOVES}),
    (p.Luggage("a", "b", b"x"), {c.ACCOUNT_MOVES}),
    (p.AddressClaim("a", "b", "c@realm3"), {c.ACCOUNT_MOVES}),
)


class NeedsTestCase(SynchronousTestCase):
    def test_each_parcel(self) -> None:
        """A parcel is refused by a realm that lacks one of what it needs, and taken otherwise."""
        for parcel, needs in NEEDS:
            data = p.encode(parcel)
            c.check_fits(data, set(c.ALL) - needs, "realm2")
            for capability in needs:
                with self.assertRaises(NotSupportedThere) as caught:
                    c.check_fits(data, {capability}, "realm2")
                self.assertEqual(caught.exception.details["what"], c.ALL[capability])

    def test_every_kind(self) -> None:
        """No kind of parcel was forgotten here, but for messages of groups."""
        kinds = {type(parcel) for parcel, _ in NEEDS}
        self.assertEqual(set(get_args(p.Parcel)) - kinds, {p.Post, p.Relay})


class LackingTestCase(LinkedTestCase):
    """Changes for a realm that lacks capabilities."""

    def without(self, *capabilities: str) -> None:
        """Link again, now with a realm2 that lacks these."""
        self.part()
        lacks(self, "realm2", *capabilities)
        self.meet()

    def made(self, change: MessageChange) -> tuple[MadeChange, Target]:
        made = MadeChange(change, party_of(self.ana.account), 1, 1, EntryRef(None, 7))
        return made, Target(1, (self.ana.account.id,), "budi@realm2", realms=("realm2",))

    def test_before_a_change(self) -> None:
        """While the realms are linked, what does not cross is not made here either."""
        forwarder = self.one.federation.forwarder
        for capability, change in ((c.REACTIONS, React("👍")), (c.PINS, Pin())):
            self.without(capability)
            made, target = self.made(change)
            with self.assertRaises(NotSupportedThere) as caught:
                self.one.realm.database.now(forwarder.change_copies, made, target)
            said = str(caught.exception)
            self.assertIn(f"realm2 does not support {c.ALL[capability]}", said)

    def test_opaque(self) -> None:
        self.without(c.OPAQUE)
        _, target = self.made(Pin())
        parts = SentParts(opaque=Opaque("x/y", b"z"))
        forwarder = self.one.federation.forwarder
        with self.assertRaises(NotSupportedThere):
            forwarder.copies(self.ana.account, target, 1, None, None, parts)

    def test_queued(self) -> None:
        """What was queued before it was known is given up, and its sender is told."""
        self.part()
        self.ana.sends("budi@realm2", "satu")
        outbox = self.one.federation.outbox
        reaction = p.encode(p.DirectReaction("ana", "budi", 1, REF, "👍"))
        self.network.result(outbox.put(NewParcel("realm2", reaction, 1, self.ana.account.id)))
        lacks(self, "realm2", c.REACTIONS)
        self.meet()
        self.network.advance(5)
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.assertEqual(self.budi.reads(), ["ana@realm1: satu"])
        (told,) = self.ana.reads()
        self.assertEqual(
            told,
            "system: Your reaction in the conversation with budi@realm2 was not delivered: realm2 does not "
            "support reactions; its operator may be able to update it",
        )

    def test_marks_and_typing(self) -> None:
        """They are not sent, and this is no error."""
        self.without(c.RECEIPTS, c.TYPING)
        forwarder = self.one.federation.forwarder
        tell_read(self.one, "realm2", DirectRead("ana", "budi", 1))
        forwarder.tell_typing("realm2", DirectTyping("ana", "budi"))
        self.network.advance(5)
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.assertEqual(self.ana.reads(), [])
        self.assertEqual(len(self.network.open_connections(self.one, self.two)), 1)


class MarksTestCase(LinkedTestCase):
    def test_only_the_newest_waits(self) -> None:
        self.part()
        for number in (3, 5, 4):
            tell_read(self.one, "realm2", DirectRead("ana", "budi", number))
        tell_read(self.one, "realm2", DirectRead("ana", "citra", 2))
        self.network.settle()
        self.assertEqual(self.one.parcels_waiting(), 2)
