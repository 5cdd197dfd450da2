"""The folder of stored files. All access to the disk happens in its own threads.

A stored file is `YYYY_MM_DD_HH_MM_SS_<safe name>` (UTC, when it was sent). If that name is taken, it has the
next second that is free, or a number before its ending. Files of older releases keep their names.

`thumbnails/` has small versions of pictures (chatd.files.thumbnails).

`incoming/` has the files that are still arriving. The next start removes them, except resumable ones
(`<key>.part`), which come from other realms and over HTTP. `rooms/` has files that do not outlive the daemon,
such as those of rooms; the next start removes those that a killed one left.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO, Any, TypeAlias

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.attachments import Attachment
from chatd.base.cache import Cache
from chatd.base.clocks import Wall
from chatd.base.counters import Counters
from chatd.base.errors import FileDamaged, FileMissing
from chatd.base.private_files import sync_folder
from chatd.base.thread_pools import DaemonPool, stop_pool
from chatd.files.file_names import UNCLAIMED, free_path, from_disk, stored_names, stored_path
from chatd.files.incoming import Incoming
from chatd.files.outgoing import Outgoing
from chatd.files.partial_file import (
    Digest,
    FileInPlace,
    FileState,
    PartialFile,
    state_of,
)
from chatd.files.thumbnails import ThumbnailFolder

THREADS = 4
KEEP_PARTS = 7 * 24 * 3600.0  # seconds for which a suspended file is kept
PROBE = 64 << 10  # bytes that are written to test whether files can be stored
MAX_VERIFIED = 100_000  # files that are remembered as intact
MAX_DIGESTS = 256  # suspended files that can be resumed without reading them back

log = Logger()

# The state of a file when its bytes were compared with its SHA-256, and whether they were intact
Verified: TypeAlias = tuple[FileState, bool]

_KEY = re.compile(r"[a-z0-9.-]+")


class DamagedFile(OSError):
    """The bytes of a stored file are not those that came. `state` is that of the file."""

    def __init__(self, state: FileState) -> None:
        super().__init__("its bytes are not those that came")
        self.state = state


class Uploads:
    """The folder of stored files. Threads report to `reactor`; `wall` dates the files."""

    def __init__(
        self, reactor: Any, folder: Path, counters: Counters | None = None, wall: Wall = time.time
    ) -> None:
        self.counters = counters or Counters()
        self.trouble: str | None = None
        self.folder = folder
        self._reactor = reactor
        self._wall = wall
        self._incoming = folder / "incoming"
        self._rooms = folder / "rooms"
        self.thumbnails = ThumbnailFolder(folder / "thumbnails", self._exists)
        self._pool = DaemonPool(0, THREADS, name="uploads")
        self._counter = count(1)
        # What the last comparison of a file's bytes with its SHA-256 has shown, by name.
        self._verified: Cache[str, Verified] = Cache(MAX_VERIFIED)
        self._digests: Cache[Path, Digest] = Cache(MAX_DIGESTS)
        self._claims: dict[Path, DeferredLock] = {}
        self._active: dict[Path, Incoming] = {}  # those that can be resumed

    def start(self) -> None:
        for folder in (self.folder, self._incoming, self._rooms):
            folder.mkdir(mode=0o700, exist_ok=True)
        for path in self._rooms.iterdir():
            if path.is_file():
                path.unlink()
        self.thumbnails.start()
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Fires once all jobs are done."""
        return stop_pool(self._reactor, self._pool)

    def clean(self, known: Collection[str], keep_parts: float = KEEP_PARTS) -> int:
        """Remove interrupted uploads, and move files that are not `known` to `unclaimed/`. Returns how many
        were moved. Call it at the start only, before any upload.

        Resumable parts that were written to in the last `keep_parts` seconds stay. An unknown file is
        complete: a crash came before its message was stored, or an older database was restored. If it is
        empty, it is removed: it is the name of a file that a crash kept from getting it, or of an empty one.
        """
        oldest = self._wall() - keep_parts
        for path in self._incoming.iterdir():
            if path.is_file() and (path.suffix != ".part" or path.stat().st_mtime < oldest):
                path.unlink()
        known = set(known)
        self.thumbnails.clean(known)
        unclaimed = [
            path
            for path in self.folder.iterdir()
            if path.name not in known and from_disk(path.name) not in known and path.is_file()
        ]
        aside = self.folder / UNCLAIMED
        moved = 0
        for path in unclaimed:
            if not path.stat().st_size:
                path.unlink()
                continue
            aside.mkdir(mode=0o700, exist_ok=True)
            path.replace(free_path(aside / path.name))
            moved += 1
        return moved

    def erase(self, stored: Collection[str]) -> Deferred[None]:
        """Remove files of deleted messages, so that they do not come back after a power cut. Those that are
        arriving are aborted."""
        for name in stored:
            incoming = self._active.get(self._path(name))
            if incoming is not None:
                incoming.abort()
        return self.in_thread(self.erase_now, stored)

    def erase_now(self, stored: Collection[str]) -> None:
        """As `erase`, in this thread."""
        for name in stored:
            self._path(name).unlink(missing_ok=True)
            self.thumbnails.remove(Path(name).name)  # of a part of a file it has no folder
        if stored:
            sync_folder(self.folder)

    def receive(self, name: str, size: int) -> Incoming:
        """A new file of `size` bytes with this (safe) name."""
        path = self._incoming / f"{os.getpid()}-{next(self._counter)}"
        return Incoming(self, PartialFile(path, name, size))

    def receive_temporary(self, name: str, size: int) -> Incoming:
        """As `receive`, for a file that does not outlive the daemon. Its name on disk is a number."""
        path = self._rooms / f"{os.getpid()}-{next(self._counter)}"
        return Incoming(self, FileInPlace(path, name, size))

    def open_nameless(self) -> IO[bytes]:
        """In a thread: a new file for reading and writing that is gone once it is closed."""
        path = self._rooms / f"{os.getpid()}-{next(self._counter)}"
        file = path.open("x+b")
        path.unlink()
        return file

    def open_stored(self, stored: str) -> IO[bytes]:
        """In a thread: open a file for reading by its name in the folder. Raises OSError."""
        return self._path(stored).open("rb")

    def resume(self, key: str, name: str, size: int) -> Deferred[Incoming]:
        """As `receive`, for a file that is kept under `key` when its transfer is suspended or the daemon
        stops.

        The bytes that are there are read back first (`Incoming.offset`). If there are more than `size`, they
        belong to another file and are dropped. Waits until an earlier Incoming of the same key is closed.
        Fails with OSError. May be cancelled.
        """
        return Deferred.fromCoroutine(self._resume(self._part(key), name, size))

    async def _resume(self, path: Path, name: str, size: int) -> Incoming:
        close = await self._claim(path)
        part = PartialFile(path, name, size, resumable=True, digest=self._digests.pop(path))
        incoming = self._active[path] = Incoming(self, part, close)
        try:
            await incoming.read_back()
        except CancelledError:
            incoming.suspend()
            raise
        return incoming

    def forget(self, key: str) -> Deferred[None]:
        """Remove the suspended file of `key`. Waits as `resume` does. Never fails."""
        return Deferred.fromCoroutine(self._forget(self._part(key)))

    async def _forget(self, path: Path) -> None:
        incoming = Incoming(
            self, PartialFile(path, path.name, 0, resumable=True), await self._claim(path)
        )
        incoming.abort()
        await incoming.suspend()

    def kept(self, keys: re.Pattern[str], but: Collection[str]) -> Deferred[int]:
        """The bytes of all parts whose keys match `keys`, without those of the keys `but`. Fails with
        OSError."""
        look = self.in_thread(self._find_parts, keys, set(but))
        return look.addCallback(lambda found: sum(found.values()))

    def suspended(self, keys: re.Pattern[str]) -> Deferred[dict[str, int]]:
        """The sizes of the suspended files whose keys match `keys`, by key, the oldest first. Fails with
        OSError."""
        return self.in_thread(self._find_parts, keys, self.claimed(keys))

    def _find_parts(self, keys: re.Pattern[str], but: Collection[str]) -> dict[str, int]:
        """In a thread: sizes by key, the oldest first."""
        found = []
        for part in self._incoming.glob("*.part"):
            if keys.fullmatch(part.stem) and part.stem not in but:
                with suppress(FileNotFoundError):  # it has just been finished or removed
                    is_now = part.stat()
                    found.append((is_now.st_mtime_ns, part.stem, is_now.st_size))
        return {key: size for _, key, size in sorted(found)}

    def claimed(self, keys: re.Pattern[str]) -> set[str]:
        """The matching keys under which a file is arriving now."""
        return {part.stem for part in self._claims if keys.fullmatch(part.stem)}

    def _part(self, key: str) -> Path:
        assert _KEY.fullmatch(key), f"{key!r} can't be a key"  # noqa: S101
        return self._incoming / f"{key}.part"

    async def _claim(self, path: Path) -> Callable[[Digest | None], None]:
        """Wait for the exclusive use of a part. Returns the function that ends it."""
        lock = self._claims.setdefault(path, DeferredLock())
        await lock.acquire()

        def release(digest: Digest | None) -> None:
            self._active.pop(path, None)
            if digest is not None:
                self._digests[path] = digest
            lock.release()
            if not lock.locked:
                del self._claims[path]

        return release

    def open(self, attachment: Attachment) -> Deferred[Outgoing]:
        """Open a stored file for reading, if it is intact. Fails with FileMissing, FileDamaged, OSError.

        Its bytes are compared with its SHA-256 when the file is first opened after a start, and again when
        the file system shows a change.
        """
        opening = self.in_thread(self._open, attachment, self._verified.get(attachment.stored))
        return opening.addCallbacks(
            self._opened, self._not_opened, (attachment,), {}, (attachment,)
        )

    def read_piece(self, attachment: Attachment, offset: int, size: int) -> Deferred[bytes]:
        """At most `size` bytes of a stored file, if it is intact. Fails as `open`."""
        known = self._verified.get(attachment.stored)
        reading = self.in_thread(self._read_piece, attachment, known, offset, size)
        return reading.addCallbacks(
            self._piece_read, self._not_opened, (attachment,), {}, (attachment,)
        )

    def _read_piece(
        self, attachment: Attachment, verified: Verified | None, offset: int, size: int
    ) -> tuple[bytes, FileState]:
        """In a thread. Raises DamagedFile, OSError."""
        file, state = self._open(attachment, verified)
        with file:
            file.seek(offset)
            return file.read(size), state

    def _piece_read(self, found: tuple[bytes, FileState], attachment: Attachment) -> bytes:
        data, state = found
        self._verified[attachment.stored] = state, True
        self.counters.given += len(data)
        return data

    async def is_whole(self, attachment: Attachment) -> bool:
        """Whether a stored file exists and is intact."""
        if attachment.arrival is not None:
            return False
        try:
            file = await self.open(attachment)
        except (FileMissing, FileDamaged, OSError):
            return False
        await file.close()
        return True

    def _open(
        self, attachment: Attachment, verified: Verified | None
    ) -> tuple[IO[bytes], FileState]:
        """In a thread. Raises DamagedFile, OSError."""
        file = self._path(attachment.stored).open("rb")
        try:
            state = state_of(file.fileno())
            if verified is not None and verified[0] == state:
                intact = verified[1]
            else:
                intact = (
                    state[1] == attachment.size
                    and hashlib.file_digest(file, "sha256").hexdigest() == attachment.sha256
                )
                file.seek(0)
            if not intact:
                raise DamagedFile(state)
        except BaseException:
            file.close()
            raise
        return file, state

    def _opened(self, found: tuple[IO[bytes], FileState], attachment: Attachment) -> Outgoing:
        file, state = found
        self._verified[attachment.stored] = state, True
        return Outgoing(self, file, attachment.size)

    def _not_opened(self, failure: Failure, attachment: Attachment) -> Failure:
        error = failure.value
        if isinstance(error, DamagedFile):
            damaged = error.state, False
            if self._verified.get(attachment.stored) == damaged:
                raise FileDamaged(name=attachment.name)  # which was logged before
            self._verified[attachment.stored] = damaged
        log.critical(
            "the file {code} in uploads/{stored} is not sent: {error}",
            code=attachment.code,
            stored=attachment.stored,
            error="it is missing" if isinstance(error, FileNotFoundError) else str(error),
        )
        if isinstance(error, FileNotFoundError):
            raise FileMissing(name=attachment.name)
        if isinstance(error, DamagedFile):
            raise FileDamaged(name=attachment.name)
        return failure

    def remove(self, stored: str) -> Deferred[None]:
        """Remove a file whose attachment was not committed."""
        return self.in_thread(self._path(stored).unlink, True)

    def _exists(self, stored: str) -> bool:
        return self._path(stored).exists()

    def _path(self, stored: str) -> Path:
        return stored_path(self.folder, stored)

    def probe(self) -> Deferred[None]:
        """Write and remove a small file, to find out whether that works again. Fails with OSError."""
        return self.in_thread(self._probe).addCallback(self._probed)

    def _probe(self) -> None:
        path = self._incoming / f"{os.getpid()}-probe"
        try:
            with path.open("wb") as file:
                file.write(bytes(PROBE))
                file.flush()
                os.fsync(file.fileno())
        finally:
            path.unlink(missing_ok=True)

    def _probed(self, _result: None) -> None:
        self.trouble = None

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._pool, work, *args)

    def keep(self, temporary: Path, name: str, sent_at: int | None) -> str:
        """In a thread: give a complete file its final name, and sync the folder. Returns the name.

        `sent_at` (ms since 1970 UTC) is when it was sent; None means now.
        """
        for stored in stored_names(name, self._now() if sent_at is None else sent_at):
            target = self._path(stored)
            try:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                continue
            try:
                temporary.replace(target)
                sync_folder(self.folder)
            except OSError:
                with suppress(OSError):
                    target.unlink()
                raise
            return stored
        raise AssertionError("there is always another number")

    def _now(self) -> int:
        """The time in ms since 1970 UTC."""
        return int(self._wall() * 1000)
