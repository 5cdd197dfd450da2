"""Messages and files are removed when they are too old or too many, a few at a time."""

from __future__ import annotations

from typing import Any
from unittest import mock

import sqlalchemy as sa

from chatd.base.errors import StorageFailed
from chatd.base.names import Place, parse_group
from chatd.service import retention as module
from chatd.service.retention import AFTER_FAILURE, EVERY, FIRST
from chatd.store import retention as store
from chatd.store.files import Owner, used_bytes
from chatd.store.managed_accounts import facts_of
from chatd.store.retention import REALM, RetentionLimits
from chatd.store.schema import (
    arrivals,
    attachments,
    erased_files,
    messages,
    outbox,
    reactions,
    retention_marks,
    search_changes,
)
from chatd.store.statistics import count_all
from tests.support.inline import result_of
from tests.support.query_plans import plans
from tests.unit.service.test_messages import BUDI, MessagesTestCase

DAY = 24 * 3600.0
GROUP = Place(None, parse_group("bagan"))


class FakeErasedFiles:
    def __init__(self) -> None:
        self.names: list[str] = []

    def remove(self, stored: Any) -> None:
        self.names += stored


class RetentionTestCase(MessagesTestCase):
    def open(self) -> None:
        super().open()
        self.erased = FakeErasedFiles()
        self.retention = self.service.retention
        self.patch(self.retention, "_erased", self.erased)

    def limit(self, conversation: int = REALM, **limits: int) -> None:
        self.run_job(store.put_limits, conversation, RetentionLimits(**limits))

    def run_job(self, job: Any, *args: Any) -> Any:
        return result_of(self.database.run(job, *args))

    def count(self, table: sa.Table, *where: Any) -> int:
        query = sa.select(sa.func.count()).select_from(table).where(*where)
        return int(self.run_job(lambda db: db.scalar(query)))

    def look(self) -> None:
        """Let the job look at everything."""
        self.service.context.work.start()
        self.retention.changed()
        for _ in range(500):
            self.clock.advance(0.05)

    def unseen(self) -> list[int]:
        """The conversations that have messages which the job has not looked at."""
        now = int(self.clock.seconds() * 1000)
        found: list[int] = self.run_job(store.conversations_after, 0, 100, now, now)[0]
        return found

    def add_file(self, place: tuple[int, int], size: int = 100) -> str:
        """Give a message a file. Returns its name."""
        conversation, seq = place
        name = f"file-{conversation}-{seq}"
        fields = {each: f"{each}-{name}" for each in ("code", "name", "sha256", "mime")}
        now = int(self.clock.seconds() * 1000)
        row = {**fields, "stored": name, "size": size, "owner_id": self.ana.id, "created_at": now}

        def add(db: Any) -> None:
            file = db.execute(sa.insert(attachments).values(row)).inserted_primary_key[0]
            here = (messages.c.conversation_id == conversation) & (messages.c.seq == seq)
            db.execute(sa.update(messages).where(here).values(attachment_id=file))

        self.run_job(add)
        return name

    def said(self, text: str, to: str = "budi") -> tuple[int, int]:
        receipt = self.send(self.ana, to, text).receipts[0]
        return receipt.conversation, receipt.seq


