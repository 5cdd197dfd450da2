"""Databases on PostgreSQL for tests of the index for searching: one for each locale."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Engine, text
from twisted.trial.unittest import SkipTest

from chatd.store.engine import backend_of, connect
from chatd.store.schema import metadata
from tests.support.postgres import MISSING, server

LOCALES = ("C", "C.UTF-8")

_EMPTY = text(
    "DELETE FROM search_parts; DELETE FROM search_blocks; DELETE FROM messages; DELETE FROM search_changes; "
    "DELETE FROM attachments; DELETE FROM participants; DELETE FROM conversations; DELETE FROM accounts; "
    "DELETE FROM settings"
)


def _name(locale: str) -> str:
    return f"search_{LOCALES.index(locale)}"


@cache
def _engine(locale: str) -> Engine | None:
    on = server()
    if on is None:
        return None
    name = _name(locale)
    on.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE '{locale}'")
    engine = connect(on.url(name))
    metadata.create_all(engine)
    with engine.begin() as connection:
        backend_of(engine).inform_planner(connection)
    return engine


def empty_engine(locale: str) -> Engine:
    """A database with this locale and no rows. Raises SkipTest if there is no server."""
    engine = _engine(locale)
    if engine is None:
        raise SkipTest(MISSING)
    with engine.begin() as connection:
        connection.execute(_EMPTY)
    return engine


def files_with(locale: str, text: bytes) -> list[str]:
    """The tables and indexes of the database whose files have these bytes after a checkpoint. Raises
    SkipTest if there is no server."""
    on = server()
    if on is None:
        raise SkipTest(MISSING)
    name = _name(locale)
    on.execute("CHECKPOINT")
    [(oid,)] = on.execute("SELECT oid FROM pg_database WHERE datname = current_database()", name)
    names = dict(on.execute("SELECT relfilenode::text, relname FROM pg_class", name))
    found = [
        file.name
        for file in (on.folder / "data" / "base" / str(oid)).iterdir()
        if text in file.read_bytes()
    ]
    return [names.get(each, each) for each in found]


def maintain(locale: str, statement: str) -> None:
    """Execute a statement outside of a transaction. Raises SkipTest if there is no server."""
    on = server()
    if on is None:
        raise SkipTest(MISSING)
    on.execute(statement, _name(locale))
