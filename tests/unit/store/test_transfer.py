"""All tables of a realm go from SQLite to a PostgreSQL server, also over kills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import SkipTest, mock

import sqlalchemy as sa
from psycopg import Copy
from sqlalchemy import Engine
from twisted.trial.unittest import SynchronousTestCase

from chatd.simulate.databases import DATABASE
from chatd.simulate.databases import empty_database as empty_file
from chatd.store import database_identity
from chatd.store.engine import connect
from chatd.store.migrate import SchemaError, prepare
from chatd.store.move_mark import MoveMark, read_move_mark
from chatd.store.schema import accounts, announcements, metadata, peers, sessions, settings
from chatd.store.transfer import mover as movers
from chatd.store.transfer import tables
from chatd.store.transfer.mover import MisfitsFound, StoreMoved, StoreMover
from chatd.store.transfer.tables import REBUILT, copied_tables
from chatd.store.transfer.target import NewStore, TargetError
from tests.support.any_rows import ROWS, fill
from tests.support.postgres import MISSING, empty_database, server

MARK = MoveMark("a move", "postgresql://server/chatd", 1_800_000_000_000)


class Killed(BaseException):
    """The process ends here."""


class TransferTestCase(SynchronousTestCase):
    """`self.old` is a realm's database in SQLite, `self.new` an empty one on a server."""

    def setUp(self) -> None:
        if server() is None:
            raise SkipTest(MISSING)
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / DATABASE).write_bytes(empty_file().read_bytes())
        self.old = self.opened(f"sqlite:///{folder / DATABASE}")
        self.new = self.opened(empty_database(self))
        with self.old.begin() as connection:
            database_identity.claim(connection, lambda: "the realm", 5)
        self.told: list[str] = []

    def opened(self, url: str) -> Engine:
        engine = connect(url)
        self.addCleanup(engine.dispose)
        return engine

    def move(self, mark: MoveMark = MARK, old: Engine | None = None) -> StoreMoved:
        mover = StoreMover(old or self.old, self.new, mark, lambda: 0.0, self.told.append)
        try:
            return mover.move()
        finally:
            mover.close()

    def execute(self, statement: str, *values: Any) -> None:
        with self.old.begin() as connection:
            connection.exec_driver_sql(statement, values)

    @property
    def mark(self) -> MoveMark | None:
        with self.old.connect() as connection:
            return read_move_mark(connection)

    def tables_of(self, engine: Engine) -> list[str]:
        return sa.inspect(engine).get_table_names()


