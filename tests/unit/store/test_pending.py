"""Messages to groups elsewhere that were delivered there, and never came back."""

from __future__ import annotations

import sqlalchemy as sa

from chatd.base.names import Place, parse_group
from chatd.commands import values as ask
from chatd.store.pending import finish_former, remove_unreturned
from chatd.store.schema import (
    attachments,
    conversations,
    erased_files,
    outbox,
    participants,
    pending,
    posted_files,
)
from tests.support.inline import result_of
from tests.support.network import LinkedTestCase
from tests.unit.service.test_messages import MessagesTestCase


class Shown(LinkedTestCase):
    def test_with_details(self) -> None:
        """A message that waits for its number is shown, also with what it replies to."""
        self.budi.creates("bagan")
        self.ana.joins("bagan@realm2")
        self.budi.posts("bagan", "satu")
        (message,) = self.ana.inbox()
        self.network.connection(self.one, self.two).go_silent()
        place = Place(None, parse_group("bagan@realm2"))
        self.ana.begins_to_post("bagan@realm2", "dua")
        self.ana.begins(ask.ReplyToMessage(place, message.seq, "tiga"))
        self.network.settle()
        page = self.ana.does(ask.ShowHistory(place, 500))
        waiting = [(each.text, each.reply, each.imported) for each in page.pending]
        self.assertEqual(waiting, [("dua", None, False), ("tiga", message.seq, False)])


class Unreturned(MessagesTestCase):
    def add(self, number: int, at: int, file: int | None = None, place: int | None = None) -> None:
        values = {"id": number, "account_id": self.ana.id, "group": "bagan@realm2", "at": at}
        values["conversation_id"] = place
        row = {**values, "realm": "realm2", "number": number, "attachment_id": file}
        self.database.run(lambda db: db.execute(sa.insert(pending).values(row)))

    def add_file(self, ident: int) -> None:
        fields = {each: f"{each}{ident}" for each in ("code", "name", "sha256", "mime", "stored")}
        row = {**fields, "id": ident, "size": 1, "owner_id": self.ana.id, "created_at": 1}
        self.database.run(lambda db: db.execute(sa.insert(attachments).values(row)))

    def count(self, table: sa.Table) -> int:
        query = sa.select(sa.func.count()).select_from(table)
        found: int = result_of(self.database.run(lambda db: db.scalar(query)))
        return found

    def test_files_leave_the_quota(self) -> None:
        """The file that only old messages carry goes with the last of them."""
        self.add_file(1)
        self.add_file(2)
        self.add(1, at=10, file=1)
        self.add(2, at=10, file=1)
        self.add(3, at=10, file=2)
        self.add(4, at=30, file=2)
        self.add(5, at=10)
        removed: list[int] = []
        self.database.run(lambda db: removed.append(remove_unreturned(db, 20)))
        self.assertEqual(removed, [4])
        self.assertEqual(self.count(pending), 1)
        self.assertEqual(self.count(attachments), 1)
        self.assertEqual(self.count(erased_files), 1)

    def test_of_former_members(self) -> None:
        """They do not come back, also if the sender has joined again. Their files are kept for the home."""
        group = {"id": 7, "kind": "group", "created_at": 1}
        self.database.run(lambda db: db.execute(sa.insert(conversations).values(group)))
        member = {"account_id": self.ana.id, "conversation_id": 7, "joined_at": 20}
        self.database.run(lambda db: db.execute(sa.insert(participants).values(member)))
        self.add_file(1)
        self.add(1, at=10, file=1, place=7)  # before she joined again
        self.add(2, at=10, place=8)  # a group that she has left
        self.add(3, at=21, place=7)
        self.add(4, at=10)  # she never was a member
        self.add(5, at=10, place=8)
        waits = {"realm": "realm2", "id": 5, "created_at": 10, "parcel": b""}
        self.database.run(lambda db: db.execute(sa.insert(outbox).values(waits)))
        removed: list[int] = []
        self.database.run(lambda db: removed.append(finish_former(db)))
        query = sa.select(pending.c.id).order_by(pending.c.id)
        left = result_of(self.database.run(lambda db: db.scalars(query).all()))
        self.assertEqual((removed, left), ([3], [3, 5]))
        self.assertEqual((self.count(posted_files), self.count(attachments)), (1, 1))
