"""The id and the mark by which a database is recognized (see chatd.app.marker), and checks for damage.

Jobs and queries for the Database, and a check of an SQLite file that is not open.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy import Connection, inspect, select

from chatd.store.engine import backend_of
from chatd.store.schema import settings
from chatd.store.settings import get_setting, put_setting

_ID = "realm id"
_MARK = "mark"
MAX_PROBLEMS = 3  # that quick_check lists

_MAGIC = b"SQLite format 3\0"
_HEADER = 100  # bytes (https://www.sqlite.org/fileformat2.html, 1.3)


class DatabaseIdentity(msgspec.Struct, frozen=True):
    """The database's random id, and its mark (see chatd.app.marker)."""

    id: str
    mark: int


_IDENTITY = select(settings.c.name, settings.c.value).where(settings.c.name.in_((_ID, _MARK)))


def read(connection: Connection) -> DatabaseIdentity | None:
    """None if the database has none: it is empty, or from an older chatd."""
    if not inspect(connection).has_table(settings.name):
        return None
    found = {row.name: row.value for row in connection.execute(_IDENTITY)}
    return DatabaseIdentity(found[_ID], int(found[_MARK])) if len(found) == 2 else None


def claim(connection: Connection, new_id: Callable[[], str], mark: int) -> DatabaseIdentity:
    """Give the database a mark above `mark` and above its own, and an id if it has none."""
    found = read(connection) or DatabaseIdentity(new_id(), 0)
    claimed = DatabaseIdentity(found.id, max(mark, found.mark) + 1)
    put_setting(connection, _ID, claimed.id)
    put_setting(connection, _MARK, str(claimed.mark))
    return claimed


def advance(connection: Connection, mark: int) -> int:
    """Advance the mark, which was `mark` at least, and return it. Other nodes may have advanced it, too."""
    found = int(get_setting(connection, _MARK) or 0)
    advanced = max(found, mark) + 1
    put_setting(connection, _MARK, str(advanced))
    return advanced


def problems_of_file(path: Path) -> str | None:
    """Return what is wrong with an SQLite file, judged by its header and size, or None. Raises OSError."""
    if not path.exists():
        return f"{path.name} is missing"
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(_HEADER)
    if not header:
        return f"{path.name} is empty"
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        return f"{path.name} is not an SQLite database"
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        return None  # pages that are not in the file may be in its log
    page = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    expected = (65536 if page == 1 else page) * pages
    # The size in the header is valid if it was written together with the change counter.
    if header[24:28] == header[92:96] and size < expected:
        return f"{path.name} is cut off after {size} of {expected} bytes"
    return None


def quick_check(connection: Connection) -> list[str]:
    """Return the first errors in the structure of an SQLite database. It reads the whole database. For others
    the list is empty."""
    return backend_of(connection).quick_check(connection, MAX_PROBLEMS)
