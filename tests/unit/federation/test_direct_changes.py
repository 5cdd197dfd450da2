"""Edits, deletions, reactions and pins in a conversation of two people in two realms."""

from __future__ import annotations

from typing import Any
from unittest import mock

from chatd.base.entries import Deletion, Edit, MessageChange, Pin, React
from chatd.base.errors import StorageFailed
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation.parcels import (
    KEPT,
    Direct,
    DirectDeletion,
    DirectEdit,
    DirectPin,
    DirectReaction,
    Parcel,
    Ref,
)
from chatd.service.message_changes import MessageChanges
from tests.support.network import LinkedTestCase
from tests.unit.federation.test_receive import NOW, InboundTestCase


class BothSides(LinkedTestCase):
    """ana and budi see the same."""

    def change(self, person: Any, other: str, seq: int, change: MessageChange) -> None:
        server = self.one if person is self.ana else self.two
        place = Place(parse_address(other), None)
        changing = server.service.changes.change(person.account, place, seq, change, None)
        self.network.result(changing)
        self.network.settle()

    def shown(self, person: Any, other: str) -> list[tuple[Any, ...]]:
        found = person.does(_history(other)).items
        return [
            (
                each.text,
                each.edited is not None,
                each.deleted,
                each.pinned,
                {r.emoji for r in each.reactions},
            )
            for each in found
        ]

    def same(self, *expected: tuple[Any, ...]) -> None:
        self.assertEqual(self.shown(self.ana, "budi@realm2"), list(expected))
        self.assertEqual(self.shown(self.budi, "ana@realm1"), list(expected))

    def test_all(self) -> None:
        self.ana.sends("budi@realm2", "satu")
        self.budi.sends("ana@realm1", "dua")
        self.change(self.ana, "budi@realm2", 1, Edit("SATU"))
        self.change(self.ana, "budi@realm2", 2, React("👍"))
        self.change(self.budi, "ana@realm1", 1, React("👍"))
        self.change(self.budi, "ana@realm1", 1, Pin())
        self.same(
            ("SATU", True, False, True, {"👍"}),
            ("dua", False, False, False, {"👍"}),
        )
        self.change(self.ana, "budi@realm2", 2, React("👍", False))
        self.change(self.ana, "budi@realm2", 1, Pin(False))
        self.change(self.budi, "ana@realm1", 2, Deletion())
        self.same(
            ("SATU", True, False, False, {"👍"}),
            (None, False, True, False, set()),
        )
        self.assertEqual(self.one.parcels_waiting() + self.two.parcels_waiting(), 0)

    def test_queued(self) -> None:
        """The author of a change is told whether it waits."""
        self.ana.sends("budi@realm2", "satu")
        place = Place(parse_address("budi@realm2"))
        told = self.ana.does(ask.EditMessage(place, 1, "SATU"))
        self.assertNotIn("queued", told.data)
        self.part()
        for command in (
            ask.EditMessage(place, 1, "satu"),
            ask.ReactToMessage(place, 1, "👍", True),
            ask.PinMessage(place, 1, True),
            ask.DeleteMessage(place, 1),
        ):
            told = self.ana.does(command)
            self.assertIs(told.data["queued"], True)
            self.assertIn("; queued until it can be delivered", told.message)
        again = self.ana.does(ask.DeleteMessage(place, 1))
        self.assertNotIn("queued", again.data)  # there is nothing to send
        self.meet()
        self.same((None, False, True, False, set()))

    def test_while_parted(self) -> None:
        """What was done meanwhile arrives in order. What was deleted leaves a tombstone, and no text."""
        self.ana.sends("budi@realm2", "satu")
        self.part()
        self.ana.sends("budi@realm2", "dua")
        self.ana.sends("budi@realm2", "tiga")
        self.change(self.ana, "budi@realm2", 1, Edit("SATU"))
        self.change(self.ana, "budi@realm2", 2, Edit("DUA"))
        self.change(self.ana, "budi@realm2", 2, Deletion())
        self.meet()
        self.network.advance(5)
        for person, other in ((self.ana, "budi@realm2"), (self.budi, "ana@realm1")):
            found = [(text, deleted) for text, _, deleted, _, _ in self.shown(person, other)]
            self.assertEqual(found, [("SATU", False), (None, True), ("tiga", False)])
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_lost_acknowledgement(self) -> None:
        """The other realm has the text; its answer was lost. The deletion removes the text there."""
        self.connection.far.losing = {"Deliver answer"}
        self.ana.begins_to_send("budi@realm2", "rahasia")
        self.network.settle()
        self.part()
        self.network.advance(6)
        self.change(self.ana, "budi@realm2", 1, Deletion())
        self.meet()
        self.network.advance(5)
        self.same((None, False, True, False, set()))


