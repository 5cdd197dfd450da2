"""Database engines: how chatd connects, and which backend a connection has."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import NoSuchModuleError

from chatd.store.backend import Backend
from chatd.store.sqlite import SQLite

# By the names of the drivers, as SQLAlchemy's dialects have them
_BACKENDS: dict[str, Backend] = {"pysqlite": SQLite()}
_DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg"}


def add_backend(driver: str, backend: Backend) -> None:
    """Let connections over the driver of that name have `backend`."""
    _BACKENDS[driver] = backend


def _backend(driver: str) -> Backend:
    """Raises NoSuchModuleError for a database that chatd does not know."""
    found = _BACKENDS.get(driver)
    if found is None:
        if driver != "psycopg":
            raise NoSuchModuleError(
                f"chatd has no backend for {driver}; it knows sqlite and postgresql"
            )
        from chatd.store.postgres import Postgres

        found = _BACKENDS[driver] = Postgres()
    return found


def connect(url: str) -> Engine:
    """Return an engine for `url`, set up for durability and for readers beside the writer. Raises
    ArgumentError, NoSuchModuleError, ImportError."""
    name = make_url(url).get_backend_name()
    return _backend(_DRIVERS.get(name, name)).connect(url)


def is_pooled(url: str) -> bool:
    """Whether `url` leads to a connection pooler, where nothing lasts from one transaction to the next."""
    return "pooler" in make_url(url).query


def backend_of(connected: Connection | Engine) -> Backend:
    """The backend of a connection or of an engine."""
    return _backend(connected.dialect.driver)


def alone(engine: Engine) -> AbstractContextManager[None]:
    """Let no other node write to the database while this block runs (see Backend.alone)."""
    return backend_of(engine).alone(engine)


def size_on_server(connection: Connection) -> int | None:
    """A query: the bytes that a database on a server has on its disk; None for others."""
    return backend_of(connection).size(connection)


def limit_log(connection: Connection, low: bool) -> None:
    """A job: keep the write-ahead log small if the disk is `low`, else as large as usual."""
    backend_of(connection).limit_log(connection, low)


def placeholder(connection: Connection) -> str:
    """Return the mark that stands for a parameter in a statement that is passed to the driver directly."""
    return backend_of(connection).placeholder


def inserted_id(result: CursorResult[Any]) -> int:
    """Return the id of the row that was inserted."""
    key = result.inserted_primary_key
    assert key is not None  # noqa: S101 - an insert that did not fail has a key
    return int(key[0])
