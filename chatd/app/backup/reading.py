"""Reads the database of a backup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from chatd.store.snapshot import open_copy


@contextmanager
def reading(copy: Path) -> Iterator[Connection]:
    """A connection that reads the copy of a database, and can't change it."""
    engine = open_copy(copy)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