class Received(InboundTestCase):
    """What realm2 may change here."""

    def setUp(self) -> None:
        super().setUp()
        self.says(Direct("citra", "ana", NOW, "satu"), number=11)
        self.ana.sends("citra@realm2", "dua")
        self.mine = Ref(
            False,
            self.one.realm.database.now(
                lambda connection: connection.exec_driver_sql(
                    "SELECT max(number) FROM messages"
                ).scalar()
            ),
        )
        self.theirs = Ref(True, 11)

    def text(self, seq: int) -> str | None:
        found = self.ana.does(_history("citra@realm2")).items
        text: str | None = next(each.text for each in found if each.seq == seq)
        return text

    def test_rights(self) -> None:
        """Only its author edits and deletes a message; both react and pin."""
        edit = DirectEdit("citra", "ana", NOW, self.mine, "lain")
        self.assertEqual(self.code_of(edit), "not-yours")
        self.assertEqual(self.code_of(DirectDeletion("citra", "ana", NOW, self.mine)), "not-yours")
        edit = DirectEdit("dewi", "ana", NOW, self.theirs, "lain")
        self.assertEqual(self.code_of(edit), "unknown-message")
        self.assertEqual(self.text(1), "satu")
        self.assertEqual(self.text(2), "dua")
        for ref in (self.mine, self.theirs):
            self.assertEqual(self.says(DirectReaction("citra", "ana", NOW, ref, "👍")), KEPT)
            self.assertEqual(self.says(DirectPin("citra", "ana", NOW, ref)), KEPT)

    def test_other_realms(self) -> None:
        """A realm can't name the entries of another."""
        edit = DirectEdit("citra", "ana", NOW, self.theirs, "lain")
        self.assertEqual(self.code_of(edit, "realm3"), "unknown-message")
        self.assertEqual(self.text(1), "satu")

    def test_bad(self) -> None:
        cases: tuple[tuple[Parcel, str], ...] = (
            (DirectEdit("citra", "ana", NOW, self.theirs, ""), "empty-text"),
            (DirectEdit("citra", "ana", NOW, self.theirs, "a\x07"), "bad-text"),
            (DirectEdit("citra", "ana", NOW, self.theirs, "x" * 8193), "message-too-long"),
            (DirectEdit("citra", "ana", NOW, self.theirs, "x", ("a b",)), "bad-name"),
            (DirectReaction("citra", "ana", NOW, self.theirs, "ok"), "bad-parcel"),
            (DirectReaction("citra", "nobody", NOW, self.theirs, "👍"), "unknown-message"),
            (DirectReaction("citra", "budi", NOW, self.theirs, "👍"), "unknown-message"),
            (DirectReaction("citra", "ana", NOW, Ref(True, 99), "👍"), "unknown-message"),
            (DirectReaction("a b", "ana", NOW, self.theirs, "👍"), "bad-name"),
            (DirectDeletion("citra", "ana", NOW, Ref(True, 99)), ""),
            (DirectEdit("citra", "ana", NOW, self.theirs), ""),
        )
        for parcel, code in cases:
            self.assertEqual(self.code_of(parcel), code, parcel)
        self.assertEqual(self.text(1), "satu")

    def test_repeated(self) -> None:
        """A change counts once, also when it comes again after later ones."""
        on = DirectReaction("citra", "ana", NOW, self.mine, "👍")
        off = DirectReaction("citra", "ana", NOW, self.mine, "👍", False)
        for number, parcel in ((21, on), (22, off), (21, on), (22, off), (21, on)):
            self.assertEqual(self.says(parcel, number=number), KEPT)
        (_, mine) = self.ana.does(_history("citra@realm2")).items
        self.assertEqual(list(mine.reactions), [])

    def test_older_pin(self) -> None:
        """Both sides pin and unpin a message at once: the later one counts, whichever comes first."""
        self.ana.does(ask.PinMessage(Place(parse_address("citra@realm2"), None), 1, True))
        for at, pinned in ((NOW - 5, True), (NOW + 30_000, False)):
            self.assertEqual(self.says(DirectPin("citra", "ana", at, self.theirs, False)), KEPT)
            shown = self.ana.does(_history("citra@realm2")).items
            self.assertEqual(shown[0].pinned, pinned)

    def test_listeners_that_fail(self) -> None:
        """A change that is on disk is acknowledged, although telling the listeners of it has failed."""
        edit = DirectEdit("citra", "ana", NOW, self.theirs, "SATU")
        with mock.patch.object(MessageChanges, "publish", side_effect=ZeroDivisionError):
            self.assertEqual(self.says(edit), KEPT)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.text(1), "SATU")

    def test_full_disk(self) -> None:
        """A change that the disk does not take costs its realm nothing, and is taken later."""
        quotas = self.one.federation.receiver._quotas
        edit = DirectEdit("citra", "ana", NOW, self.theirs, "SATU")
        with mock.patch.object(quotas, "give_back_bytes", wraps=quotas.give_back_bytes) as back:
            self.one.realm.database.full = True
            with self.assertRaises(StorageFailed):
                self.says(edit, number=30)
            self.assertEqual(back.call_count, 1)
        self.one.realm.database.full = False
        self.assertEqual(self.says(edit, number=30), KEPT)
        self.assertEqual(self.text(1), "SATU")
        self.flushLoggedErrors(StorageFailed)

    def test_deleted(self) -> None:
        """Nothing changes a deleted message, and its deletion is told once."""
        gone = DirectDeletion("citra", "ana", NOW, self.theirs)
        for parcel in (
            gone,
            gone,
            DirectEdit("citra", "ana", NOW, self.theirs, "lagi"),
            DirectReaction("citra", "ana", NOW, self.theirs, "👍"),
        ):
            self.assertEqual(self.says(parcel), KEPT)
        self.assertIsNone(self.text(1))


def _history(user: str) -> Any:
    return ask.ShowHistory(Place(parse_address(user), None), 100)
