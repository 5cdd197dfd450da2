"""Keeps `marker.json`, the record of what the database has to contain (chatd.app.integrity compares them).

The database has a random id and a mark, which is a number that grows at each start, after each checkpoint of
the write-ahead log, and once a minute while something is written. `marker.json` has both too, and is written
after the database has committed them. So the mark in the database is smaller than that in the file only if
the database is an older copy, or its write-ahead log is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.private_files import write_private
from chatd.store import database_identity
from chatd.store.database import Database

MARKER = "marker.json"
CHECK_EVERY = 1.0  # seconds
MARK_EVERY = 60.0  # seconds

log = Logger()


class Marker(msgspec.Struct, frozen=True):
    """The record. `clean`: the daemon closed the database in order. `lossy`: an operator has accepted a loss,
    so uploads that the database does not know may be all that is left of their messages."""

    id: str
    mark: int
    clean: bool
    lossy: bool = False


def read_marker(folder: Path) -> Marker | None:
    """Returns None if there is no file yet. Raises OSError, msgspec.DecodeError."""
    try:
        return msgspec.json.decode((folder / MARKER).read_bytes(), type=Marker)
    except FileNotFoundError:
        return None


def write_marker(folder: Path, marker: Marker) -> None:
    """Replace the file, and return when it is on disk. Raises OSError."""
    write_private(folder / MARKER, msgspec.json.encode(marker) + b"\n")


class MarkKeeper:
    """Advances the mark while the realm runs. Call `settled` after each transaction. `database_file` is None
    if the database is not a local file."""

    def __init__(
        self,
        folder: Path,
        marker: Marker,
        database_file: Path | None,
        database: Database,
        clock: IReactorTime,
        in_thread: Callable[..., Deferred[Any]],
    ) -> None:
        self.marker = marker
        self._folder = folder
        self._file = database_file
        self._database = database
        self._clock = clock
        self._in_thread = in_thread
        self._written = self._last_change()
        self._next_check = clock.seconds() + CHECK_EVERY
        self._next_mark = clock.seconds() + MARK_EVERY
        self._advancing: Deferred[None] | None = None
        self._stopped = False

    def settled(self) -> None:
        """Advance the mark if that is due. Call this when a transaction is on disk."""
        now = self._clock.seconds()
        if now >= self._next_check and self._advancing is None and not self._stopped:
            self._next_check = now + CHECK_EVERY
            self._advancing = in_background("the mark was not advanced", self._advance(now))
            if self._advancing.called:
                self._advancing = None

    def stop(self) -> Deferred[None]:
        """Advance the mark no more. Fires when the last change is written."""
        self._stopped = True
        return succeed(None) if self._advancing is None else self._advancing

    async def _advance(self, now: float) -> None:
        try:
            changed = await self._in_thread(self._last_change)
            if changed == self._written and now < self._next_mark:
                return
            mark = await self._database.run(database_identity.advance, self.marker.mark)
            self.marker = msgspec.structs.replace(self.marker, mark=mark)
            await self._in_thread(write_marker, self._folder, self.marker)
            self._written, self._next_mark = changed, now + MARK_EVERY
        except OSError as error:
            # The disk may be full. The next transaction tries again.
            log.warn("the mark was not advanced: {error}", error=str(error))
        finally:
            self._advancing = None

    def _last_change(self) -> int:
        """When the database file was changed last (ns since 1970 UTC). A checkpoint of the log changes it."""
        try:
            return 0 if self._file is None else self._file.stat().st_mtime_ns
        except OSError:
            return -1
