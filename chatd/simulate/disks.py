"""The disk of a realm: what SQLite has written to it and not synced is lost in part when the power fails."""

from __future__ import annotations

import dataclasses
import os
from errno import EIO, ENOSPC
from pathlib import Path
from random import Random
from typing import Any, cast

import msgspec
from sqlalchemy import Engine, event

from chatd.simulate.databases import connect_quickly
from chatd.simulate.files import StateFiles
from chatd.simulate.stepped import STEPPED, SteppedDatabase, SteppedUploads
from chatd.simulate.vfs import FULL, IOERR_FSYNC, IOERR_TRUNCATE, IOERR_WRITE, OK, SimulatedVfs

SECTOR = 512  # bytes that a disk writes completely or not at all


class Change(msgspec.Struct):
    """A write (of `data`) or a truncation (None) at `offset`, and what it has replaced."""

    offset: int
    data: bytes | None
    old: bytes
    old_size: int


class Disk:
    """The files of the database in a realm's state folder.

    While it is `full`, nothing can be written, and the next `failing` writes fail. With a `countdown`, the
    power fails after so many more writes: the disk is `dead` then, and nothing changes it any more until
    `lose_power`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = StateFiles(folder, folder.with_name(f"files of {folder.name}"))
        self.full = False
        self.failing = 0
        self.countdown: int | None = None
        self.dead = False
        self._unsynced: dict[str, list[Change]] = {}
        self.lost = 0  # changes that were lost with the power
        self._created: list[str] = []  # files whose names are not on the disk yet
        self._open: dict[str, int] = {}  # descriptors

    def forget(self) -> None:
        """Whatever is in the folder now is on the disk."""
        if self.folder.exists():
            self.files.settle()
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        self._unsynced.clear()
        self._created.clear()

    # What SQLite does

    def write(self, path: str, data: bytes, offset: int) -> int:
        if (error := self._trouble(IOERR_WRITE)) != OK:
            return error
        descriptor = self._descriptor(path)
        old = os.pread(descriptor, len(data), offset)
        size = os.fstat(descriptor).st_size
        self._unsynced.setdefault(path, []).append(Change(offset, data, old, size))
        return OK

    def truncate(self, path: str, size: int) -> int:
        if self.dead:
            return IOERR_TRUNCATE
        descriptor = self._descriptor(path)
        old_size = os.fstat(descriptor).st_size
        old = os.pread(descriptor, max(0, old_size - size), size)
        self._unsynced.setdefault(path, []).append(Change(size, None, old, old_size))
        return OK

    def sync(self, path: str) -> int:
        if (error := self._trouble(IOERR_FSYNC)) != OK:
            return IOERR_FSYNC if error == FULL else error
        self._unsynced.pop(path, None)
        if path in self._created:
            self._created.remove(path)
        return OK

    def removed(self, path: str) -> bool:
        """Whether the file may be removed."""
        if self.dead:
            return False
        self._unsynced.pop(path, None)
        if path in self._open:
            os.close(self._open.pop(path))
        return True

    def _trouble(self, error: int) -> int:
        if self.countdown is not None:
            self.countdown -= 1
            self.dead |= self.countdown < 0
        if self.dead:
            return error
        if self.full:
            return FULL
        if self.failing:
            self.failing -= 1
            return error
        return OK

    def _descriptor(self, path: str) -> int:
        found = self._open.get(path)
        if found is None:
            found = self._open[path] = os.open(path, os.O_RDWR)
            if os.fstat(found).st_size == 0:
                self._created.append(path)
        return found

    # What happens to it

    @property
    def unsynced(self) -> int:
        """How many changes are not on the disk yet."""
        return sum(map(len, self._unsynced.values()))

    def repair(self) -> None:
        """It works, and has room."""
        self.countdown, self.failing, self.full = None, 0, False

    def lose_power(self, random: Random) -> str:
        """Rebuild the files from what was synced, and some of the rest. Call it when the realm is dead.
        Returns what was done."""
        said = []
        for path, changes in self._unsynced.items():
            descriptor = self._descriptor(path)
            for change in reversed(changes):
                _undo(descriptor, change)
            kept = _survivors(changes, random)
            for change in kept:
                _do(descriptor, change)
            self.lost += len(changes) - len(kept)
            said.append(f"{Path(path).name}: {len(kept)} of {len(changes)} changes survive")
        changed = self.files.lose_power(random)
        if changed:
            said.append(f"{changed} other files are changed")
        gone = [path for path in self._created if random.random() < 0.5]
        self.forget()
        for path in gone:
            Path(path).unlink(missing_ok=True)
            said.append(f"{Path(path).name} vanishes")
        for memory in self.folder.glob("*-shm"):
            memory.unlink()
        self.dead = False
        self.repair()
        return "; ".join(said) or "everything was synced"


class Disks:
    """The disks of a simulation. Until they are closed, they also get what is synced otherwise.

    SQLite syncs as its `synchronous` says: FULL, as in the daemon, or less, to see that a simulation notices.
    """

    def __init__(self, vfs: SimulatedVfs, synchronous: str) -> None:
        self.disks: dict[Path, Disk] = {}
        self._vfs = vfs
        self._synchronous = synchronous
        self.threads = dataclasses.replace(
            STEPPED,
            connect=self._connect,
            database=cast(Any, self._database),
            uploads=cast(Any, self._uploads),
        )
        self._fsync = os.fsync
        os.fsync = self.fsync  # type: ignore[assignment]

    @property
    def lossy(self) -> bool:
        return self._synchronous != "FULL"

    def add(self, folder: Path) -> None:
        """Give the realm with that state folder a disk."""
        disk = self.disks[folder] = Disk(folder)
        self._vfs.watchers[f"{folder}/"] = disk

    def fsync(self, descriptor: int) -> None:
        """In place of os.fsync. Raises OSError."""
        path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - it may be gone
        for folder, disk in self.disks.items():
            if Path(path).is_relative_to(folder):
                if disk.dead or disk.full:
                    raise OSError(EIO if disk.dead else ENOSPC, "the disk does not take it")
                disk.files.synced(descriptor, path)

    def close(self) -> None:
        os.fsync = self._fsync
        for folder, disk in self.disks.items():
            disk.forget()
            del self._vfs.watchers[f"{folder}/"]

    def _connect(self, url: str) -> Engine:
        engine = connect_quickly(url)
        event.listen(engine, "connect", self._set_up)
        return engine

    def _database(self, engine: Engine, *others: Any) -> SteppedDatabase:
        database = SteppedDatabase(engine, *others)
        disk = self.disks[Path(engine.url.database or "").parent]
        database.is_off = lambda: disk.dead
        return database

    def _uploads(self, clock: Any, folder: Path, *others: Any) -> SteppedUploads:
        uploads = SteppedUploads(clock, folder, *others)
        disk = self.disks[folder.parent]
        uploads.is_off = lambda: disk.dead
        return uploads

    def _set_up(self, connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA synchronous = {self._synchronous}").close()


def _undo(descriptor: int, change: Change) -> None:
    os.pwrite(descriptor, change.old, change.offset)
    os.ftruncate(descriptor, change.old_size)


def _do(descriptor: int, change: Change) -> None:
    if change.data is None:
        os.ftruncate(descriptor, change.offset)
    else:
        os.pwrite(descriptor, change.data, change.offset)


def _survivors(changes: list[Change], random: Random) -> list[Change]:
    """None, all, the first ones or any of the changes. A write may be torn between two sectors."""
    match random.randrange(4):
        case 0:
            return []
        case 1:
            return list(changes)
        case 2:
            kept = changes[: random.randint(0, len(changes))]
        case _:
            kept = [each for each in changes if random.random() < 0.5]
    return [_torn(each, random) if random.random() < 0.2 else each for each in kept]


def _torn(change: Change, random: Random) -> Change:
    if change.data is None or len(change.data) <= SECTOR:
        return change
    size = random.randrange(0, len(change.data), SECTOR)
    return msgspec.structs.replace(change, data=change.data[:size])
