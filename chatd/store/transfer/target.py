"""Writes the new database, which is on a PostgreSQL server.

The rows of a table are copied in the order of their keys, and some thousand of them in one transaction. So
the highest key that is there says from where the copy goes on after an interruption.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from sqlalchemy import Column, Connection, Engine, Table, inspect, text

from chatd.store.database_identity import read as read_identity
from chatd.store.engine import backend_of
from chatd.store.migrate import MOVE_TABLE, VERSION_TABLE, add_version, create_tables
from chatd.store.move_mark import MOVED_FROM
from chatd.store.schema import metadata
from chatd.store.settings import get_setting, put_setting
from chatd.store.transfer.digests import RowDigest, TableDigest
from chatd.store.transfer.tables import (
    key_of_table,
    listed,
    page_size,
    quoted,
    row_filter,
    select_rows,
)
from chatd.store.transfer.values import Page, Row, postgres_types

# Nobody else moves a realm into the same database meanwhile. After a kill, the server may still be busy with
# what the killed process has sent last.
_LOCK = 0x63686174645F6D76  # "chatd_mv"
_PATIENCE = 15  # seconds


class TargetError(Exception):
    """The new database can't be used; `str()` says why and what to do."""


class Progress(Enum):
    """What the new database has of the move."""

    NOTHING = "nothing"
    PART = "part"
    ALL = "all"


class NewStore:
    """The new database. `close` it in the end."""

    def __init__(self, engine: Engine, move: str) -> None:
        self._engine = engine
        self._move = move
        self._pooled = engine.raw_connection()
        raw: Any = self._pooled.driver_connection
        self._raw = raw
        raw.autocommit = True
        raw.execute("SET statement_timeout = 0")
        raw.execute("SET idle_in_transaction_session_timeout = 0")
        # A crash of the server may lose the newest transactions, but not one before another. The last
        # transaction of the move is on its disk, and with it all others.
        raw.execute("SET synchronous_commit = off")

    def close(self) -> None:
        """End the session, and with it its lock and settings."""
        self._pooled.invalidate()

    def claim(self) -> None:
        """Keep other moves out of this database. Raises TargetError."""
        self._raw.execute(f"SET lock_timeout = '{_PATIENCE}s'")
        from psycopg.errors import LockNotAvailable

        try:
            self._raw.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        except LockNotAvailable:
            raise TargetError(
                "another process moves a realm into this database; wait until it has ended"
            ) from None

    def progress(self) -> Progress:
        """What is here of this move. Raises TargetError if anything else is here."""
        with self._engine.connect() as connection:
            unsuitable = backend_of(connection).unsuitable(connection)
            if unsuitable is not None:
                raise TargetError(unsuitable)
            tables = set(inspect(connection).get_table_names())
            if not tables:
                return Progress.NOTHING
            if MOVE_TABLE in tables:
                return self._part(connection)
            if VERSION_TABLE in tables and read_identity(connection) is not None:
                if get_setting(connection, MOVED_FROM) == self._move:
                    return Progress.ALL
                raise TargetError("the database has a realm already; expected an empty database")
        names = ", ".join(sorted(tables)[:3])
        raise TargetError(f"the database has other tables ({names}); expected an empty database")

    def _part(self, connection: Connection) -> Progress:
        if connection.scalar(text(f"SELECT id FROM {MOVE_TABLE}")) == self._move:  # noqa: S608
            return Progress.PART
        raise TargetError(
            "the database has a part of another move, which was given up; drop it and create it anew, or "
            "choose another one"
        )

    def create(self) -> None:
        """Create all tables, and the one that says that they are not complete."""
        with self._engine.begin() as connection:
            connection.execute(text(f"CREATE TABLE {MOVE_TABLE} (id TEXT PRIMARY KEY)"))
            connection.execute(text(f"INSERT INTO {MOVE_TABLE} VALUES (:id)"), {"id": self._move})  # noqa: S608
            create_tables(connection)

    def last_key(self, table: Table) -> Row | None:
        """The highest key of a table here, None if it has no rows."""
        names = key_of_table(table)
        descending = ", ".join(f"{quoted(name)} DESC" for name in names)
        own = row_filter(table)
        where = "" if own is None else f" WHERE {own}"
        cursor = self._raw.execute(
            f"SELECT {listed(names)} FROM {quoted(table.name)}{where} ORDER BY {descending} LIMIT 1"  # noqa: S608
        )
        found: Row | None = cursor.fetchone()
        return found

    def add(self, table: Table, pages: Iterable[Page]) -> None:
        """Copy rows, in one transaction."""
        names = listed([column.name for column in table.columns])
        statement = f"COPY {quoted(table.name)} ({names}) FROM STDIN (FORMAT BINARY)"
        with self._raw.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(postgres_types(table))
            for page in pages:
                for row in page:
                    copy.write_row(row)

    def set_sequences(self, given: Mapping[str, int]) -> None:
        """Let each table go on with ids above those that it has, and above those that it has `given`."""
        for table in metadata.sorted_tables:
            column = table.autoincrement_column
            if column is not None:
                self._set_sequence(table, column, given.get(table.name, 0))

    def _set_sequence(self, table: Table, column: Column[Any], given: int) -> None:
        name, key = quoted(table.name), quoted(column.name)
        self._raw.execute(
            "SELECT setval(sequence::regclass, highest) FROM ("  # noqa: S608 - own names
            "SELECT pg_get_serial_sequence(%s, %s) AS sequence, "
            f"greatest(%s, (SELECT max({key}) FROM {name})) AS highest) AS found "
            "WHERE sequence IS NOT NULL AND highest > 0",
            (name, column.name, given),
        )

    def vacuum(self) -> None:
        """Give the query planner its statistics, and mark the pages of all tables as visible to all."""
        self._raw.execute("VACUUM (ANALYZE)")

    def look_at(self, table: Table) -> TableDigest:
        """The digest of a table."""
        digest = RowDigest(table)
        with self._raw.transaction(), self._raw.cursor(name="moved", binary=True) as cursor:
            cursor.execute(select_rows(table))
            while page := cursor.fetchmany(page_size(table)):
                digest.add(page)
        return digest.result()

    def complete(self) -> None:
        """Let chatd use the database, and return when that is on the server's disk."""
        with self._engine.begin() as connection:
            connection.execute(text(f"DROP TABLE {MOVE_TABLE}"))
            put_setting(connection, MOVED_FROM, self._move)
            add_version(connection)
