"""Messages that were altered on disk are noticed when they are read, and not shown as the original."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa

from chatd.base import errors
from chatd.base.attachments import Attachment
from chatd.base.entries import Deletion, Edit, Pin
from chatd.base.events import Edited
from chatd.base.model import Account, Message, Opaque, party_of
from chatd.base.names import Address, Place
from chatd.commands import values as ask
from chatd.service.composed_sends import SendOptions
from chatd.service.message_parts import MessageParts
from chatd.store import macs
from chatd.store.guard import ALTERED
from chatd.store.message_changes import WantedChange
from chatd.store.new_entries import NewMessage
from chatd.store.schema import (
    attachments,
    changes,
    file_macs,
    messages,
    outbox,
    pending,
    settings,
)
from chatd.store.sync import Cursor
from chatd.store.unreturned import UnreturnedPage, unreturned
from tests.support.inline import result_of
from tests.support.network import LinkedTestCase
from tests.support.restores import RestoredTestCase
from tests.unit.service.test_composed_sends import ComposedSendsTestCase
from tests.unit.service.test_message_changes import WITH_ANA, WITH_BUDI, attach


class AlteredTestCase(ComposedSendsTestCase):
    def setUp(self) -> None:
        super().setUp()
        macs.report_altered.cache_clear()
        self.begin()

    def begin(self) -> None:
        result_of(self.database.run(macs.begin_macs, os.urandom))

    def alters(self, seq: int, **values: Any) -> None:
        """Alter a message of the direct between ana and budi beside the daemon."""
        here = (messages.c.conversation_id == 1) & (messages.c.seq == seq)
        update = sa.update(messages).where(here).values(**values)
        result_of(self.database.run(lambda connection: connection.execute(update).rowcount))

    def texts(self) -> list[str | None]:
        return self.history(self.budi, WITH_ANA)


class Values(AlteredTestCase):
    def test_each(self) -> None:
        """A message is not shown if any part of it is altered. The other messages are shown."""
        self.send(self.ana, "budi", "satu")
        self.send(self.ana, "budi", "dua")
        result_of(
            self.service.composed.to_place(
                self.budi, WITH_ANA, MessageParts("@ana"), SendOptions(None, reply=1)
            )
        )
        opaque = MessageParts(opaque=Opaque("application/x", b"123"))
        result_of(self.service.composed.to_place(self.ana, WITH_BUDI, opaque, SendOptions(None)))
        self.forward(self.ana, WITH_BUDI, 1, WITH_BUDI)
        file = attach(self, self.ana).id
        row = sa.select(messages).where(messages.c.conversation_id == 1)
        whole = result_of(self.database.read(lambda db: db.execute(row.order_by("seq")).all()))
        self.assertEqual(self.texts(), ["satu", "dua", "@ana", None, "satu"])
        for seq, values in (
            (1, {"text": "sepuluh"}),
            (1, {"text": None, "media": "text/plain", "body": b"sepuluh"}),
            (1, {"sender": "budi"}),
            (1, {"at": 1}),
            (1, {"attachment_id": file}),
            (1, {"forwarded": "citra"}),
            (1, {"mac": None}),
            (1, {"mac": b"12345678"}),
            (1, {"mac": whole[1].mac, "text": "dua"}),
            (3, {"reply": 2}),
            (3, {"mentions": '["budi"]'}),
            (4, {"body": b"124"}),
            (4, {"media": "text/plain"}),
            (5, {"forwarded": "citra"}),
            (5, {"forwarded": None}),
        ):
            with self.subTest(seq=seq, **values):
                self.alters(seq, **values)
                expected = ["satu", "dua", "@ana", None, "satu"]
                expected[seq - 1] = ALTERED
                self.assertEqual(self.texts(), expected)
                before = whole[seq - 1]
                self.alters(seq, **{name: getattr(before, name) for name in values})

    def test_deleted(self) -> None:
        """A deleted message to which somebody adds a text is not shown."""
        self.send(self.ana, "budi", "satu")
        self.change(self.ana, WITH_BUDI, 1, Deletion())
        self.assertEqual(self.texts(), [None])
        self.alters(1, text="sepuluh")
        self.assertEqual(self.texts(), [ALTERED])

    def test_edit(self) -> None:
        """An edited message is protected again."""
        self.send(self.ana, "budi", "satu")
        self.change(self.ana, WITH_BUDI, 1, Edit("dua"))
        self.assertEqual(self.texts(), ["dua"])
        self.alters(1, text="satu")
        self.assertEqual(self.texts(), [ALTERED])
        self.change(self.ana, WITH_BUDI, 1, Edit("satu"))
        self.assertEqual(self.texts(), ["satu"])


class Others(AlteredTestCase):
    """Rows of files, and entries that are no messages."""

    def begin(self) -> None:
        """What is stored before there is a key gets its MAC, too."""
        self.sent = [self.send_file(self.ana)]
        self.change(self.ana, WITH_BUDI, 1, Pin())
        super().begin()
        self.sent.append(self.send_file(self.budi))
        self.change(self.ana, WITH_BUDI, 3, Pin())

    def send_file(self, owner: Account) -> Attachment:
        """Send a file from ana to budi, which counts for `owner`."""
        self.make_direct()
        file: Attachment = attach(self, owner)
        new = NewMessage(1, self.ana.id, "ana", 1, attachment_id=file.id)
        result_of(self.database.batch(self.service.context.writers.messages.store, new))
        return file

    def make_direct(self) -> None:
        result_of(self.service.directs.open(self.ana, [Address("budi")]))

    def does(self, statement: Any) -> None:
        result_of(self.database.run(lambda connection: connection.execute(statement).rowcount))

    def files(self) -> list[tuple[str, str]]:
        shown = result_of(self.service.reading.history(self.budi, WITH_ANA, 9)).messages
        return [(each.file.name, each.file.state) for each in shown if each.file is not None]

    def test_files(self) -> None:
        """A file is lost if its row was altered."""
        table = attachments
        self.assertEqual(self.files(), [("a.txt", "here")] * 2)
        for column, value in (
            ("name", "x.txt"),
            ("sha256", "0" * 64),
            ("size", 1),
            ("code", "abc"),
        ):
            for place, file in enumerate(self.sent):
                where = table.c.id == file.id
                with self.subTest(column=column, place=place):
                    self.does(sa.update(table).where(where).values({column: value}))
                    self.assertEqual(self.files()[place], ("altered", "lost"))
                    before = {column: getattr(file, column)}
                    self.does(sa.update(table).where(where).values(before))
        self.assertEqual(self.files(), [("a.txt", "here")] * 2)
        self.does(sa.delete(file_macs))
        self.assertEqual(self.files(), [("altered", "lost")] * 2)

    def test_changes(self) -> None:
        """An entry that was altered is not verified."""
        for seq in (2, 4):
            for column, value in (("data", '{"on": false}'), ("author", "budi"), ("mac", None)):
                where = (changes.c.conversation_id == 1) & (changes.c.seq == seq)
                [before] = result_of(
                    self.database.read(
                        lambda db, w=where: db.execute(sa.select(changes).where(w)).all()
                    )
                )
                self.does(sa.update(changes).where(where).values({column: value}))
                page = result_of(self.service.sync.one(self.budi, 1, Cursor(), 9))
                marked = [each.seq for each in page.entries if each.unverified]
                self.assertEqual(marked, [seq])
                self.does(sa.update(changes).where(where).values({column: getattr(before, column)}))


class Readers(AlteredTestCase):
    def test_all(self) -> None:
        """An altered message is withheld by every command and event that shows messages."""
        reader = self.follow(self.budi)
        self.send(self.ana, "budi", "satu")
        self.change(self.ana, WITH_BUDI, 1, Edit("dua"))
        self.change(self.ana, WITH_BUDI, 1, Pin())
        self.alters(1, text="sepuluh")
        reading = self.service.reading
        shown: list[Any] = [
            self.history(self.budi, WITH_ANA)[0],
            self.inbox(self.budi)[0],
            result_of(reading.search(self.budi, "sepuluh")).messages[0].text,
            result_of(self.service.changes.pins(self.budi, WITH_ANA))[0].text,
            result_of(self.service.conversations.all(self.budi, {}))[0][0].last.text,
        ]
        entries = result_of(self.service.sync.one(self.budi, 1, Cursor(), 9)).entries
        shown += [each.text for each in entries if isinstance(each, Message | Edited)]
        self.assertEqual(shown, [ALTERED] * 7)
        to = Place(user=Address("citra"))
        self.assertIs(self.forward(self.budi, WITH_ANA, 1, to), errors.MessageWithheld)
        self.service.presence.flush()
        self.assertEqual([each.text for each in reader.heard if isinstance(each, Edited)], ["dua"])

    def test_edit_without_content(self) -> None:
        """The event of an edit without a text has the present text of the message, if that is unaltered."""
        self.send(self.ana, "budi", "satu")
        blank = WantedChange(1, 1, Edit(""), party_of(self.ana), 5, relayed=True)
        for text in ("satu", ALTERED):
            made = result_of(
                self.database.run(self.service.context.writers.changes.make, blank, lambda *_: None)
            )
            self.assertEqual(made.event.text, text)
            self.alters(1, text="sepuluh")


class Older(AlteredTestCase):
    def begin(self) -> None:
        """Without a key, as in a database of an older version."""

    def test_protected_at_the_start(self) -> None:
        self.patch(macs, "PAGE", 2)
        for text in ("satu", "dua", "tiga"):
            self.send(self.ana, "budi", text)
        self.change(self.ana, WITH_BUDI, 3, Deletion())
        self.alters(1, text="sepuluh")
        for _ in range(2):
            super().begin()
            self.assertEqual(self.texts(), ["sepuluh", "dua", None])
            self.alters(2, text="duapuluh")
            self.assertEqual(self.texts(), ["sepuluh", ALTERED, None])
            self.alters(2, text="dua")

    def test_lost_key(self) -> None:
        """If the key is lost, the next start makes another one."""
        super().begin()
        self.send(self.ana, "budi", "satu")
        lose = sa.delete(settings).where(settings.c.name == macs._KEY)
        result_of(self.database.run(lambda connection: connection.execute(lose).rowcount))
        self.reopen()
        super().begin()
        self.assertEqual(self.texts(), ["satu"])


class Waiting(LinkedTestCase):
    """Messages that wait for another realm."""

    def setUp(self) -> None:
        super().setUp()
        macs.report_altered.cache_clear()

    def test_parcels(self) -> None:
        """The other realm gets the parcels that are as they were stored. The sender is told of the others."""
        self.part()
        for text in ("satu", "dua", "tiga"):
            self.ana.sends("budi@realm2", text)

        def alter(connection: sa.Connection) -> None:
            for row in connection.execute(sa.select(outbox)).all():
                data = row.parcel.replace(b"dua", b"lima").replace(b"\xa3lima", b"\xa4lima")
                here = (outbox.c.realm == row.realm) & (outbox.c.id == row.id)
                connection.execute(sa.update(outbox).where(here).values(parcel=data))

        self.one.realm.database.now(alter)
        self.one.restart()
        self.meet()
        self.network.advance(5)
        self.assertEqual(self.budi.reads(), ["ana@realm1: satu", "ana@realm1: tiga"])
        place = Place(user=Address("budi", "realm2"))
        states = [each.state for each in self.ana.does(ask.ShowHistory(place, 9)).items]
        self.assertEqual(states, ["delivered", "refused", "delivered"])
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_posts(self) -> None:
        """A message that its group's home has not numbered."""
        self.budi.creates("bagan")
        self.ana.joins("bagan@realm2")
        self.part()
        for text in ("satu", "dua"):
            self.ana.posts("bagan@realm2", text)
        update = sa.update(pending).where(pending.c.text == "dua").values(text="lima")
        self.one.realm.database.now(lambda db: db.execute(update).rowcount)
        place = Place(group=Address("bagan", "realm2"))
        shown = self.ana.does(ask.ShowHistory(place, 9)).pending
        self.assertEqual([each.text for each in shown], ["satu", ALTERED])
        for limit, texts in ((9, [["satu"]]), (1, [["satu"], [], []])):
            pages = self.one.realm.database.now(lambda db, n=limit: unreturned_pages(db, n))
            self.assertEqual([[each.text for each in page.posts] for page in pages], texts)


def unreturned_pages(connection: sa.Connection, limit: int) -> list[UnreturnedPage]:
    """The posts to realm2 in pages, as if it had acknowledged them."""
    connection.execute(sa.delete(outbox))
    pages = [unreturned(connection, "realm2", 0, limit)]
    while pages[-1].upto is not None:
        pages.append(unreturned(connection, "realm2", pages[-1].upto, limit))
    connection.rollback()
    return pages


class Restored(RestoredTestCase):
    def test_not_returned(self) -> None:
        """Altered messages are not sent to a realm that has lost them, whichever of the two realms they are
        from."""
        copy = self.back_up(self.one)
        self.ana.sends("budi@realm2", "satu")
        self.budi.sends("ana@realm1", "dua")
        for text in ("tiga", "empat"):
            self.ana.sends("budi@realm2", text)
        self.ana.does(ask.EditMessage(Place(user=Address("budi", "realm2")), 4, "lima"))
        update = sa.update(messages).where(messages.c.text.in_(("satu", "dua", "lima")))
        self.two.realm.database.now(lambda db: db.execute(update.values(text="sepuluh")).rowcount)
        self.restore(self.one, copy)
        self.assertEqual(self.ana.history("budi@realm2"), ["ana: tiga"])
