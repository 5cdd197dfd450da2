"""`marker.json` in the state folder records what the database has to contain, so that damage is noticed.

The database holds a random id and a mark: a number that grows at each start, after the write-ahead log was
folded into the database file, and once a minute while something is written. The file holds both too, and is
written after the database has committed them. So the database's mark is below the file's only if the database
is older than it was, or its log is gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from chatd.store import identity
from chatd.store.database import Database

MARKER = "marker.json"
LOOK_EVERY = 1.0  # seconds
MARK_EVERY = 60.0  # seconds

log = Logger()


class Marker(msgspec.Struct, frozen=True):
    """`clean`: the daemon shut down cleanly and closed the database. `lossy`: an operator has accepted a
    loss, so files that the database does not know may be all that is left of their messages."""

    id: str
    mark: int
    clean: bool
    lossy: bool = False


def read_marker(folder: Path) -> Marker | None:
    """None if there is none yet. Raises OSError, msgspec.DecodeError."""
    try:
        return msgspec.json.decode((folder / MARKER).read_bytes(), type=Marker)
    except FileNotFoundError:
        return None


def write_marker(folder: Path, marker: Marker) -> None:
    """Replace the file; it is on disk afterwards. Raises OSError."""
    new = folder / f"{MARKER}.new"
    with open(new, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(msgspec.json.encode(marker) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / MARKER)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class MarkKeeper:
    """Advances the mark while the realm runs. Call `settled` after each transaction. `database_file` is None
    if the database is not a local file."""

    def __init__(
        self,
        folder: Path,
        marker: Marker,
        database_file: Path | None,
        database: Database,
        clock: Any,
        in_thread: Callable[..., Deferred[Any]],
    ) -> None:
        self.marker = marker
        self._folder = folder
        self._file = database_file
        self._database = database
        self._clock = clock
        self._in_thread = in_thread
        self._written = self._last_change()
        self._next_look = clock.seconds() + LOOK_EVERY
        self._next_mark = clock.seconds() + MARK_EVERY
        self._moving: Deferred[None] | None = None
        self._stopped = False

    def settled(self) -> None:
        """Note that a transaction is on disk."""
        now = self._clock.seconds()
        if now >= self._next_look and self._moving is None and not self._stopped:
            self._next_look = now + LOOK_EVERY
            self._moving = Deferred.fromCoroutine(self._move(now))
            self._moving.addErrback(lambda failure: log.failure("the mark was not moved", failure))
            if self._moving.called:
                self._moving = None

    def stop(self) -> Deferred[None]:
        """Fires once nothing is under way."""
        self._stopped = True
        return succeed(None) if self._moving is None else self._moving

    async def _move(self, now: float) -> None:
        try:
            changed = await self._in_thread(self._last_change)
            if changed == self._written and now < self._next_mark:
                return
            mark = await self._database.run(identity.advance, self.marker.mark)
            self.marker = msgspec.structs.replace(self.marker, mark=mark)
            await self._in_thread(write_marker, self._folder, self.marker)
            self._written, self._next_mark = changed, now + MARK_EVERY
        except Exception as error:
            # The disk may be full. The next transaction tries again.
            log.warn("the mark was not moved on: {error}", error=str(error))
        finally:
            self._moving = None

    def _last_change(self) -> int:
        """The time of the last change of the database file (ns): a checkpoint of the log changes it."""
        try:
            return 0 if self._file is None else self._file.stat().st_mtime_ns
        except OSError:
            return -1
