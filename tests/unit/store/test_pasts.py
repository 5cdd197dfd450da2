"""What is missing of the log of a group elsewhere, and the numbers of earlier entries."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.entries import EntryRef
from chatd.store import earlier_numbers, pasts
from chatd.store.origins import FIRST_NUMBER
from chatd.store.pasts import Reached
from chatd.store.schema import (
    awaiting,
    changes,
    conversations,
    groups,
    messages,
    participants,
    rosters,
)
from chatd.store.schema import pasts as table
from tests.support.engines import add_accounts, new_database

GROUP = 1


class PastTestCase(SynchronousTestCase):
    """A group of realm1 with members here."""

    realm: str | None = "realm1"

    def setUp(self) -> None:
        engine = new_database(self)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)
        self.add(conversations, id=GROUP, kind="group", created_at=0)
        self.add(
            groups,
            conversation_id=GROUP,
            name="bagan@realm1",
            key="bagan@realm1",
            realm=self.realm,
            home_id=7,
        )
        self.add(rosters, conversation_id=GROUP, members=1)

    def add(self, to: sa.Table, **values: Any) -> None:
        self.connection.execute(sa.insert(to).values(values))

    def message(self, seq: int, conversation: int = GROUP) -> None:
        self.add(messages, conversation_id=conversation, seq=seq, sender="ana", at=5, text="halo")


class Ranges(PastTestCase):
    def joins(self, first: int, seq: int, newest: int | None = None) -> None:
        pasts.open_past(self.connection, GROUP, first, seq, newest)

    def missing(self) -> tuple[int, int] | None:
        """The seqs after which, and up to which, entries are missing."""
        past = pasts.past_of(self.connection, GROUP)
        return None if past is None else (past.after, past.upto)

    def reaches(self, upto: int, first: int = 0, asked: int | None = None) -> None:
        if asked is None:
            past = pasts.past_of(self.connection, GROUP)
            asked = 0 if past is None else past.upto
        pasts.reach_past(self.connection, GROUP, Reached(asked, upto, first, 3, 100))

    def test_first_member(self) -> None:
        self.joins(0, 10, 0)
        self.assertEqual(self.missing(), (0, 10))
        self.reaches(6)
        self.assertEqual(self.missing(), (0, 6))
        self.reaches(2, asked=10)  # an answer that came late
        self.assertEqual(self.missing(), (0, 6))
        self.assertEqual(pasts.pasts_of(self.connection, "realm1", 101, 9), [GROUP])
        self.assertEqual(pasts.pasts_of(self.connection, "realm1", 100, 9), [])
        self.reaches(0)
        self.assertIsNone(self.missing())

    def test_more_members(self) -> None:
        """One who sees as much changes nothing. One who sees more lets all be fetched again."""
        self.joins(11, 10, 0)
        self.assertIsNone(self.missing())
        self.joins(16, 15)
        self.assertIsNone(self.missing())
        self.joins(0, 20)
        self.assertEqual(self.missing(), (0, 20))
        self.reaches(0)
        self.joins(0, 30)
        self.assertIsNone(self.missing())

    def test_all_had_left(self) -> None:
        self.joins(0, 10, 0)
        self.reaches(0)
        self.joins(0, 30, 20)
        self.assertEqual(self.missing(), (20, 30))
        self.reaches(25)
        self.joins(0, 50, 40)  # they have left again, before all has come
        self.assertEqual(self.missing(), (20, 50))

    def test_joined_meanwhile(self) -> None:
        """Somebody joins while a page is fetched: what is missing since then is fetched too, and what the
        home said before counts no more."""
        self.joins(0, 10, 0)
        self.joins(0, 50, 40)
        self.reaches(0, first=8, asked=10)
        self.assertEqual(self.missing(), (0, 50))

    def test_home_gives_less(self) -> None:
        """The member who sees everything has left meanwhile. The next one is no worse off."""
        self.joins(0, 10, 0)
        self.reaches(0, first=8)
        self.assertIsNone(self.missing())
        self.joins(0, 30, 20)
        self.assertEqual(self.missing(), (0, 30))

    def test_home_restored(self) -> None:
        """The seqs of the home begin again below those that were used here. All is fetched again, as often as
        the last member here has left."""
        self.joins(0, 10, 0)
        self.reaches(0)
        pasts.renumber_pasts(self.connection, "realm2")
        self.joins(0, 10, 10)
        self.assertIsNone(self.missing())
        pasts.renumber_pasts(self.connection, "realm1")
        self.joins(0, 11)
        self.assertIsNone(self.missing())
        for newest in (14, 18):
            self.joins(3, 14, newest)
            self.assertEqual(self.missing(), (0, 14))
            self.reaches(0)

    def test_ended(self) -> None:
        """Nothing is missing of a group that has ended, or has no members here."""
        self.joins(0, 10, 0)
        self.connection.execute(sa.update(rosters).values(members=0))
        self.assertIsNone(self.missing())

    def test_awaiting(self) -> None:
        """What waits is bounded, noted once, and forgotten when the message can't come any more."""
        self.patch(pasts, "MAX_AWAITING", 2)
        about = EntryRef(None, 77)
        pasts.await_message(self.connection, GROUP, 20, about, b"a")
        self.assertEqual(pasts.awaited(self.connection, GROUP, [about], 0, 9), [])
        self.joins(0, 10, 0)
        for seq in (21, 20, 20, 22):
            pasts.await_message(self.connection, GROUP, seq, about, b"%d" % seq)
        found = [(20, b"20"), (21, b"21")]
        for after, limit, expected in ((0, 9, found), (0, 1, found[:1]), (20, 9, found[1:])):
            page = pasts.awaited(self.connection, GROUP, [about], after, limit)
            self.assertEqual(page, expected)
        pasts.forget_awaited(self.connection, GROUP, 20)
        self.assertEqual(pasts.awaited(self.connection, GROUP, [about], 0, 9), found[1:])
        self.reaches(0)
        self.assertEqual(self.connection.execute(sa.select(awaiting)).all(), [])
        self.assertEqual(self.connection.scalar(sa.select(table.c.earlier)), 3)

    def test_deleted_reply(self) -> None:
        """A reply that was deleted while it waited stays as it is."""
        self.joins(0, 10, 0)
        for seq in (20, 21):
            self.message(seq)
            pasts.await_message(self.connection, GROUP, seq, EntryRef("realm1", 77))
        self.connection.execute(
            sa.update(messages).where(messages.c.seq == 20).values(deleted_at=1)
        )
        pasts.answer_replies(self.connection, GROUP, EntryRef("realm1", 77), 3)
        rows = self.connection.execute(sa.select(messages.c.seq, messages.c.reply)).all()
        self.assertEqual([tuple(row) for row in rows], [(20, None), (21, 3)])

    def test_free_place(self) -> None:
        self.message(5)
        self.add(changes, conversation_id=GROUP, seq=4, kind="member", at=0, author="ana")
        self.assertEqual(pasts.free_place(self.connection, GROUP, 6), 6)
        self.assertEqual(pasts.free_place(self.connection, GROUP, 5), 3)
        self.patch(pasts, "MAX_STEPS", 2)
        self.assertEqual(pasts.free_place(self.connection, GROUP, 5), 6)
        add_accounts(self.connection, [1])
        self.add(
            participants, account_id=1, conversation_id=GROUP, read_seq=0, joined_at=0, first_seq=6
        )
        self.assertIsNone(pasts.free_place(self.connection, GROUP, 5))


class Numbers(PastTestCase):
    realm = None

    def test_numbers(self) -> None:
        """They follow from the entry, grow with the seq, and are used once."""
        for seq in (3, 4):
            self.message(seq)
        three, four = (self.number(seq) for seq in (3, 4))
        self.assertLess(FIRST_NUMBER, three)
        self.assertLess(three, four)
        self.assertEqual(self.number(3), three)
        self.add(changes, conversation_id=9, seq=1, kind="member", at=0, author="ana", number=three)
        self.assertEqual(self.number(3), three + 1)
        ref = earlier_numbers.ref_of(self.connection, GROUP, 3)
        self.assertEqual(ref, EntryRef(None, three + 1))
        number = earlier_numbers.number_entry(self.connection, messages, GROUP, 3)
        self.assertEqual(number, three + 1)
        self.assertEqual(self.number(3), three + 1)

    def number(self, seq: int) -> int:
        return earlier_numbers.earlier_number(self.connection, messages, GROUP, seq)

    def test_elsewhere(self) -> None:
        """A message that does not cross has no name in other realms."""
        self.message(1, conversation=8)
        self.assertIsNone(earlier_numbers.ref_of(self.connection, 8, 1))
