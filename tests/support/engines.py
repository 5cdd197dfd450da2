"""Tests on one kind of database, or on both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from unittest import skipIf

import sqlalchemy as sa

from chatd.simulate.databases import connect_without_sync
from chatd.store.schema import accounts, metadata
from tests import ON_POSTGRES

T = TypeVar("T", bound=Callable[..., object])


def only_sqlite(what: str) -> Callable[[T], T]:
    """Skip a test, or a class of tests, on PostgreSQL, because it is about `what` of SQLite."""
    return skipIf(ON_POSTGRES, f"about {what} of SQLite")


def new_database(case: Any) -> sa.Engine:
    """An empty database with the schema, for a test, in memory or on a server."""
    if ON_POSTGRES:
        engine = connect_without_sync(f"sqlite:///{case.mktemp()}")
    else:
        engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        metadata.create_all(engine)
    case.addCleanup(engine.dispose)
    return engine


def add_accounts(connection: sa.Connection, ids: Iterable[int]) -> None:
    """Add accounts to which other rows refer."""
    rest = {"password": "", "country": "", "created_at": 0}
    rows: list[dict[str, Any]] = []
    for each in ids:
        name = f"user{each}"
        rows.append({"id": each, "key": name, "name": name, "display_name": name, **rest})
    connection.execute(sa.insert(accounts), rows)
