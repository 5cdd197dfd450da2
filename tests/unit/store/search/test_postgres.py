"""The index finds on PostgreSQL what it finds on SQLite, whatever the locale of the database."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import Connection, Engine, text

from chatd.store.search import fresh, unindexed
from chatd.store.search.fresh import FreshMessages
from chatd.store.search.index import BlockIndex
from chatd.store.search.interface import Wanted
from tests.support.search_index import ALONE, TOGETHER, IndexTestCase
from tests.support.search_postgres import empty_engine, files_with, maintain
from tests.unit.store.search import test_index

_STORED = "SELECT value::bigint FROM settings WHERE name = 'searchable up to message'"


class OnPostgres(IndexTestCase):
    locale: ClassVar[str] = "C"

    def make_engine(self) -> Engine:
        return empty_engine(self.locale)

    def check_nowhere(self, text: bytes) -> None:
        """It is in no file of the database once the tables are rewritten."""
        maintain(self.locale, "VACUUM (FULL) messages, search_parts")
        self.assertEqual(files_with(self.locale, text), [])


class Table(OnPostgres, test_index.Table):
    pass


class TableWithIndex(OnPostgres, test_index.TableWithIndex):
    pass


class TableWithPartOfIndex(OnPostgres, test_index.TableWithPartOfIndex):
    pass


class TableInUTF8(Table):
    locale = "C.UTF-8"


class TableWithIndexInUTF8(TableWithIndex):
    locale = "C.UTF-8"


class EarlierMessages(OnPostgres, test_index.EarlierMessages):
    pass


class Selecting(OnPostgres, test_index.Selecting):
    pass


class Counting(OnPostgres, test_index.Counting):
    pass


class Building(OnPostgres, test_index.Building):
    # It says so once no message with a lower id can come.
    last_prepared: ClassVar[list[list[tuple[int, int | None]]]] = [[(1, 0)], [(0, 11)]]


class OutOfOrder(OnPostgres):
    """A message becomes visible after one with a higher id: another node has stored it in a transaction that
    takes longer."""

    def setUp(self) -> None:
        super().setUp()
        self.slow = self.engine.connect()
        self.addCleanup(self.slow.close)
        self.transaction = self.slow.begin()

    def insert(self, connection: Connection, number: int, place: int) -> None:
        connection.execute(
            text(
                "INSERT INTO messages (id, conversation_id, seq, sender, at, text) "
                "VALUES (:id, :place, 1, 'ana', :id, 'halo')"
            ),
            {"id": number, "place": place},
        )

    def indexed(self) -> list[int]:
        """The conversations that the index has."""
        return self.numbers("SELECT conversation_id FROM search_blocks ORDER BY conversation_id")

    def test_lower_id_comes_later(self) -> None:
        self.insert(self.slow, 1, TOGETHER)
        self.last = 1
        self.say("halo", ALONE, at=2)
        self.update()
        self.assertEqual(self.indexed(), [ALONE])
        self.transaction.commit()
        self.assertEqual(self.search(Wanted(("halo",))), [2, 1])
        self.update()
        self.assertEqual(self.indexed(), [TOGETHER, ALONE])
        self.assertEqual(self.search(Wanted(("halo",))), [2, 1])

    def test_after_a_restart(self) -> None:
        """Another node builds the index when the message comes."""
        self.insert(self.slow, 1, TOGETHER)
        self.last = 1
        self.say("halo", ALONE)
        self.update()
        self.index = BlockIndex(FreshMessages(), pause=lambda: None)
        self.update()
        self.transaction.commit()
        self.update()
        self.assertEqual(self.indexed(), [TOGETHER, ALONE])

    def test_newest_transaction(self) -> None:
        """A transaction that is newer than all that are over is under way, too."""
        with self.engine.begin() as fast:
            fast.execute(text("SELECT FROM conversations WHERE id = 2 FOR UPDATE"))
            self.insert(self.slow, 1, TOGETHER)
            self.insert(fast, 2, ALONE)
        self.update()
        self.transaction.commit()
        self.update()
        self.assertEqual(self.indexed(), [TOGETHER, ALONE])

    def test_does_not_come(self) -> None:
        """The index does not look again and again while the transaction takes its time, nor when it is
        over."""
        self.insert(self.slow, 1, TOGETHER)
        self.last = 1
        self.say("halo", ALONE)
        self.update()
        self.assertFalse(self.pieces())
        self.transaction.rollback()
        self.update()
        self.assertEqual(self.numbers(_STORED), [2])
        self.assertFalse(self.pieces())

    def test_many_ids(self) -> None:
        """The index takes ids in steps, and reaches the last one before the transaction is over."""
        self.patch(unindexed, "_RANGE", 3)
        self.insert(self.slow, 1, TOGETHER)
        for number in range(2, 12):
            self.last = number - 1
            self.say("halo", ALONE)
        self.update()
        self.assertEqual(sum(self.numbers("SELECT messages FROM search_blocks")), 10)
        self.transaction.commit()
        self.update()
        self.assertEqual(sum(self.numbers("SELECT messages FROM search_blocks")), 11)
        self.assertEqual(self.numbers(_STORED), [11])


class OtherNodes(OnPostgres):
    in_memory = True

    def test_not_from_memory(self) -> None:
        """What this node remembers is not all that was stored, and some of it may not have been."""
        self.say("halo")
        self.fresh.add([(2, TOGETHER, 2, None, "ana", 0, "rahasia")])  # not committed
        self.in_memory, self.last = False, 2
        self.say("halo", ALONE)
        self.update()
        self.say("halo")
        self.update()
        self.assertEqual(self.search(Wanted(("halo",))), [4, 3, 1])
        self.assertEqual(self.search(Wanted(("rahasia",))), [])
        self.assertEqual(sum(self.numbers("SELECT messages FROM search_blocks")), 3)

    def test_many(self) -> None:
        """The index is behind if this node has stored many messages, also while others store some."""
        self.patch(fresh, "MANY_MESSAGES", 3)
        self.say("halo")
        self.update()
        for _ in range(3):
            self.say("halo")
            self.fresh.clear()  # as after messages of others
        self.assertTrue(self.index.is_behind)
        self.update()
        self.assertFalse(self.index.is_behind)


class DeletedTexts(OnPostgres):
    """What is left of texts in the files of a database (docs/operating/rules.md)."""

    def setUp(self) -> None:
        super().setUp()
        self.say_all([f"rahasia {number}" if number % 2 else "halo" for number in range(64)])
        self.update()
        maintain(self.locale, "ANALYZE")

    def test_statistics(self) -> None:
        """ANALYZE keeps no texts."""
        self.assertEqual(set(files_with(self.locale, b"rahasia")), {"messages", "search_parts"})

    def test_vacuum(self) -> None:
        """VACUUM alone leaves bytes in the free space of pages; VACUUM FULL does not."""
        self.run_sql("UPDATE messages SET text = NULL, deleted_at = 1 WHERE text LIKE 'rahasia%'")
        self.update()
        self.assertEqual(self.numbers("SELECT id FROM search_changes"), [])
        maintain(self.locale, "VACUUM")
        self.assertIn("messages", files_with(self.locale, b"rahasia"))
        maintain(self.locale, "VACUUM FULL")
        self.assertEqual(files_with(self.locale, b"rahasia"), [])
        self.assertEqual(len(self.search(Wanted(("halo",)))), 32)
