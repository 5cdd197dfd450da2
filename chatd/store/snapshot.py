"""Copies of an SQLite database at one moment, and what such a copy says about files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, Engine, create_engine

from chatd.base.private_files import sync_file
from chatd.store.engine import backend_of
from chatd.store.files import IS_HERE
from chatd.store.imports import archives
from chatd.store.schema import attachments, erased_files

PAGE = 1000  # rows that are read at a time


class NamedFile(msgspec.Struct, frozen=True):
    """A file in the uploads folder that the database names. An archive that is being imported has neither a
    size nor a SHA-256 in the database."""

    stored: str
    size: int | None = None
    sha256: str | None = None


def copy_database(engine: Engine, target: Path) -> None:
    """Copy the database to a new file, and return when it is on disk. Others may write meanwhile.

    The copy has no deleted content and no write-ahead log. Raises OSError, DBAPIError; then `target` does not
    exist.
    """
    target.unlink(missing_ok=True)
    # VACUUM INTO would create the file with the rights of the umask.
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    # VACUUM can't run in a transaction, and SQLAlchemy's connections begin one.
    raw = engine.raw_connection()
    try:
        raw.cursor().execute("VACUUM INTO ?", (str(target),))
        sync_file(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        raw.close()


def vacuum(engine: Engine) -> tuple[int, int]:
    """Make the file of an SQLite database as small as possible. Nobody else may use it. Returns its size
    before and after, in bytes. Raises OSError, DBAPIError."""
    path = backend_of(engine).file_of(engine)
    assert path is not None  # noqa: S101 - the caller looks for a file
    before = path.stat().st_size
    raw = engine.raw_connection()
    folder = str(path.absolute().parent).replace("'", "''")
    try:
        # VACUUM writes the whole database to a temporary one. That would be in memory, or on another disk.
        raw.cursor().execute("PRAGMA temp_store = FILE")
        raw.cursor().execute(f"PRAGMA temp_store_directory = '{folder}'")
        raw.cursor().execute("VACUUM")
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        raw.cursor().execute("PRAGMA temp_store_directory = ''")  # it holds for the whole process
        raw.close()
    return before, path.stat().st_size


def open_copy(path: Path) -> Engine:
    """An engine that reads a copy, and never changes it."""
    name = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return create_engine(
        f"sqlite:///file:{name}?mode=ro&immutable=1&uri=true", hide_parameters=True
    )


_FILES = (
    sa.select(attachments.c.id, attachments.c.stored, attachments.c.size, attachments.c.sha256)
    .where(attachments.c.id > sa.bindparam("after"), IS_HERE)
    .order_by(attachments.c.id)
    .limit(PAGE)
)


def files_after(connection: Connection, after: int) -> list[tuple[int, NamedFile]]:
    """The first files with ids above `after` that have arrived, with their ids."""
    rows = connection.execute(_FILES, {"after": after})
    return [(row.id, NamedFile(row.stored, row.size, row.sha256)) for row in rows]


def other_files(connection: Connection) -> list[NamedFile]:
    """The files in the uploads folder that no message carries: archives that are being imported."""
    return [NamedFile(stored) for stored in sorted(archives(connection))]


def files_named(connection: Connection) -> Iterator[NamedFile]:
    """All files that the database names, in one transaction."""
    after = 0
    while page := files_after(connection, after):
        for _, file in page:
            yield file
        after = page[-1][0]
    yield from other_files(connection)


def is_named(connection: Connection, stored: str) -> bool:
    """Whether the database names a file, also one that is still arriving."""
    found = sa.select(attachments.c.id).where(attachments.c.stored == stored)
    return connection.scalar(found) is not None or stored in archives(connection)


def is_to_be_erased(connection: Connection, stored: str) -> bool:
    """Whether a file is about to be removed, because nothing names it any more."""
    found = sa.select(erased_files.c.stored).where(erased_files.c.stored == stored)
    return connection.scalar(found) is not None


def foreign_key_problems(connection: Connection, limit: int) -> list[str]:
    """The first rows that refer to rows that do not exist. For other databases than SQLite the list is
    empty, because they check each change."""
    return backend_of(connection).foreign_key_problems(connection, limit)
