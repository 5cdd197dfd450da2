"""The part of a history that a window shows, and how many messages are on both sides, against plain lists."""

from __future__ import annotations

import random
from unittest import mock

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.store import windows
from chatd.store.access import LogView
from chatd.store.accounts import add_account
from chatd.store.conversations import open_direct
from chatd.store.schema import messages
from chatd.store.windows import Window, first_since, look
from tests.support.engines import new_database
from tests.support.query_plans import plans


class WindowTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.engine = new_database(self)
        with self.engine.begin() as connection:
            self.ana = ana = add_account(connection, "ana", "hash", "Ana", "", 0)
            budi = add_account(connection, "budi", "hash", "Budi", "", 0)
            self.here = open_direct(connection, ana, budi, 0)
            self.other = open_direct(connection, ana, ana, 0)

    def fill(self, seqs: list[int], times: list[int] | None = None) -> None:
        """Put messages with these seqs into the conversation, in place of others."""
        rows = [
            {"conversation_id": place, "seq": seq, "sender_id": 1, "sender": "ana", "at": at}
            for place in (self.here, self.other)
            for seq, at in zip(seqs, times or seqs, strict=True)
        ]
        with self.engine.begin() as connection:
            connection.execute(sa.delete(messages))
            if rows:
                connection.execute(sa.insert(messages), [{**row, "text": "x"} for row in rows])

    def look(self, window: Window, limit: int) -> tuple[int, list[int], int | None]:
        """The number of earlier messages, the seqs of those that are shown, and the number of later ones."""
        with self.engine.connect() as connection:
            page = look(connection, self.ana, self.here, window, limit)
        return page.remaining, [each.seq for each in page.messages], page.later


class Parts(WindowTestCase):
    def test_in_the_middle(self) -> None:
        self.fill(list(range(1, 11)))
        for window, limit, expected in (
            (Window(), 3, (7, [8, 9, 10], 0)),
            (Window(before=5), 2, (2, [3, 4], 6)),
            (Window(after=5), 2, (5, [6, 7], 3)),
            (Window(around=5), 4, (2, [3, 4, 5, 6], 4)),
            (Window(around=5), 1, (4, [5], 5)),
            (Window(around=2), 4, (0, [1, 2, 3, 4], 6)),
            (Window(around=10), 4, (6, [7, 8, 9, 10], 0)),
            (Window(around=99), 4, (6, [7, 8, 9, 10], 0)),
            (Window(since=4), 2, (3, [4, 5], 5)),
            (Window(since=11), 2, (10, [], 0)),
            (Window(since=-1), 2, (0, [1, 2], 8)),
        ):
            self.assertEqual(self.look(window, limit), expected, window)

    def test_nothing_there(self) -> None:
        self.fill([])
        for window in (Window(), Window(1), Window(after=0), Window(around=1), Window(since=1)):
            self.assertEqual(self.look(window, 5), (0, [], 0), window)

    @given(
        st.lists(st.integers(1, 40), unique=True, max_size=20),
        st.sampled_from(["", "before", "after", "around"]),
        st.integers(0, 45),
        st.integers(1, 6),
    )
    def test_any_window(self, seqs: list[int], kind: str, seq: int, limit: int) -> None:
        """A log has gaps where its other entries are."""
        seqs = sorted(seqs)
        self.fill(seqs)
        earlier, shown, later = self.look(Window(**{kind: seq} if kind else {}), limit)
        older = [each for each in seqs if each < seq] if kind != "after" else []
        newer = [each for each in seqs if each >= seq + (kind == "after")]
        if kind == "":
            self.assertEqual(shown, seqs[-limit:])
        elif kind == "before":
            self.assertEqual(shown, older[-limit:])
        elif kind == "after":
            self.assertEqual(shown, newer[:limit])
        else:
            self.assertEqual(len(shown), min(limit, len(seqs)))
            if newer:
                self.assertIn(newer[0], shown)
            if len(older) >= limit // 2 and len(newer) >= limit - limit // 2:
                self.assertEqual(sum(each < seq for each in shown), limit // 2)
        if shown:
            self.assertEqual(earlier, seqs.index(shown[0]))
            self.assertEqual(later, len(seqs) - seqs.index(shown[-1]) - 1)
            self.assertEqual(shown, seqs[earlier : earlier + len(shown)])
        else:
            self.assertEqual(earlier + (later or 0), len(seqs))


class Times(WindowTestCase):
    def first(self, since: int) -> int:
        with self.engine.connect() as connection:
            return first_since(connection, LogView(self.here), since)

    @given(
        st.lists(st.integers(1, 60), unique=True, min_size=1, max_size=30),
        st.integers(0, 40),
        st.randoms(use_true_random=False),
    )
    def test_messages_that_were_delivered_late(
        self, seqs: list[int], since: int, chance: random.Random
    ) -> None:
        """They do not hide earlier ones with a later time."""
        seqs = sorted(seqs)
        times, now = [], 0
        for _ in seqs:
            now += chance.choice((0, 1, 3))
            times.append(now - chance.choice((0, 0, 0, 2, 20)))
        self.fill(seqs, times)
        found = [seq for seq, at in zip(seqs, times, strict=True) if at >= since]
        first = self.first(since)
        if found:
            self.assertEqual([each for each in seqs if each >= first][:1], found[:1])
        else:
            self.assertGreater(first, seqs[-1])

    def test_bounded(self) -> None:
        """However long the conversation, only some messages before the found one are looked at."""
        self.fill(list(range(1, 101)), [50, *range(2, 101)])
        with mock.patch.object(windows, "LOOKED_BACK", 10):
            self.assertEqual(self.first(50), 50)
        self.assertEqual(self.first(50), 1)


class Cost(WindowTestCase):
    def test_counts_read_an_index(self) -> None:
        """Only the messages that are shown are read as rows."""
        self.fill(list(range(1, 200)))
        steps = plans(self.engine, lambda: self.look(Window(around=100), 5), "messages")
        covered = [each for each in steps if "COVERING INDEX messages_by_conversation" in each]
        self.assertEqual(len(covered), 4)  # both bounds, and the counts on both sides
        self.assertEqual([each for each in steps if each.startswith("SCAN messages")], [])