def content(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of all copied tables by their keys, but for the marks of a move."""
    with engine.connect() as connection:
        found = {
            table.name: [
                tuple(row)
                for row in connection.execute(sa.select(table).order_by(*table.primary_key))
            ]
            for table in copied_tables()
        }
    rows = found[settings.name]
    found[settings.name] = [row for row in rows if not row[0].startswith("moved ")]
    return found


class Move(TransferTestCase):
    def test_values_of_every_kind(self) -> None:
        with self.old.begin() as connection:
            connection.execute(sa.delete(settings))
            fill(connection)
        moved = self.move()
        before, after = content(self.old), content(self.new)
        self.assertEqual(before, after)
        self.assertEqual({len(rows) for rows in after.values()}, {ROWS})
        self.assertEqual(moved.differing, ())
        self.assertEqual([each.table for each in moved.tables], [*after])
        self.assertEqual({each.old.rows for each in moved.tables}, {ROWS})
        self.assertEqual(len({each.new.checksum for each in moved.tables}), len(after))

    def test_the_new_database_is_as_one_that_chatd_has_made(self) -> None:
        """chatd starts on it, and it has what PostgreSQL says of a fresh one."""
        fresh = self.opened(empty_database(self))
        prepare(fresh)
        self.move()
        prepare(self.new)
        seen = []
        for engine in (fresh, self.new):
            with engine.connect() as connection:
                seen.append([connection.exec_driver_sql(each).all() for each in DESCRIBING])
        self.assertEqual(*seen)
        self.assertTrue(all(seen[0]))

    def test_ids_go_on(self) -> None:
        """New rows get ids above those of all rows that there ever were."""
        with self.old.begin() as connection:
            fill(connection, {each.name: each for each in (accounts, sessions)})
            connection.execute(sa.delete(sessions).where(sessions.c.id > 3))
            for _ in range(2):
                connection.execute(_ANNOUNCEMENT)
            connection.execute(sa.delete(announcements).where(announcements.c.id == 2))
        self.move()
        with self.new.begin() as connection:
            added = connection.execute(_ANNOUNCEMENT).inserted_primary_key
            session = connection.execute(
                sa.insert(sessions).values(
                    token_hash=b"new", account_id=1, created_at=1, expires_at=1
                )
            ).inserted_primary_key
        self.assertEqual((added, session), ((3,), (4,)))

    def test_the_index_for_searching_stays(self) -> None:
        """It is built anew, so nothing of it is copied."""
        with self.old.begin() as connection:
            fill(connection, {name: metadata.tables[name] for name in REBUILT})
        self.move()
        with self.new.connect() as connection:
            for name in REBUILT:
                self.assertEqual(connection.execute(sa.select(metadata.tables[name])).all(), [])

    def test_marks(self) -> None:
        """The old database says where it has gone. The same move again does nothing, another one is
        refused."""
        self.move()
        assert self.mark is not None
        self.assertEqual((self.mark.to, self.mark.complete), (MARK.to, True))
        self.assertTrue(self.move().was_there)
        with self.assertRaisesRegex(TargetError, "the database has a realm already"):
            self.move(MoveMark("another", "", 0))

    def test_a_database_that_differs_is_not_used(self) -> None:
        """A row that changes on the server is found, and the new database stays unusable."""
        with self.old.begin() as connection:
            fill(connection, {accounts.name: accounts})
        vacuum = NewStore.vacuum

        def change(target: NewStore) -> None:
            with self.new.begin() as connection:
                connection.execute(
                    sa.update(accounts).values(country="x").where(accounts.c.id == 3)
                )
            vacuum(target)

        with mock.patch.object(NewStore, "vacuum", change):
            moved = self.move()
        self.assertEqual(moved.differing, ("accounts",))
        self.assertEqual([each.new.rows for each in moved.tables if not each.is_equal], [3])
        with self.assertRaisesRegex(SchemaError, "was moved here only in part"):
            prepare(self.new)
        assert self.mark is not None
        self.assertFalse(self.mark.complete)


# A fresh database and one to which a realm was moved answer the same.
DESCRIBING = (
    """
    SELECT table_name, column_name, data_type, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
    """,
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
    """,
    "SELECT version_num FROM alembic_version",
)
_ANNOUNCEMENT = sa.insert(announcements).values(at=1, conversation_id=0, text="x", done=0, last=0)


class Refusals(TransferTestCase):
    def refused(self, reason: str) -> None:
        """The move is refused, and nothing is changed."""
        tables = self.tables_of(self.new)
        with self.assertRaisesRegex(TargetError, reason):
            self.move()
        self.assertEqual((self.tables_of(self.new), self.mark), (tables, None))

    def test_other_tables(self) -> None:
        with self.new.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE orders (id INT)")
        self.refused("other tables .orders.; expected an empty database")

    def test_another_realm(self) -> None:
        prepare(self.new)
        with self.new.begin() as connection:
            database_identity.claim(connection, lambda: "another realm", 1)
        self.refused("a realm already; expected an empty database")

    def test_part_of_another_move(self) -> None:
        """The old database was used again after a move that was interrupted."""
        with mock.patch.object(NewStore, "vacuum", side_effect=Killed), self.assertRaises(Killed):
            self.move()
        with self.assertRaisesRegex(TargetError, "a part of another move"):
            self.move(MoveMark("another", "", 0))

    def test_two_at_a_time(self) -> None:
        first = NewStore(self.new, "a move")
        self.addCleanup(first.close)
        first.claim()
        with mock.patch("chatd.store.transfer.target._PATIENCE", 0.01):
            self.refused("another process moves a realm into this database")