class ByAge(RetentionTestCase):
    def test_old_ones_lose_their_content(self) -> None:
        conversation, _ = self.said("satu")
        self.said("dua")
        self.clock.advance(10 * DAY)
        self.said("tiga")
        self.limit(age=int(5 * DAY * 1000))
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), [None, None, "tiga"])
        self.assertEqual(self.count(messages, messages.c.deleted_at.is_not(None)), 2)
        self.assertEqual(self.count(search_changes, search_changes.c.seq <= 2), 2)
        self.assertEqual(self.said("empat"), (conversation, 4))
        self.assertEqual(self.inbox(self.budi), ["tiga", "empat"])

    def test_without_limits(self) -> None:
        self.said("satu")
        self.clock.advance(1000 * DAY)
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), ["satu"])

    def test_reactions_go_too(self) -> None:
        conversation, seq = self.said("satu")
        row = {
            "conversation_id": conversation,
            "seq": seq,
            "emoji": "x",
            "key": "b",
            "address": "b",
            "at": 1,
        }
        self.run_job(lambda db: db.execute(sa.insert(reactions).values(row)))
        self.clock.advance(10 * DAY)
        self.limit(age=int(5 * DAY * 1000))
        self.look()
        self.assertEqual(self.count(reactions), 0)

    def test_many_in_steps(self) -> None:
        for number in range(7):
            self.said(str(number))
        self.clock.advance(10 * DAY)
        self.patch(module, "STEP", 2)
        self.limit(age=int(5 * DAY * 1000))
        steps = []
        real = store.remove_messages

        def counted(*args: Any) -> Any:
            steps.append(args)
            return real(*args)

        with mock.patch.object(store, "remove_messages", counted):
            self.look()
        self.assertEqual(len(steps), 4)
        self.assertEqual(self.history(self.ana, BUDI), [None] * 7)

    def test_young_ones_stay_whatever_is_set(self) -> None:
        self.said("satu")
        self.limit(age=1000, size=1)
        self.clock.advance(3600)
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), ["satu"])

    def test_again_every_hour(self) -> None:
        self.limit(age=int(5 * DAY * 1000))
        self.said("satu")
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), ["satu"])
        self.clock.advance(5 * DAY)
        self.clock.advance(EVERY)
        self.clock.advance(1)
        self.assertEqual(self.history(self.ana, BUDI), [None])

    def test_group_with_limits_of_its_own(self) -> None:
        """A group keeps messages for longer, forever, or not as long as the realm."""
        forever, short = self.group(self.ana, self.budi), self.group(self.ana, name="hijau")
        self.post(self.ana, "bagan", "satu")
        self.post(self.ana, "hijau", "dua")
        self.said("tiga")
        self.clock.advance(10 * DAY)
        self.limit(age=int(20 * DAY * 1000))
        self.limit(forever, age=0)
        self.limit(short, age=int(5 * DAY * 1000))
        self.look()
        green = Place(None, parse_group("hijau"))
        self.assertEqual(self.history(self.ana, green), [None])
        self.assertEqual(self.history(self.ana, BUDI), ["tiga"])
        self.clock.advance(100 * DAY)
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), [None])
        self.assertEqual(self.history(self.ana, GROUP), ["satu"])
        found = [(each.scope, each.age) for each in self.run_job(store.list_limits)]
        self.assertEqual(found, [("realm", "20d"), ("#bagan", "forever"), ("#hijau", "5d")])

    def test_limits_of_a_group_look_at_no_others_again(self) -> None:
        """A realm may have very many conversations."""
        group = self.group(self.ana)
        self.said("satu")
        self.post(self.ana, "bagan", "dua")
        self.clock.advance(10 * DAY)
        self.limit(age=int(5 * DAY * 1000))
        self.look()
        self.run_job(store.put_limits, group, RetentionLimits(age=0))
        looked_at = sa.select(retention_marks.c.conversation_id).where(retention_marks.c.seq > 0)
        found = self.run_job(lambda db: db.scalars(looked_at).all())
        self.assertEqual(len(found), 1)
        self.assertNotIn(group, found)

    def test_shorter_time_looks_at_all_again(self) -> None:
        self.said("satu")
        self.clock.advance(10 * DAY)
        self.said("dua")
        self.limit(age=int(9 * DAY * 1000))
        self.look()
        self.clock.advance(3 * DAY)
        self.limit(age=int(2 * DAY * 1000))
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), [None, None])
        self.limit()
        self.assertEqual(self.run_job(store.read_limits), {})

    def test_change_updates_no_marks(self) -> None:
        """A realm may have very many conversations, and sends wait for the transaction."""
        self.limit(age=int(5 * DAY * 1000))
        for to in ("budi", "citra"):
            self.said("satu", to)
        self.clock.advance(10 * DAY)
        self.look()
        before = self.marks()
        self.assertEqual(([row.seq for row in before], self.unseen()), ([1, 1], []))
        self.limit(age=int(4 * DAY * 1000))
        self.assertEqual(self.marks(), before)
        self.assertEqual(self.unseen(), [row.conversation_id for row in before])
        self.said("dua")
        self.retention.stop()
        self.clock.advance(10 * DAY)
        self.reopen()
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), [None, None])

    def marks(self) -> list[Any]:
        everything = sa.select(retention_marks).order_by(retention_marks.c.conversation_id)
        found: list[Any] = self.run_job(lambda db: db.execute(everything).all())
        return found


