"""Checks at the start that the database is the one that this state folder had when the daemon last ran.

A realm must not start as if it were new when its database is missing, empty, truncated, older than before, or
without its write-ahead log. Three modules share this work:

- chatd.app.marker keeps `marker.json`, the record of what the database has to contain;
- this module compares the database with the record, before anything is written;
- chatd.app.state runs these checks when it opens the state folder, and stops the start or accepts the loss.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError
from twisted.logger import Logger

from chatd.app.marker import MARKER, Marker, read_marker
from chatd.store import database_identity
from chatd.store.database_identity import DatabaseIdentity
from chatd.store.engine import backend_of

# A database up to this size is checked during the start; a larger one while the realm runs.
CHECKED_AT_ONCE = 32 << 20  # bytes

WAYS_OUT = (
    "nothing was changed; restore a backup into an empty state folder (docs/operating/incidents.md), "
    "or start once with --accept-loss to continue with {rest}"
)
WAYS_OUT_ON_SERVER = (
    "nothing was changed; restore the database (docs/scaling.md), or start once with --accept-loss to "
    "continue with what is there"
)

log = Logger()


class Damage(Exception):
    """The database is not what it was; `str()` says why. `usable`: parts of it can still be read.
    `on_server`: it is not in the state folder."""

    def __init__(self, what: str, usable: bool, on_server: bool = False) -> None:
        super().__init__(what)
        self.usable = usable
        self.on_server = on_server

    @property
    def sentence(self) -> str:
        """The sentence for the operator, with what to do."""
        if self.on_server:
            return f"{self}; {WAYS_OUT_ON_SERVER}"
        rest = "what is left" if self.usable else "an empty database"
        return f"{self}; {WAYS_OUT.format(rest=rest)}"


def file_of(engine: Engine) -> Path | None:
    """The file of an SQLite database; None for one in memory, and for other databases."""
    return backend_of(engine).file_of(engine)


def find_marker(folder: Path) -> Marker | None:
    """Read the marker. Raises Damage if it can't be read."""
    try:
        return read_marker(folder)
    except (OSError, msgspec.DecodeError) as error:
        raise Damage(f"{MARKER} can't be read ({error})", usable=True) from None


def check_file(path: Path, marker: Marker | None, uploads: Path) -> None:
    """Check the database file before it is opened, because opening would create it. Raises Damage."""
    problem = database_identity.problems_of_file(path)
    if problem is None:
        return
    if marker is None and not path.exists() and not _has_files(uploads):
        return  # the first start
    if marker is None and not _has_files(uploads) and path.stat().st_size == 0:
        return  # the first start was interrupted
    raise Damage(problem, usable=False)


# Why a database may lack what the marker says
LOST_FILE = "its write-ahead log (chatd.db-wal) is gone"
LOST_ON_SERVER = (
    "the server has lost it, was restored, or is a standby that had not received everything"
)


def check_content(engine: Engine, marker: Marker | None) -> None:
    """Compare an opened database with the marker. Raises Damage."""
    backend = backend_of(engine)
    try:
        with engine.connect() as connection, connection.begin():
            found = database_identity.read(connection)
            problems = []
            if marker is not None and not marker.clean and is_small(file_of(engine)):
                problems = database_identity.quick_check(connection)
    except DatabaseError as error:
        damage = backend.damage_in(error.orig)
        if damage is None:
            raise
        raise Damage(
            f"the database is damaged ({damage})", usable=False, on_server=backend.is_shared
        ) from None
    flaw = None if marker is None else _flaw(found, marker, backend.is_shared)
    if flaw is None and problems:
        flaw = f"the database is damaged ({'; '.join(problems)})"
    if flaw is not None:
        raise Damage(flaw, usable=True, on_server=backend.is_shared)


def _flaw(found: DatabaseIdentity | None, marker: Marker, on_server: bool) -> str | None:
    """What the database lacks that the marker says, or None."""
    cause = LOST_ON_SERVER if on_server else LOST_FILE
    if found is None:
        empty = "it is empty, from an older chatd, or"
        return f"the database has no data of this realm: {empty} {cause}"
    if found.id != marker.id:
        return "the database is that of another realm"
    if found.mark < marker.mark:
        older = "" if on_server else "it is older than it was, or "
        return f"the database lacks what was written last: {older}{cause}"
    return None


def set_aside(path: Path, now: datetime | None = None) -> None:
    """Rename the files of the damaged database, so that an empty one can be created."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    aside = f"{path.name}.damaged.{stamp}"
    for again in count(2):
        if not any(path.parent.glob(f"{aside}*")):
            break
        aside = f"{path.name}.damaged.{stamp}.{again}"
    for ending in ("", "-wal", "-shm"):
        old = path.with_name(path.name + ending)
        if old.exists():
            new = path.with_name(f"{aside}{ending}")
            old.replace(new)
            log.warn("{old} is now {new}", old=old.name, new=new.name)


def is_small(path: Path | None) -> bool:
    """Whether the database is small enough to check during the start."""
    return path is not None and path.exists() and path.stat().st_size <= CHECKED_AT_ONCE


def _has_files(uploads: Path) -> bool:
    return uploads.is_dir() and any(each.is_file() for each in uploads.iterdir())
