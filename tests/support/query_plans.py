"""How SQLite carries out queries."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from unittest import SkipTest

import sqlalchemy as sa

from tests import ON_POSTGRES


def plans(engine: sa.Engine, read: Callable[[], object], *tables: str) -> list[str]:
    """The steps of the queries that `read` makes, as far as they look into one of `tables`. The
    test is skipped on another database."""
    if ON_POSTGRES:
        raise SkipTest("about the plans of SQLite")
    seen: list[tuple[str, Any]] = []

    def note(*args: Any) -> None:
        seen.append((args[2], args[3]))

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        read()
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    names = re.compile(rf"\b({'|'.join(tables)})\b")
    with engine.connect() as connection:
        return [
            row[3]
            for statement, values in seen
            if statement.lstrip().startswith(("SELECT", "WITH"))
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            if names.search(row[3])
        ]
