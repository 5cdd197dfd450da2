"""A search finds the same without an index, with one, and while it is being built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from chatd.base.model import Account
from chatd.base.search_query import parse_query
from chatd.store.search import fresh, index, query, records, unindexed
from chatd.store.search.blocks import MAX_MESSAGES, PARTS
from chatd.store.search.fresh import FreshMessages
from chatd.store.search.index import BlockIndex
from chatd.store.search.interface import IndexMoved, Wanted
from tests.support.query_plans import plans
from tests.support.search_cases import SearchCases
from tests.support.search_index import ALONE, ANA, BUDI, THEIRS, TOGETHER, IndexTestCase


class EarlierMessages(IndexTestCase):
    def test_split(self) -> None:
        """Messages that come into places before the last one are found, and a block with too many of them is
        split."""
        self.patch(index, "MAX_MESSAGES", 4)
        self.say("pasar baru")
        self.run_sql("UPDATE messages SET seq = 100")
        self.update()
        for seq in range(90, 99):
            self.say(f"pasar {seq}")
            self.run_sql("UPDATE messages SET seq = :seq WHERE id = :id", seq=seq, id=self.last)
            self.run_sql(
                "INSERT INTO search_changes (conversation_id, seq) VALUES (1, :seq)", seq=seq
            )
        self.assertEqual(len(self.search(Wanted(parse_query("pasar").words))), 10)
        self.update()
        self.assertEqual(len(self.search(Wanted(parse_query("pasar").words))), 10)
        sizes = self.numbers("SELECT messages FROM search_blocks ORDER BY first_seq")
        self.assertEqual(sizes, [4, 4, 2])
        self.check_without_gaps()

    def check_without_gaps(self) -> None:
        ends = self.numbers("SELECT last_seq FROM search_blocks ORDER BY first_seq")
        starts = self.numbers("SELECT first_seq FROM search_blocks ORDER BY first_seq")
        self.assertEqual(starts[1:], [end + 1 for end in ends[:-1]])

    def test_bounded(self) -> None:
        """However many messages come into the places of a block, a piece reads few of them, and what it has
        not read is still found."""
        self.patch(index, "MAX_MESSAGES", 4)
        self.patch(index, "MAX_ROWS", 6)
        for seq in (98, 99, 100):
            self.say(f"pasar lama {seq}")
            self.run_sql("UPDATE messages SET seq = :seq WHERE id = :id", seq=seq, id=self.last)
        self.update()
        for seq in range(70, 95):
            self.say(f"pasar baru {seq}")
            self.run_sql("UPDATE messages SET seq = :seq WHERE id = :id", seq=seq, id=self.last)
            self.run_sql(
                "INSERT INTO search_changes (conversation_id, seq) VALUES (1, :seq)", seq=seq
            )
        self.run_sql("DELETE FROM messages WHERE seq = 99")
        read: list[int] = []
        rows = index._rows

        def counted(*args: Any) -> Any:
            found = rows(*args)
            read.append(len(found))
            return found

        self.patch(index, "_rows", counted)
        wanted = Wanted(parse_query("pasar").words)
        pieces = 0
        while self.pieces():
            pieces += 1
            self.assertEqual(len(self.search(wanted)), 27)
        self.assertLessEqual(max(read), 6)
        self.assertGreater(pieces, 4)
        self.check_without_gaps()
        self.assertEqual(sum(self.numbers("SELECT messages FROM search_blocks")), 27)
        self.assertEqual(self.numbers("SELECT id FROM search_changes"), [])


class Table(SearchCases, IndexTestCase):
    """The table of all implementations; nothing is in the index."""

    def store(self, text: str, at: int = 0) -> int:
        return self.say(text, at=at)

    def store_all(self, texts: Sequence[str], at: int = 0) -> list[int]:
        return self.say_all(texts, at=at)

    def change(self, number: int, text: str | None) -> None:
        deleted = None if text is not None else 1
        self.run_sql(
            "UPDATE messages SET text = :text, deleted_at = :deleted WHERE id = :id",
            text=text,
            deleted=deleted,
            id=number,
        )

    def find(self, text: str, before: int | None = None) -> tuple[list[int], int]:
        wanted = Wanted(words=parse_query(text).words, before_id=before)
        with self.reading.connect() as connection, connection.begin():
            page = self.index.search(connection, ANA, wanted, 500)
        return [message.id for message in page.messages], page.remaining


class TableWithIndex(Table):
    """The index is up to date before each search."""

    def find(self, text: str, before: int | None = None) -> tuple[list[int], int]:
        self.update()
        return super().find(text, before)


class TableWithPartOfIndex(Table):
    """A piece is added to the index now and then."""

    every: ClassVar[int] = 7

    def store(self, text: str, at: int = 0) -> int:
        number = super().store(text, at)
        if number % self.every == 0:
            self.pieces()
        return number

    def store_all(self, texts: Sequence[str], at: int = 0) -> list[int]:
        stored: list[int] = []
        for start in range(0, len(texts), self.every):
            stored += self.say_all(texts[start : start + self.every], at=at + start)
            self.pieces()
        return stored


class TableWithPartFromMemory(TableWithPartOfIndex):
    """New messages come into the index from memory."""

    in_memory = True


class Selecting(IndexTestCase):
    def both(self, expected: list[int], wanted: Wanted, who: Account = ANA) -> None:
        """The same is found without and with an index."""
        self.assertEqual(self.search(wanted, who), expected)
        self.update()
        self.assertEqual(self.search(wanted, who), expected)

    def test_own_conversations(self) -> None:
        """Only members find something, and not after they have left."""
        shared, own = self.say("halo"), self.say("halo", ALONE)
        theirs = self.say("halo", THEIRS)
        self.both([own, shared], Wanted(("halo",)))
        self.both([theirs, shared], Wanted(("halo",)), BUDI)
        self.run_sql("DELETE FROM participants WHERE conversation_id = 1 AND account_id = 2")
        self.both([theirs], Wanted(("halo",)), BUDI)

    def test_in_a_conversation(self) -> None:
        shared = self.say("halo")
        self.say("halo", ALONE)
        self.both([shared], Wanted(("halo",), conversations=frozenset([TOGETHER])))
        self.both([], Wanted(("halo",), conversations=frozenset([THEIRS])))
        self.both([], Wanted(("halo",), conversations=frozenset()))

    def test_senders(self) -> None:
        self.say("halo")
        one, other = self.say("halo", sender="Budi"), self.say("Halo", sender="Ana@Realm2")
        self.both([one], Wanted(("halo",), senders=frozenset(["budi"])))
        self.both([other], Wanted((), senders=frozenset(["ana@realm2"])))

    def test_dates(self) -> None:
        """From `after` on, and before `before`."""
        numbers = [self.say("halo", at=at) for at in (10, 20, 30, 40)]
        self.both(numbers[2:0:-1], Wanted(("halo",), after=20, before=40))

    def test_files(self) -> None:
        """A file is found by its name."""
        self.say("laporan")
        self.run_sql(
            "INSERT INTO attachments (id, code, name, size, sha256, mime, stored, created_at) "
            "VALUES (1, 'c', 'Laporan Ünited.pdf', 1, '', '', 's', 0)"
        )
        number = self.say(None)
        self.run_sql("UPDATE messages SET attachment_id = 1 WHERE id = :id", id=number)
        self.both([number], Wanted(("united", "laporan")))
        self.both([number], Wanted(("laporan",), has_file=True))
        self.both([number], Wanted(has_file=True))

    def test_opaque(self) -> None:
        number = self.say("halo")
        self.run_sql("UPDATE messages SET media = 'application/x' WHERE id = :id", id=number)
        self.both([], Wanted(("halo",)))


class Queries(IndexTestCase):
    def test_page_ends_at_a_pending_message(self) -> None:
        """A message that was pending is shown with a smaller id than messages before it."""
        older, numbered = self.say("halo"), self.say("halo")
        self.run_sql("UPDATE messages SET id = 20, shown_id = 1000 WHERE id = :id", id=numbered)
        self.run_sql("UPDATE messages SET id = 1001 WHERE id = :id", id=older)
        self.run_sql("UPDATE messages SET id = 1002 WHERE id = 20")
        self.assertEqual(self.search(Wanted(("halo",))), [1000, 1001])
        self.assertEqual(self.search(Wanted(("halo",), before_id=1000)), [1001])

    def test_plans(self) -> None:
        """A search reads no messages that are in the index and were not changed."""
        found = plans(
            self.engine, lambda: self.search(Wanted(("halo",))), "messages", "search_changes"
        )
        loose = [plan for plan in found if "messages_by_conversation" in plan]
        self.assertEqual(len(loose), 2, found)
        for plan in loose:
            self.assertRegex(plan, r"conversation_id=\? AND seq[=>]\?")
        self.assertFalse([plan for plan in found if plan.startswith("SCAN messages")])

    def test_few_steps(self) -> None:
        """SQLite takes no more steps to read what is not in the index if there is more in the index."""
        taken = []
        for _ in range(2):
            self.say_all(["hai"] * MAX_MESSAGES)
            self.update()
            steps: list[None] = []
            with self.reading.connect() as connection, connection.begin():
                raw: Any = connection.connection.driver_connection
                raw.set_progress_handler(lambda steps=steps: steps.append(None), 10)
                self.index.search(connection, ANA, Wanted(("halo",)), 500)
                raw.set_progress_handler(None, 0)
            taken.append(len(steps))
        self.assertLess(taken[1], taken[0] + MAX_MESSAGES // 10)


class Counting(IndexTestCase):
    """Many hits, of which only some are counted."""

    def setUp(self) -> None:
        super().setUp()
        self.say_all(["hai", "halo"] * (3 * MAX_MESSAGES // 2), (TOGETHER, TOGETHER, ALONE, ALONE))
        self.update()
        self.patch(query, "MAX_REMAINING", 5)
        self.patch(query, "_CHUNK", 1)

    def page(self, limit: int, before: int | None = None) -> tuple[list[int], int]:
        wanted = Wanted(("halo",), before_id=before)
        with self.reading.connect() as connection, connection.begin():
            page = self.index.search(connection, ANA, wanted, limit)
        return [message.id for message in page.messages], page.remaining

    def test_newest_first(self) -> None:
        """A page has the newest hits of all conversations, also when the search ends early."""
        hits = range(3 * MAX_MESSAGES, 0, -2)
        for limit in (1, 10, MAX_MESSAGES):
            self.assertEqual(self.page(limit), (list(hits[:limit]), 5))
        self.assertEqual(self.page(10, hits[9]), (list(hits[10:20]), 5))
        self.assertEqual(self.page(10, hits[-4]), (list(hits[-3:]), 0))

    def test_reads_no_more_than_it_needs(self) -> None:
        """Older blocks are not read once the page is full and enough is counted."""
        read: list[int] = []
        look = query.Search._read_block

        def counted(search: query.Search, head: query.Head, *args: Any) -> None:
            read.append(head.id)
            look(search, head, *args)

        self.patch(query.Search, "_read_block", counted)
        self.page(10)
        self.assertLess(len(read), len(self.numbers("SELECT id FROM search_blocks")))


class Building(IndexTestCase):
    # The last piece says that all messages are in the index.
    last_prepared: ClassVar[list[list[tuple[int, int | None]]]] = [[(1, 11)]]

    def blocks(self) -> list[int]:
        """How many messages each block has."""
        return self.numbers("SELECT messages FROM search_blocks ORDER BY conversation_id, last_seq")

    def test_few_large_blocks(self) -> None:
        """Messages that come one at a time end in large blocks, and no part is left over."""
        for start in range(0, 3 * MAX_MESSAGES, 6):
            self.say_all([f"halo {start + number}" for number in range(6)])
            self.update()
        self.update()
        blocks = self.blocks()
        self.assertEqual(sum(blocks), 3 * MAX_MESSAGES)
        self.assertLess(len(blocks), 12)
        parts = self.numbers("SELECT id FROM search_parts")
        self.assertEqual(
            {part // PARTS for part in parts}, set(self.numbers("SELECT id FROM search_blocks"))
        )
        self.assertEqual(len(self.search(Wanted(("halo 7",)))), 111)

    def test_continues(self) -> None:
        """After a kill the index continues where it was. What was not stored is prepared again."""
        self.say_all([f"halo {number}" for number in range(2000)], (ALONE, TOGETHER))
        self.pieces()
        built = sum(self.blocks())
        self.assertTrue(0 < built < 2000)
        with self.reading.connect() as connection, connection.begin():
            self.index.prepare(connection)
        self.index = BlockIndex(FreshMessages(), pause=lambda: None)
        self.update()
        self.assertEqual(sum(self.blocks()), 2000)
        self.assertFalse(self.pieces())
        self.index.forget()
        self.assertFalse(self.pieces())

    def test_two_builders(self) -> None:
        """What was prepared before another process has changed the index is not stored, because it may be in
        the index already."""
        self.say("halo")
        self.update()
        self.say_all(["halo", "halo"])
        other = BlockIndex(FreshMessages(), pause=lambda: None)
        with self.reading.connect() as connection, connection.begin():
            pieces = other.prepare(connection)
        self.say("halo")
        self.update()
        with self.assertRaises(IndexMoved), self.engine.begin() as connection:
            other.store(connection, pieces[0])
        self.assertEqual(sum(self.blocks()), 4)
        mine, self.index = self.index, other
        other.forget()
        self.say("halo")
        self.update()
        self.index = mine
        self.say("halo")
        self.update()
        self.assertEqual(sum(self.blocks()), 6)
        self.assertEqual(sorted(self.search(Wanted(("halo",)))), [1, 2, 3, 4, 5, 6])

    def test_two_begin(self) -> None:
        """So is the first piece of the index."""
        self.say("halo")
        other = BlockIndex(FreshMessages(), pause=lambda: None)
        with self.reading.connect() as connection, connection.begin():
            pieces = other.prepare(connection)
        self.update()
        with self.assertRaises(IndexMoved), self.engine.begin() as connection:
            other.store(connection, pieces[0])
        self.assertEqual(self.blocks(), [1])

    def test_prepared_together(self) -> None:
        """Blocks of several conversations are prepared in one transaction; one conversation's next block when
        the last one is stored. Only the last piece says how far the index is."""
        self.patch(index, "MAX_MESSAGES", 4)
        self.patch(index, "MAX_BLOCKS", 1)
        for number in range(11):
            self.say(f"halo {number}", (TOGETHER, ALONE, THEIRS)[number % 3 if number < 6 else 0])
        prepared = []
        while True:
            with self.reading.connect() as connection, connection.begin():
                pieces = self.index.prepare(connection)
            if not pieces:
                break
            prepared.append([(len(each.new), each.progress) for each in pieces])
            for piece in pieces:
                with self.engine.begin() as connection:
                    self.index.store(connection, piece)
        self.assertEqual(prepared, [[(1, None), (1, None), (1, None)], *self.last_prepared])
        self.assertEqual(self.blocks(), [4, 3, 2, 2])
        self.assertEqual(len(self.search(Wanted(("halo",)))), 9)

    def test_times_go_back(self) -> None:
        """A block is merged with messages that have earlier times, as after the clock was set back."""
        for at in (40, 50, 10, 60, 20):
            self.say(f"halo {at}", at=at, sender=f"dia{at}")
            self.update()
        self.assertEqual(self.blocks(), [5])
        self.assertEqual(self.search(Wanted(("halo",))), [4, 2, 1, 5, 3])
        wanted = Wanted(("halo",), senders=frozenset(["dia10", "dia60"]))
        self.assertEqual(self.search(wanted), [4, 3])
        self.assertEqual(self.search(Wanted((), after=20, before=50)), [1, 5])

    def test_long_texts(self) -> None:
        """A block has no more text than it may, unless it has one message."""
        self.patch(records, "MAX_TEXT", 20)
        self.patch(index, "MAX_TEXT", 20)
        for text in ("你" * 5, "b" * 6, "c" * 30, "d", "e" * 19, "f"):
            self.say(f"{text} ya")
        self.update()
        self.assertEqual(self.blocks(), [1, 1, 1, 1, 1, 1])
        self.assertEqual(self.search(Wanted(("ya",))), [6, 5, 4, 3, 2, 1])

    def test_deleted_text_is_gone(self) -> None:
        """What a deleted or edited message said is in no block afterwards, nor free space of the file."""
        self.say_all([f"halo {number}" for number in range(300)])
        secret, edited = self.say("rahasiabesar"), self.say("rahasiakecil")
        self.update()
        self.run_sql("UPDATE messages SET text = NULL, deleted_at = 1 WHERE id = :id", id=secret)
        self.run_sql("UPDATE messages SET text = 'baru' WHERE id = :id", id=edited)
        self.update()
        self.assertEqual(self.numbers("SELECT id FROM search_changes"), [])
        self.check_nowhere(b"rahasia")
        self.assertEqual(self.search(Wanted(("baru",))), [edited])

    def test_removed_rows(self) -> None:
        """Messages that were removed from the database are removed from the index."""
        for _ in range(10):
            self.say("halo")
        self.update()
        self.run_sql("DELETE FROM messages WHERE id > 4")
        self.assertEqual(self.search(Wanted(("halo",))), [4, 3, 2, 1])
        self.update()
        self.assertEqual(self.blocks(), [4])
        self.run_sql("DELETE FROM messages")
        self.update()
        self.assertEqual(self.blocks(), [])
        self.last += 10
        again = self.say("halo")  # with a number (seq) that was used before
        self.assertEqual(self.search(Wanted(("halo",))), [again])
        self.update()
        self.assertEqual(self.search(Wanted(("halo",))), [again])


class BuildingFromMemory(Building):
    """The same with new messages in memory."""

    in_memory = True

    def test_deleted_and_not_stored(self) -> None:
        """A deleted text stays out of the index if what was prepared after the deletion can't be stored."""
        secret = self.say("rahasia sekali")
        self.say("halo")
        self.run_sql("UPDATE messages SET text = NULL, deleted_at = 1 WHERE id = :id", id=secret)
        self.pieces()  # the deletion
        with self.reading.connect() as connection, connection.begin():
            self.assertEqual(len(self.index.prepare(connection)), 1)
        self.index.forget()
        self.update()
        self.check_nowhere(b"rahasia")
        self.assertEqual(self.search(Wanted(("halo",))), [2])

    def test_reads_nothing_again(self) -> None:
        """Messages that are in memory are not read from the database."""
        self.patch(index, "_rows", None)
        for number in range(MAX_MESSAGES + 10):
            self.say(f"halo {number}", TOGETHER if number % 4 else ALONE)
        self.update()
        self.assertEqual(sum(self.blocks()), MAX_MESSAGES + 10)
        self.assertEqual(len(self.search(Wanted(("halo 7",)))), 1 + 10)

    def test_gaps(self) -> None:
        """Of messages that are not in memory, the index reads the conversations."""
        for number in range(20):
            self.in_memory = number % 3 > 0
            self.say(f"halo {number}", (TOGETHER, ALONE, ALONE, ALONE)[number % 4])
            if number == 11:
                self.update()
        self.update()
        self.assertEqual(self.search(Wanted(("halo",))), list(range(20, 0, -1)))
        self.assertEqual(sum(self.blocks()), 20)

    def test_changed_before(self) -> None:
        """A message that is deleted or edited before it comes into the index is not taken from memory."""
        for number in range(4):
            self.say(f"halo {number}")
        secret, edited = self.say("rahasiabesar"), self.say("rahasiakecil")
        self.run_sql("UPDATE messages SET text = NULL, deleted_at = 1 WHERE id = :id", id=secret)
        self.run_sql("UPDATE messages SET text = 'baru' WHERE id = :id", id=edited)
        self.say("halo 4")
        self.update()
        self.check_nowhere(b"rahasia")
        self.assertEqual(self.search(Wanted(("baru",))), [edited])
        self.assertEqual(self.blocks(), [6])
        self.patch(index, "_rows", None)  # later ones are taken from memory again
        self.say("halo 5")
        self.update()
        self.assertEqual(self.blocks(), [7])

    def test_changed_while_it_waits(self) -> None:
        """So is one that is changed after the index has looked for new messages."""
        self.patch(index, "MAX_BLOCKS", 1)
        self.patch(index, "MAX_PIECES", 1)
        self.say("halo")
        secret = self.say("rahasiabesar", ALONE)
        self.pieces()
        self.assertEqual(self.blocks(), [1])
        self.run_sql("UPDATE messages SET text = NULL, deleted_at = 1 WHERE id = :id", id=secret)
        self.update()
        self.check_nowhere(b"rahasia")

    def test_removed_while_others_wait(self) -> None:
        """A message that is removed after it came into the index does not come into it again."""
        self.patch(index, "MAX_BLOCKS", 1)
        self.patch(index, "MAX_PIECES", 1)
        for number in range(4):
            self.say(f"rahasia {number}" if number > 1 else "halo")
        self.say("halo", ALONE)
        self.pieces()
        self.assertEqual(self.blocks(), [4])
        self.run_sql("DELETE FROM messages WHERE id IN (3, 4)")
        self.update()
        self.assertEqual(self.blocks(), [2, 1])
        self.check_nowhere(b"rahasia")

    def test_many_changed_conversations(self) -> None:
        """The conversations of changed messages are forgotten together with all that is in memory, if there
        are too many."""
        self.patch(unindexed, "MAX_DISTRUSTED", 1)
        first, second = self.say("rahasiabesar"), self.say("rahasiakecil", ALONE)
        for number in (first, second):
            self.run_sql("UPDATE messages SET text = 'baru' WHERE id = :id", id=number)
        self.update()
        self.assertEqual(self.search(Wanted(("baru",))), [second, first])
        self.check_nowhere(b"rahasia")

    def test_many_were_removed(self) -> None:
        """Messages that were removed before they came into the index do not stay in memory."""
        self.patch(fresh, "MANY_MESSAGES", 3)
        self.say("halo")
        self.update()
        for _ in range(3):
            self.say("halo")
        self.assertTrue(self.index.is_behind)
        self.run_sql("DELETE FROM messages WHERE id > 1")
        self.update()
        self.assertFalse(self.index.is_behind)