class Clocks(RetentionTestCase):
    def set_forward(self, seconds: float) -> None:
        """Let the wall clock be wrong from now on."""
        self.patch(self.service.context, "wall", lambda: self.clock.seconds() + seconds)

    def test_clock_set_forward(self) -> None:
        """A wrong date removes nothing, unless it stays for a day."""
        self.said("satu")
        self.limit(age=int(5 * DAY * 1000))
        self.look()
        self.set_forward(1000 * DAY)
        self.look()
        self.clock.advance(DAY / 2)
        self.look()
        self.set_forward(0)
        self.look()
        self.set_forward(1000 * DAY)
        self.look()
        self.clock.advance(DAY / 2)
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), ["satu"])
        self.clock.advance(DAY / 2)
        self.look()
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), [None])

    def test_laptop_that_sleeps_each_night(self) -> None:
        """Its monotonic clock stands still meanwhile."""
        self.said("satu")
        self.limit(age=int(5 * DAY * 1000))
        self.look()
        for night in range(1, 10):
            self.set_forward(night * DAY / 2)
            self.clock.advance(DAY / 2)
            self.look()
        self.assertEqual(self.history(self.ana, BUDI), [None])

    def test_messages_from_the_future(self) -> None:
        """Messages that were written while the date was wrong are as old as those around them."""
        self.patch(module, "STEP", 3)
        self.said("satu")
        for number in range(5):
            conversation, _ = self.said(str(number))
        later = sa.update(messages).where(messages.c.seq > 1).values(at=10**15)
        self.run_job(lambda db: db.execute(later))
        self.said("dua")
        self.clock.advance(10 * DAY)
        self.said("tiga")
        future = self.said("empat")
        here = (messages.c.conversation_id == conversation) & (messages.c.seq == future[1])
        self.run_job(lambda db: db.execute(sa.update(messages).where(here).values(at=10**15)))
        self.limit(age=int(5 * DAY * 1000))
        self.look()
        altered = self.history(self.ana, BUDI)
        self.assertEqual(altered[:7], [None] * 7)
        self.assertEqual(altered[7], "tiga")
        self.assertIsNotNone(altered[8])


class Files(RetentionTestCase):
    def test_file_goes_and_message_stays(self) -> None:
        name = self.add_file(self.said("a"))
        self.clock.advance(10 * DAY)
        young = self.add_file(self.said("b"))
        self.limit(file_age=int(5 * DAY * 1000))
        self.look()
        self.assertEqual(self.erased.names, [name])
        self.assertEqual(self.count(arrivals, arrivals.c.lost == "file-removed"), 1)
        self.assertEqual(self.count(erased_files), 1)
        old, new = result_of(self.reading.history(self.ana, BUDI, 5)).messages
        self.assertEqual((old.file.arrival, new.file.arrival), ("file-removed", None))
        self.assertEqual(new.file.stored, young)
        used = self.run_job(used_bytes, Owner(self.ana.id))
        self.assertEqual(used, 100, "a removed file counts no more")
        facts = self.run_job(facts_of, self.ana, 0)
        self.assertEqual((facts.files, facts.size), (1, 100))
        counts = self.run_job(count_all, 0)
        self.assertEqual((counts["files"], counts["size"]), (1, 100))

    def test_message_with_its_file(self) -> None:
        name = self.add_file(self.said("a"))
        self.clock.advance(10 * DAY)
        self.limit(age=int(5 * DAY * 1000))
        self.look()
        self.assertEqual(self.erased.names, [name])
        self.assertEqual(self.count(attachments), 0)

    def test_file_that_a_newer_message_carries(self) -> None:
        self.add_file(self.said("a"))
        self.clock.advance(10 * DAY)
        conversation, seq = self.said("b", "citra")
        here = (messages.c.conversation_id == conversation) & (messages.c.seq == seq)
        file = sa.select(attachments.c.id).scalar_subquery()
        self.run_job(
            lambda db: db.execute(sa.update(messages).where(here).values(attachment_id=file))
        )
        self.limit(file_age=int(5 * DAY * 1000))
        self.look()
        self.assertEqual(self.erased.names, [])

    def test_file_on_its_way(self) -> None:
        self.add_file(self.said("a"))
        file = self.run_job(lambda db: db.scalar(sa.select(attachments.c.id)))
        waits = {"realm": "realm2", "id": 5, "created_at": 10, "parcel": b"", "attachment_id": file}
        self.run_job(lambda db: db.execute(sa.insert(outbox).values(waits)))
        self.clock.advance(10 * DAY)
        self.limit(file_age=int(5 * DAY * 1000))
        self.look()
        self.assertEqual(self.erased.names, [])
        self.run_job(lambda db: db.execute(sa.delete(outbox)))
        self.look()
        self.assertEqual(len(self.erased.names), 1, "it was removed once it had reached the realm")

    def test_only_the_files_are_read(self) -> None:
        """A group has far more messages than files."""
        conversation, _ = self.said("a")

        def remove() -> None:
            self.run_job(store.remove_files, conversation, 10**15, 10**15, 40)

        found = plans(self.database._engine, remove, "messages")
        self.assertIn("COVERING INDEX messages_by_file (conversation_id=? AND seq>?)", found[0])

    def test_lost_file(self) -> None:
        self.add_file(self.said("a"))
        file = self.run_job(lambda db: db.scalar(sa.select(attachments.c.id)))
        lost = {"attachment_id": file, "realm": "realm2", "heard_at": 1, "lost": "file-gone"}
        self.run_job(lambda db: db.execute(sa.insert(arrivals).values(lost)))
        self.clock.advance(10 * DAY)
        self.limit(file_age=int(5 * DAY * 1000))
        self.look()
        self.assertEqual(self.erased.names, [])


