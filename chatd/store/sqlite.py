"""What is particular to SQLite: settings of connections, the write-ahead log, the planner, damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.ext.compiler import compiles

from chatd.store.backend import CONNECTIONS, STATEMENTS, Backend
from chatd.store.functions import JsonInteger, Position, arguments

# SQLite's page caches. Readers need less, because the system caches the file too.
READER_CACHE = 16 << 20  # bytes, for each connection
WRITER_CACHE = 64 << 20  # bytes
# Pages of log after which SQLite checkpoints: 32 MB, not 4, because a page that many commits touch is copied
# once.
LOG_PAGES = 8192
LOG_PAGES_WHEN_LOW = 64  # on a nearly full disk, where the log would use up the reserve

# SQLite's driver looks for an adapter of each None and each bytes. If there is none, it makes an exception
# and drops it, which takes longer than the rest of a parameter. These return what they are given.
_NOTHING: dict[None, None] = {}
sqlite3.register_adapter(type(None), _NOTHING.get)
sqlite3.register_adapter(bytes, bytes)


class SQLite(Backend):
    """A database in a file, for one process."""

    placeholder = "?"
    paramstyle = "qmark"
    each_id = "json_each(?) AS ids"
    in_order = ""  # the outer table of a loop is read from its beginning
    values_at_once = 1000  # it reads a row when that is fetched

    def connect(self, url: str) -> Engine:
        engine = create_engine(
            url,
            pool_size=CONNECTIONS,
            pool_reset_on_return=None,
            query_cache_size=STATEMENTS,
            hide_parameters=True,  # errors are logged, and the log must not contain messages
        )
        event.listen(engine, "connect", _set_up)
        _begin_explicitly(engine.dialect)
        return engine

    def set_up_writer(self, connection: Connection) -> None:
        """Give the writing connection a larger cache than the others."""
        with connection.begin():
            connection.exec_driver_sql(f"PRAGMA cache_size = -{WRITER_CACHE >> 10}").close()

    def limit_log(self, connection: Connection, low: bool) -> None:
        pages = LOG_PAGES_WHEN_LOW if low else LOG_PAGES
        connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {pages}").close()

    def inform_planner(self, connection: Connection) -> None:
        """Give SQLite's planner the STATISTICS, unless it has some: an operator may have used ANALYZE."""
        connection.execute(text("ANALYZE sqlite_schema"))  # makes the table, and reads no other
        known = {row.idx for row in connection.execute(_KNOWN)}
        if known.issuperset(STATISTICS):
            return
        for table in {table for table, _ in STATISTICS.values()}:
            connection.execute(_FORGET, {"tbl": table})
        rows = [
            {"tbl": table, "idx": idx, "stat": stat} for idx, (table, stat) in STATISTICS.items()
        ]
        connection.execute(_ADD, rows)
        connection.execute(text("ANALYZE sqlite_schema"))  # lets this connection read them

    def change_mark(self, connection: Connection) -> int:
        raw: Any = connection.connection.driver_connection
        return int(raw.total_changes)

    def damage_in(self, error: object) -> str | None:
        said = str(error)
        return said if "malformed" in said or "not a database" in said else None

    def quick_check(self, connection: Connection, limit: int) -> list[str]:
        """Return the first errors that SQLite finds in the structure of its pages. It reads the whole
        database."""
        found = connection.exec_driver_sql(f"PRAGMA quick_check({limit})").scalars().all()
        return [str(each) for each in found if each != "ok"]

    def foreign_key_problems(self, connection: Connection, limit: int) -> list[str]:
        found = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(limit)
        return [
            f"row {row[1]} of {row[0]} refers to a row of {row[2]} that does not exist"
            for row in found
        ]

    def file_of(self, engine: Engine) -> Path | None:
        found = engine.url.database
        return None if not found or found == ":memory:" else Path(found)

    def ids(self, ids: Iterable[int]) -> object:
        return msgspec.json.encode(list(ids)).decode()

    def lookup(self, columns: str, outer: str, inner: str, chosen: str, found: str) -> str:
        """SQLite makes a loop of CROSS JOIN, in the order of the tables
        (https://www.sqlite.org/optoverview.html#crossjoin)."""
        return f"SELECT {columns} FROM {outer} CROSS JOIN {inner} WHERE {chosen} AND {found}"  # noqa: S608

    def integers(self, parameter: str) -> sa.ScalarSelect[int]:
        numbers = sa.func.json_each(sa.bindparam(parameter, type_=sa.Text)).table_valued("value")
        return sa.select(numbers.c.value).scalar_subquery()

    def pairs(self, parameter: str) -> sa.Subquery:
        pairs = sa.func.json_each(sa.bindparam(parameter, type_=sa.Text)).table_valued("value")
        first, second = (
            sa.func.json_extract(pairs.c.value, path, type_=sa.Text) for path in ("$[0]", "$[1]")
        )
        return sa.select(first.label("first"), second.label("second")).subquery()


@compiles(Position, "sqlite")
def _position(element: Any, compiler: Any, **options: Any) -> str:
    whole, part = arguments(element, compiler, options)
    return f"instr({whole}, {part})"


@compiles(JsonInteger, "sqlite")
def _json_integer(element: Any, compiler: Any, **options: Any) -> str:
    whole, key = arguments(element, compiler, options)
    return f"""json_extract({whole}, '$."' || {key} || '"')"""


def _begin_explicitly(dialect: Any) -> None:
    """Let each transaction start with BEGIN. A listener of "begin" would do, too, but an engine that has
    listeners looks for one at each step of each statement."""
    dialect.do_begin = _begin


def _begin(connection: Any) -> None:
    connection.execute("BEGIN").close()


def _set_up(connection: Any, _record: object) -> None:
    # Turn off the driver's own transactions: it would commit around savepoints.
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",  # what is deleted or replaced is overwritten
        "busy_timeout = 10000",
        f"cache_size = -{READER_CACHE >> 10}",
        "temp_store = MEMORY",
        f"wal_autocheckpoint = {LOG_PAGES}",
        "journal_size_limit = 67108864",
    ):
        connection.execute(f"PRAGMA {pragma}").close()
    # SQLite's own lower() handles ASCII only, and a search has to ignore the case of all letters.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


# Without statistics the planner takes every table for a small one, and the primary key for as good as any
# index. It would look for the changes of a message among all changes of the conversation. ANALYZE would read
# whole tables, and its result would depend on when it runs. These figures are made by hand, as
# https://www.sqlite.org/fileformat2.html#stat1tab describes them: index -> its table, the number of rows, and
# how many of them agree in the first column, the first two ... The primary key of a table without rowids has
# the table's name.
STATISTICS = {
    "changes": ("changes", "1000000 1000 1"),
    "changes_by_target": ("changes", "1000000 1000 3"),
}

_KNOWN = text("SELECT idx, stat FROM sqlite_stat1")
_FORGET = text("DELETE FROM sqlite_stat1 WHERE tbl = :tbl")
_ADD = text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:tbl, :idx, :stat)")
