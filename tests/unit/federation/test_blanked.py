"""A deleted message whose parcel still waits: the parcel keeps number and place, and loses its content."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatd.base.entries import Deletion, Edit, EntryRef, MadeChange, MessageChange
from chatd.base.model import party_of
from chatd.federation.parcels import Direct, DirectDeletion, DirectEdit, Ref, decode
from chatd.service.targets import Target
from chatd.store import outbox as store
from chatd.store.new_entries import NewChange
from chatd.store.schema import messages
from tests.support.network import LinkedTestCase

SECRET = "rahasia"


class BlankedTestCase(LinkedTestCase):
    def changes(self, text: str, change: MessageChange) -> None:
        """Ana changes her message with that text, as a command does."""
        realm = self.one.realm
        forwarder, writers = self.one.federation.forwarder, self.one.service.context.writers

        def job(connection: sa.Connection) -> Any:
            conversation, seq, number = connection.execute(
                sa.select(messages.c.conversation_id, messages.c.seq, messages.c.number).where(
                    messages.c.text == text
                )
            ).one()
            author = party_of(self.ana.account)
            at = int(self.network.now * 1000)
            made = MadeChange(change, author, at, seq, EntryRef(None, number))
            target = Target(conversation, (self.ana.account.id,), "budi@realm2", realms=("realm2",))
            copies = forwarder.change_copies(connection, made, target)
            kind = "edited" if isinstance(change, Edit) else "deleted"
            new = NewChange(
                conversation, kind, author.id, "ana", at, target=seq, data="{}", copies=copies
            )
            return writers.messages.add_change(connection, new), copies, target

        stored, copies, target = realm.database.now(job)
        forwarder.send_change(stored, copies, target)
        self.network.settle()

    def waiting(self) -> list[Any]:
        found = self.one.realm.database.now(store.waiting, "realm2", 0, 100)
        return [(each.id, decode(each.parcel), each.attachment_id) for each in found]

    def secrets(self) -> list[str]:
        """Where the deleted text can still be read in the state of realm1, but for its messages."""
        realm = self.one.realm
        realm.database.now(
            lambda connection: connection.execute(sa.update(messages).values(text="")).rowcount
        )
        self.one.close()
        folder = self.one.config.state
        found = [each.name for each in folder.rglob("*") if each.is_file()]
        left = [name for name in found if SECRET.encode() in (folder / name).read_bytes()]
        self.one.open()
        return left


class WithoutLink(BlankedTestCase):
    def test_parcels(self) -> None:
        """The message and its edit lose their content, and the deletion follows."""
        self.part()
        for text in ("satu", SECRET, "tiga"):
            self.ana.sends("budi@realm2", text)
        before = [number for number, _, _ in self.waiting()]
        self.changes(SECRET, Edit(SECRET + " kedua"))
        self.changes(SECRET, Deletion())
        found = self.waiting()
        self.assertEqual([number for number, _, _ in found[:3]], before)
        message = Ref(True, before[1])
        parcels = [parcel for _, parcel, _ in found]
        self.assertTrue(isinstance(parcels[1], Direct) and parcels[1].is_blank)
        self.assertEqual([type(each) for each in parcels[3:]], [DirectEdit, DirectDeletion])
        self.assertEqual(
            [(each.target, each.at > 0) for each in parcels[3:]], [(message, True)] * 2
        )
        self.assertIsNone(parcels[3].text)
        self.assertEqual(self.secrets(), [])

    def test_file(self) -> None:
        """The file of a deleted message is not sent."""
        self.part()
        self.ana.sends_file("budi@realm2", "a.txt", b"0123456789")
        self.one.realm.database.now(
            lambda connection: connection.execute(sa.update(messages).values(text=SECRET)).rowcount
        )
        self.changes(SECRET, Deletion())
        ((_, parcel, file), _) = self.waiting()
        self.assertTrue(parcel.is_blank)
        self.assertIsNone(file)
        self.meet()
        self.network.advance(5)
        self.assertEqual(self.budi.files(), [])


class InMemory(BlankedTestCase):
    def test_waits_behind_others(self) -> None:
        """What waits in memory, or is being read, is sent without its content too."""
        self.connection.near.held = True
        for number in range(40):
            self.ana.begins_to_send("budi@realm2", f"nomor {number}")
            self.network.settle()
        self.ana.begins_to_send("budi@realm2", SECRET)
        self.network.settle()
        self.changes(SECRET, Deletion())
        self.connection.near.held = False
        self.network.advance(5)
        shown = self.budi.history("ana@realm1")
        self.assertEqual(len(shown), 41)
        self.assertNotIn(SECRET, "".join(shown))