class BySize(RetentionTestCase):
    def test_oldest_messages_go(self) -> None:
        self.said("a" * 100)
        self.clock.advance(2 * DAY)
        self.said("b" * 100)
        self.clock.advance(2 * DAY)
        self.said("c" * 100)
        self.clock.advance(2 * DAY)
        self.limit(size=250)
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), [None, "b" * 100, "c" * 100])

    def test_bytes_not_letters(self) -> None:
        self.said("é" * 100)
        self.clock.advance(2 * DAY)
        self.said("b" * 100)
        self.clock.advance(2 * DAY)
        self.limit(size=250)
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), [None, "b" * 100])

    def test_oldest_files_of_a_group_go(self) -> None:
        group = self.group(self.ana)
        for _ in range(3):
            receipt = self.post(self.ana, "bagan", "x").receipts[0]
            self.add_file((receipt.conversation, receipt.seq))
            self.clock.advance(2 * DAY)
        other = self.add_file(self.said("y"), 1000)
        self.clock.advance(2 * DAY)
        self.limit(group, file_size=250)
        self.look()
        self.assertEqual(len(self.erased.names), 1)
        self.assertNotIn(other, self.erased.names)


class Trouble(RetentionTestCase):
    def test_one_conversation_fails(self) -> None:
        """The others are still looked at."""
        first, _ = self.said("satu", "citra")
        self.said("dua")
        self.clock.advance(10 * DAY)
        self.limit(age=int(5 * DAY * 1000))
        real = store.remove_messages

        def broken(db: Any, conversation: int, *args: Any) -> Any:
            if conversation == first:
                raise RuntimeError("broken")
            return real(db, conversation, *args)

        with mock.patch.object(store, "remove_messages", broken):
            self.look()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.history(self.ana, BUDI), [None])

    def test_full_disk(self) -> None:
        """The job tries again later."""
        self.said("satu")
        self.clock.advance(10 * DAY)
        self.limit(age=int(5 * DAY * 1000))
        with mock.patch.object(store, "remove_messages", side_effect=StorageFailed()):
            self.look()
        self.assertEqual(self.history(self.ana, BUDI), ["satu"])
        self.clock.advance(AFTER_FAILURE)
        self.clock.advance(1)
        self.assertEqual(self.history(self.ana, BUDI), [None])

    def test_unexpected_failure(self) -> None:
        self.limit(age=int(5 * DAY * 1000))
        with mock.patch.object(store, "read_limits", side_effect=RuntimeError("broken")):
            self.look()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.said("satu")
        self.clock.advance(10 * DAY)
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), [None], "it goes on")

    def test_stops_between_two_steps(self) -> None:
        for number in range(4):
            self.said(str(number))
        self.clock.advance(10 * DAY)
        self.patch(module, "STEP", 2)
        self.limit(age=int(5 * DAY * 1000))
        self.service.context.work.start()
        self.clock.advance(FIRST)
        stopped = self.retention.stop()
        self.assertTrue(stopped.called)
        self.assertEqual(self.history(self.ana, BUDI), [None, None, "2", "3"])
        self.reopen()
        self.look()
        self.assertEqual(self.history(self.ana, BUDI), [None] * 4)

    def test_change_while_it_works(self) -> None:
        for number in range(4):
            self.said(str(number))
        self.clock.advance(10 * DAY)
        self.patch(module, "STEP", 2)
        self.limit(age=int(5 * DAY * 1000))
        self.service.context.work.start()
        self.clock.advance(FIRST)
        self.limit()
        self.retention.changed()
        self.clock.advance(0.1)
        self.clock.advance(0.1)
        self.assertEqual(self.history(self.ana, BUDI), [None, None, "2", "3"])
        self.assertEqual(len(self.unseen()), 1, "it looks at all again")