class Misfits(TransferTestCase):
    """What SQLite stores and PostgreSQL does not is found before anything is written."""

    def found(self) -> list[str]:
        with self.assertRaises(MisfitsFound) as caught:
            self.move()
        self.assertEqual((self.tables_of(self.new), self.mark), ([], None))
        return [str(each) for each in caught.exception.misfits]

    def test_texts(self) -> None:
        account = "INSERT INTO accounts VALUES (?, 'ana', ?, 'x', {}, 'id', 7)"
        self.execute(account.format("?"), 1, "ana", "a\0b")
        self.execute(account.format("CAST(x'61ff' AS TEXT)"), 2, "budi")
        self.execute(account.format("x'61'"), 3, "cici")
        self.execute(account.format("'zoë'"), 4, "zoë")
        self.assertEqual(
            self.found(),
            [
                "accounts (id 1), column display_name: a NUL character at position 2",
                "accounts (id 2), column display_name: broken UTF-8 at position 2",
                "accounts (id 3), column display_name: a binary value, expected a text",
            ],
        )

    def test_numbers_and_booleans(self) -> None:
        peer = (
            "INSERT INTO peers (key, name, port, created_at, confirmed, rests) VALUES (?,?,?,?,?,?)"
        )
        self.execute(peer, "a", "a", 2**31, 1, 1, 0)
        self.execute(peer, "b", "b", None, 1.5, 2, 0)
        self.execute(peer, "c", "c", "many", 1, 1, "no")
        self.execute(peer, "d", "d", 2**31 - 1, 1.0, 0, 1)
        self.assertEqual(
            self.found(),
            [
                "peers (key 'a'), column port: 2147483648, expected a number of 4 bytes",
                "peers (key 'c'), column port: a text, expected a number",
                "peers (key 'b'), column created_at: a number with a fraction, expected a number",
                "peers (key 'b'), column confirmed: 2, expected 0 or 1",
                "peers (key 'c'), column rests: a text, expected a number",
            ],
        )

    def test_binary_values(self) -> None:
        self.execute("INSERT INTO payloads VALUES (9, 'text')")
        self.assertEqual(
            self.found(), ["payloads (id 9), column parcel: a text, expected a binary value"]
        )

    def test_many(self) -> None:
        """A few are listed, whatever their number."""
        with self.old.begin() as connection:
            connection.execute(
                sa.insert(peers),
                [{"key": f"{each}\0", "name": "x", "created_at": 1} for each in range(1500)],
            )
        self.assertEqual(len(self.found()), 1000)


@contextmanager
def small_pages(batch: int = 1) -> Iterator[None]:
    with (
        mock.patch.object(movers, "BATCH", batch),
        mock.patch.object(tables, "PAGE", 1),
        mock.patch.object(tables, "PAGE_WITH_BINARY", 1),
    ):
        yield


class Kills(TransferTestCase):
    """A move that is killed again and again ends with the same, and nothing twice."""

    def setUp(self) -> None:
        super().setUp()
        with self.old.begin() as connection:
            chosen = {each.name: each for each in (accounts, sessions, peers)}
            fill(connection, chosen)

    def kill(self, owner: type[Any], name: str, *, before: bool) -> bool:
        """Go on with the move, and kill it before or after the first call of a function. Returns whether it
        was called."""
        step = getattr(owner, name)

        def killing(*given: Any, **named: Any) -> None:
            if not before:
                step(*given, **named)
            raise Killed

        with mock.patch.object(owner, name, killing), small_pages():
            try:
                self.move(self.mark or MARK)
            except Killed:
                return True
        return False

    def test_kill_at_each_step(self) -> None:
        """The same move goes on after a kill before and after each of its steps."""
        for owner, name in (
            (StoreMover, "_put_mark"),
            (NewStore, "create"),
            *[(NewStore, "add")] * 3,
            (NewStore, "set_sequences"),
            (NewStore, "vacuum"),
            (StoreMover, "_compare"),
            (NewStore, "complete"),
            (StoreMover, "_put_mark"),
        ):
            for before in (True, False):
                self.assertTrue(self.kill(owner, name, before=before), (name, before))
        self.assertTrue(self.move().was_there)
        self.assertEqual(content(self.old), content(self.new))
        assert self.mark is not None
        self.assertTrue(self.mark.complete)
        prepare(self.new)

    def test_kill_in_a_page(self) -> None:
        """Rows of a transaction that was not committed are copied again."""
        write = Copy.write_row
        written: list[Any] = []

        def kill(copy: Any, row: Any) -> None:
            if len(written) == 1:
                raise Killed
            write(copy, row)
            written.append(row)

        with (
            mock.patch.object(Copy, "write_row", kill),
            small_pages(batch=2),
            self.assertRaises(Killed),
        ):
            self.move()
        with self.new.connect() as connection:
            there = connection.scalar(sa.select(sa.func.count()).select_from(accounts))
        self.assertEqual(there, 0)
        self.assertEqual(self.move().differing, ())
        self.assertEqual(content(self.old), content(self.new))
