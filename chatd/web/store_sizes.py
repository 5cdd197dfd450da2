"""Measures the disk, the database's files and the stored files for the metrics."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatd.base.background import in_background
from chatd.files.disk_space import measure
from chatd.service.chat_service import ChatService
from chatd.store.engine import size_on_server
from chatd.store.files import all_bytes

# Seconds for which the size of all files is kept, because adding it up reads a row of each
UPLOADS_EVERY = 300.0
WAL = "-wal"  # SQLite's log beside the database


class StoreSizes(msgspec.Struct, frozen=True):
    """Sizes in bytes; None where they could not be measured. `disk` is its free space."""

    disk: int | None = None
    database: int | None = None
    log: int | None = None
    uploads: int | None = None


class SizeMeasure:
    """Measures the store of `service`."""

    def __init__(self, service: ChatService) -> None:
        self._service = service
        self._uploads: int | None = None
        self._on_server: int | None = None  # bytes of a database on a server, when it answered last
        self._asking = False
        self._due = -math.inf  # when the files are added up again, by the clock

    def measure(self) -> Deferred[StoreSizes]:
        """Fires with the sizes as they are now."""
        return Deferred.fromCoroutine(self._measure())

    async def _measure(self) -> StoreSizes:
        service = self._service
        uploads = service.uploads
        now = service.clock.seconds()
        if now >= self._due:
            # Nothing waits for it: the other sizes are wanted most when the database is slow.
            self._due = now + UPLOADS_EVERY
            adding_up = service.database.read(all_bytes).addCallback(self._added_up)
            in_background("the sizes of files were not added up", adding_up)
        file = service.database.file
        if file is None and not self._asking:
            self._asking = True
            asking = service.database.read(size_on_server).addBoth(self._answered)
            in_background("the size of the database was not measured", asking)
        sizes: StoreSizes = await uploads.in_thread(_look_at, uploads.folder, file)
        if file is None:
            sizes = msgspec.structs.replace(sizes, database=self._on_server)
        return msgspec.structs.replace(sizes, uploads=self._uploads)

    def _answered(self, result: int | Failure | None) -> int | Failure | None:
        self._asking = False
        self._on_server = None if isinstance(result, Failure) else result
        return result

    def _added_up(self, size: int) -> None:
        self._uploads = size


def _look_at(folder: Path, database: Path | None) -> StoreSizes:
    """Runs in a thread."""
    try:
        free: int | None = measure(folder)[0]
    except OSError:
        free = None
    if database is None:
        return StoreSizes(free)
    log = database.with_name(database.name + WAL)
    return StoreSizes(free, _size_of(database), _size_of(log) or 0)


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
