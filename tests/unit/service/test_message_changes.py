"""Edits, deletions, reactions and pins: what they change, who may make them, and how many there may be."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgspec
import sqlalchemy as sa
from twisted.internet.defer import Deferred

from chatd.base import errors, events
from chatd.base.attachments import StoredFile
from chatd.base.entries import Deletion, Edit, MessageChange, Pin, React
from chatd.base.model import Account, EmojiReactions, Message, Party
from chatd.base.names import Address, Place
from chatd.service.erased_files import ErasedFiles
from chatd.service.message_changes import ChangeReceipt
from chatd.store import change_checks as limits
from chatd.store import files as file_store
from chatd.store.details import MAX_NAMED
from chatd.store.files import Owner
from chatd.store.message_changes import WantedChange
from chatd.store.new_entries import NewMessage
from chatd.store.schema import (
    attachments,
    changes,
    erased_files,
    messages,
    pins,
    reaction_counts,
    reactions,
)
from chatd.store.sync import Cursor
from tests.support.common import RealmTestCase
from tests.support.engines import only_sqlite
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_messages import MessagesTestCase, Reader

WITH_BUDI = Place(user=Address("budi"))
WITH_ANA = Place(user=Address("ana"))
BAGAN = Place(group=Address("bagan"))
LIKE = React("👍")


class ChangesTestCase(MessagesTestCase):
    def changing(
        self, who: Account, where: Place | int, seq: int, change: MessageChange, origin: Any = None
    ) -> Deferred[ChangeReceipt]:
        changing = self.service.changes.change(who, where, seq, change, origin)
        return Deferred.fromCoroutine(changing)

    def change(self, who: Account, where: Place | int, seq: int, change: MessageChange) -> int:
        """Make a change, and return the number of its entry."""
        receipt: ChangeReceipt = result_of(self.changing(who, where, seq, change))
        return receipt.seq

    def refusal(self, who: Account, where: Place | int, seq: int, change: MessageChange) -> Any:
        return outcome_of(self.changing(who, where, seq, change))

    def shown(self, who: Account, where: Place | int) -> list[Message]:
        found: list[Message] = result_of(self.reading.history(who, where, 500)).messages
        return found

    def follow(self, who: Account) -> Reader:
        listener = self.listen(who)
        self.service.presence.listen(who.id, listener, on=True, all_events=True)
        return listener

    def kinds(self) -> list[str]:
        query = (
            sa.select(changes.c.kind)
            .where(changes.c.kind != "member")
            .order_by(changes.c.conversation_id, changes.c.seq)
        )
        found: list[str] = result_of(self.database.read(lambda db: list(db.scalars(query))))
        return found


class Edits(ChangesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.send(self.ana, "budi", "helo")

    def test_text(self) -> None:
        """The message has the new text and the time; the entry has no text of its own."""
        self.clock.advance(5)
        self.assertEqual(self.change(self.ana, WITH_BUDI, 1, Edit("hello")), 2)
        (message,) = self.shown(self.budi, WITH_ANA)
        self.assertEqual((message.text, message.edited), ("hello", 1_000_005_000))
        query = sa.select(changes.c.data)
        self.assertEqual(result_of(self.database.read(lambda db: db.scalars(query).all())), [None])

    def test_same_text(self) -> None:
        self.assertEqual(self.change(self.ana, WITH_BUDI, 1, Edit("helo")), 0)
        self.assertEqual(self.kinds(), [])

    def test_events(self) -> None:
        """All connections that listen for all events are told, except the one that made the change."""
        reader, own, causing = self.follow(self.budi), self.follow(self.ana), self.follow(self.ana)
        basic = self.listen(self.budi)
        result_of(self.changing(self.ana, WITH_BUDI, 1, Edit("hello"), causing))
        self.service.presence.flush()
        edited = events.Edited(1, 2, 1, "hello", 1_000_000_000, "ana")
        self.assertEqual((reader.heard, own.heard), ([edited], [edited]))
        self.assertEqual((causing.heard, basic.heard), ([], []))

    def test_only_the_author(self) -> None:
        for who, where, expected in (
            (self.budi, WITH_ANA, errors.NotYours),
            (self.citra, 1, errors.UnknownConversation),
        ):
            self.assertIs(self.refusal(who, where, 1, Edit("bye")), expected)

    def test_unknown(self) -> None:
        self.assertIs(self.refusal(self.ana, WITH_BUDI, 2, Edit("x")), errors.UnknownMessage)
        citra = Place(user=Address("citra"))
        self.assertIs(self.refusal(self.ana, citra, 1, Edit("x")), errors.UnknownMessage)

    def test_file(self) -> None:
        """A file has no text to edit."""
        ident = attach(self, self.ana).id
        result_of(
            self.database.batch(
                self.service.context.writers.messages.store,
                NewMessage(1, self.ana.id, "ana", 1, attachment_id=ident),
            )
        )
        self.assertIs(self.refusal(self.ana, WITH_BUDI, 2, Edit("x")), errors.NotEditable)

    def test_mentions(self) -> None:
        """Names of people who take part are kept; `@all` only if an admin writes it."""
        self.group(self.ana, self.budi)
        self.post(self.ana, "bagan", "x")
        self.post(self.budi, "bagan", "x")
        text = "@budi, @BUDI @citra a@budi @all!"
        self.change(self.ana, BAGAN, 3, Edit(text))
        self.change(self.budi, BAGAN, 4, Edit(text))
        first, second = self.shown(self.ana, BAGAN)
        self.assertEqual((first.mentions, second.mentions), (("@all", "Budi"), ("Budi",)))

    def test_mentions_are_told(self) -> None:
        """By the event, the entry and the reply."""
        reader = self.follow(self.budi)
        edited = events.Edited(1, 0, 1, None, 1_000_000_000, "ana")
        for text, expected in (("hi @budi", ("Budi",)), ("hi", ())):
            receipt = result_of(self.changing(self.ana, WITH_BUDI, 1, Edit(text)))
            self.assertEqual(receipt.mentions, expected)
            self.service.presence.flush()
            synced = result_of(self.service.sync.one(self.budi, 1, Cursor(1), 100))
            told = msgspec.structs.replace(edited, seq=receipt.seq, text=text, mentions=expected)
            self.assertEqual([reader.heard[-1], synced.entries[-1]], [told, told])


def attach(test: ChangesTestCase, owner: Account) -> Any:
    """The row of a file without bytes."""
    arrived = StoredFile(f"stored-{owner.name}", 5, "00", "text/plain")
    return result_of(
        test.database.run(
            file_store.add_attachment, Owner(owner.id), f"code{owner.id}", "a.txt", arrived, 1, 100
        )
    )


class Deletions(ChangesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.removed: list[str] = []
        self.patch(ErasedFiles, "remove", lambda _, stored: self.removed.extend(stored))

    def test_nothing_is_left(self) -> None:
        self.send(self.ana, "budi", "secret")
        self.change(self.budi, WITH_ANA, 1, LIKE)
        self.change(self.budi, WITH_ANA, 1, Pin())
        self.change(self.ana, WITH_BUDI, 1, Deletion())
        (message,) = self.shown(self.budi, WITH_ANA)
        self.assertTrue(message.deleted)
        self.assertEqual((message.text, message.reactions, message.pinned), (None, (), False))
        for table in (reactions, reaction_counts, pins):
            query = sa.select(sa.func.count()).select_from(table)
            self.assertEqual(result_of(self.database.read(lambda db, q=query: db.scalar(q))), 0)

    @only_sqlite("the files")
    def test_bytes(self) -> None:
        """After a checkpoint, neither the text nor any earlier one is in the files of the database."""
        words = ["zebra-in-a-short-text", f"giraffe-in-a-long-text {'x' * 8000}"]
        for number in range(40):
            self.send(self.ana, "budi", f"between {number}")
            self.send(self.ana, "budi", words[number % 2])
        for seq in range(2, 81, 2):
            self.change(self.ana, WITH_BUDI, seq, Edit(f"antelope {'y' * (seq * 100)}"))
        for seq in range(2, 81, 2):
            self.change(self.ana, WITH_BUDI, seq, Deletion())
        self.database.stop()
        found = b"".join(path.read_bytes() for path in self.folder.rglob("chatd.db*"))
        self.assertIn(b"between 39", found)
        for word in (b"zebra", b"giraffe", b"antelope"):
            self.assertNotIn(word, found)
        self.open()

    def test_again(self) -> None:
        self.send(self.ana, "budi", "secret")
        self.assertEqual(self.change(self.ana, WITH_BUDI, 1, Deletion()), 2)
        self.assertEqual(self.change(self.ana, WITH_BUDI, 1, Deletion()), 0)
        for change in (Edit("x"), LIKE, Pin()):
            self.assertIs(self.refusal(self.ana, WITH_BUDI, 1, change), errors.MessageDeleted)

    def test_admin(self) -> None:
        """An admin deletes any message of the group, and a moderator of the realm; another member does
        not."""
        self.group(self.ana, self.budi, self.citra)
        self.post(self.budi, "bagan", "x")
        self.assertIs(self.refusal(self.citra, BAGAN, 4, Deletion()), errors.NotYours)
        self.assertEqual(self.change(self.ana, BAGAN, 4, Deletion()), 5)

    def test_file(self) -> None:
        """The file goes with the last message that carries it, and its quota is free again. Until then it
        counts for somebody who sends it."""
        self.send(self.ana, "budi", "x")
        ident = attach(self, self.ana).id
        store = self.service.context.writers.messages.store
        for sender in (self.ana, self.budi):
            new = NewMessage(1, sender.id, sender.name, 1, attachment_id=ident)
            result_of(self.database.batch(store, new))
        self.change(self.ana, WITH_BUDI, 2, Deletion())
        self.assertEqual(self.removed, [])
        self.assertEqual(self.used(self.ana), 0)
        self.assertEqual(self.used(self.budi), 5)
        self.change(self.budi, WITH_ANA, 3, Deletion())
        self.assertEqual(self.removed, ["stored-ana"])
        self.assertEqual(self.used(self.budi), 0)
        query = sa.select(sa.func.count()).select_from(attachments)
        self.assertEqual(result_of(self.database.read(lambda db: db.scalar(query))), 0)

    def used(self, account: Account) -> int:
        found: int = result_of(self.database.read(file_store.used_bytes, Owner(account.id)))
        return found


class Reactions(ChangesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ident = self.group(self.ana, self.budi)
        self.post(self.ana, "bagan", "x")

    def reactions(self) -> tuple[EmojiReactions, ...]:
        return self.shown(self.ana, BAGAN)[0].reactions

    def test_on_and_off(self) -> None:
        self.change(self.budi, BAGAN, 3, LIKE)
        self.clock.advance(1)
        self.change(self.ana, BAGAN, 3, LIKE)
        self.assertEqual(self.change(self.ana, BAGAN, 3, LIKE), 0)
        self.assertEqual(self.reactions(), (EmojiReactions("👍", ("Budi", "ana"), 2),))
        self.change(self.budi, BAGAN, 3, React("👍", on=False))
        self.change(self.ana, BAGAN, 3, React("👍", on=False))
        self.assertEqual(self.change(self.ana, BAGAN, 3, React("👍", on=False)), 0)
        self.assertEqual(self.reactions(), ())
        self.assertEqual(self.kinds(), ["reaction"] * 4)

    def test_spellings(self) -> None:
        self.change(self.ana, BAGAN, 3, React("❤"))
        self.change(self.budi, BAGAN, 3, React("❤️"))
        self.assertEqual(self.reactions(), (EmojiReactions("❤", ("ana", "Budi"), 2),))

    def test_different_ones(self) -> None:
        for number in range(limits.MAX_EMOJIS):
            self.change(self.ana, BAGAN, 3, React(chr(0x1F600 + number)))
        refused = self.refusal(self.budi, BAGAN, 3, React("👍"))
        self.assertIs(refused, errors.TooManyReactions)
        self.change(self.budi, BAGAN, 3, React("😀"))

    def test_thousands(self) -> None:
        """Of many people some are named, oneself always, and all are counted."""

        def fill(connection: sa.Connection) -> None:
            row = {"conversation_id": self.ident, "seq": 3, "emoji": "👍", "at": 1}
            rows = [{**row, "key": f"u{n:05}", "address": f"u{n:05}"} for n in range(10_000)]
            connection.execute(sa.insert(reactions), rows)
            connection.execute(sa.insert(reaction_counts).values(**row, count=10_000))

        result_of(self.database.run(fill))
        (found,) = self.reactions()
        self.assertEqual((len(found.people), found.count), (MAX_NAMED, 10_000))
        result_of(
            self.database.run(
                self.service.context.writers.changes.make,
                WantedChange(self.ident, 3, LIKE, Party("zoe", "zoe"), 2, relayed=True),
                lambda _db, _made: None,
            )
        )
        self.change(self.ana, BAGAN, 3, LIKE)
        (found,) = self.reactions()
        self.assertEqual((len(found.people), found.count), (MAX_NAMED, 10_002))
        self.assertIn("ana", found.people)

    def test_former_member(self) -> None:
        result_of(self.service.groups.leave(self.budi, Address("bagan")))
        self.assertIs(self.refusal(self.budi, BAGAN, 3, LIKE), errors.NotMember)
        self.assertIs(self.refusal(self.budi, self.ident, 1, LIKE), errors.UnknownConversation)


class Pins(ChangesTestCase):
    def test_both_sides(self) -> None:
        self.send(self.ana, "budi", "x")
        self.change(self.budi, WITH_ANA, 1, Pin())
        self.assertEqual(self.change(self.ana, WITH_BUDI, 1, Pin()), 0)
        (pinned,) = result_of(self.service.changes.pins(self.ana, WITH_BUDI))
        self.assertTrue(pinned.pinned)
        self.change(self.ana, WITH_BUDI, 1, Pin(on=False))
        self.assertEqual(result_of(self.service.changes.pins(self.ana, WITH_BUDI)), [])

    def test_admins(self) -> None:
        self.group(self.ana, self.budi)
        self.post(self.budi, "bagan", "x")
        self.assertIs(self.refusal(self.budi, BAGAN, 3, Pin()), errors.NotAdmin)
        self.change(self.ana, BAGAN, 3, Pin())

    def test_limit(self) -> None:
        for _ in range(limits.MAX_PINS + 1):
            self.send(self.ana, "budi", "x")
        for seq in range(1, limits.MAX_PINS + 1):
            self.change(self.ana, WITH_BUDI, seq, Pin())
        refused = self.refusal(self.ana, WITH_BUDI, limits.MAX_PINS + 1, Pin())
        self.assertIs(refused, errors.TooManyPins)


class Numbers(ChangesTestCase):
    def test_one_numbering(self) -> None:
        """Messages and changes share the numbers of their conversation, also after a restart."""
        self.send(self.ana, "budi", "a")
        self.assertEqual(self.change(self.ana, WITH_BUDI, 1, Edit("b")), 2)
        self.reopen()
        self.assertEqual(self.send(self.ana, "budi", "c").receipts[0].seq, 3)
        self.assertEqual(self.change(self.ana, WITH_BUDI, 3, LIKE), 4)
        query = sa.select(messages.c.seq).order_by(messages.c.seq)
        self.assertEqual(result_of(self.database.read(lambda db: list(db.scalars(query)))), [1, 3])

    def test_quota(self) -> None:
        """An edit counts as a message of its size."""
        self.send(self.ana, "budi", "a")
        used = self.service.quotas._used
        before = used[self.ana.id]
        self.change(self.ana, WITH_BUDI, 1, Edit("x" * 5000))
        self.assertEqual(used[self.ana.id] - before, 5000)
        refused = self.refusal(self.budi, WITH_ANA, 1, Edit("x" * 5000))
        self.assertIs(refused, errors.NotYours)
        self.assertEqual(used.get(self.budi.id, 0), 0)

    def test_deletion_on_a_full_disk(self) -> None:
        """A full disk does not keep people from deleting."""
        self.send(self.ana, "budi", "a")
        disk = self.service.disk
        self.patch(disk, "low", True)
        self.patch(disk, "check", mock.Mock(side_effect=errors.DiskFull))
        self.assertIs(self.refusal(self.ana, WITH_BUDI, 1, Edit("b")), errors.DiskFull)
        self.change(self.ana, WITH_BUDI, 1, Deletion())
        (message,) = self.shown(self.budi, WITH_ANA)
        self.assertTrue(message.deleted)


class Erasing(RealmTestCase):
    async def test_after_a_crash(self) -> None:
        """A file of a deleted message that a crash has left is removed at the next start, not set aside."""
        left = self.realm.state.uploads / "left.txt"
        left.write_bytes(b"secret")

        def note(connection: sa.Connection) -> None:
            connection.execute(sa.insert(erased_files).values(stored="left.txt"))

        await self.realm.database.run(note)
        await self.reopen()
        self.assertFalse(left.exists())
        self.assertFalse((left.parent / "unclaimed").exists())
        query = sa.select(sa.func.count()).select_from(erased_files)
        self.assertEqual(await self.realm.database.read(lambda db: db.scalar(query)), 0)
