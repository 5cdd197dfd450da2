"""Database engines: how chatd connects, and the settings that SQLite needs.

It also has what depends on the driver: recognizing a damaged database, and faster parameters.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, create_engine, event

READERS = 4  # threads that read; `chatd.store.database` starts them
# Compiled statements that an engine keeps. chatd has more than the 500 that SQLAlchemy keeps by default.
STATEMENTS = 2000
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


def connect(url: str) -> Engine:
    """Return an engine for `url`. SQLite is set up for durability and for readers beside the writer."""
    engine = create_engine(
        url,
        pool_size=READERS + 3,  # the writer, the search thread, and one to spare
        pool_reset_on_return=None,
        query_cache_size=STATEMENTS,
        hide_parameters=True,  # errors are logged, and the log must not contain messages
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        _begin_explicitly(engine.dialect)
    return engine


def _begin_explicitly(dialect: Any) -> None:
    """Let each transaction start with BEGIN. A listener of "begin" would do, too, but an engine that has
    listeners looks for one at each step of each statement."""
    dialect.do_begin = _begin_sqlite


def _set_up_sqlite(connection: Any, _record: object) -> None:
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


def set_up_writer(connection: Connection) -> None:
    """Give the writing connection a larger cache than the others."""
    if connection.dialect.name == "sqlite":
        with connection.begin():
            connection.exec_driver_sql(f"PRAGMA cache_size = -{WRITER_CACHE >> 10}").close()


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _begin_sqlite(connection: Any) -> None:
    connection.execute("BEGIN").close()


def limit_log(connection: Connection, low: bool) -> None:
    """A job: keep the write-ahead log small if the disk is `low`, else as large as usual."""
    if connection.dialect.name == "sqlite":
        pages = LOG_PAGES_WHEN_LOW if low else LOG_PAGES
        connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {pages}").close()


def placeholder(connection: Connection) -> str:
    """Return the mark that stands for a parameter in a statement that is passed to the driver directly."""
    return "?" if connection.dialect.name == "sqlite" else "%s"


def inserted_id(result: CursorResult[Any]) -> int:
    """Return the id of the row that was inserted."""
    key = result.inserted_primary_key
    assert key is not None  # noqa: S101 - an insert that did not fail has a key
    return int(key[0])


def damage_in(error: Exception) -> str | None:
    """Return the driver's message if `error` says that the database is damaged, else None."""
    said = str(getattr(error, "orig", ""))
    return said if "malformed" in said or "not a database" in said else None
