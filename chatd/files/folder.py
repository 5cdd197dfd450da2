"""Attachments' bytes: streamed to a temporary file, hashed, synced, renamed. Never in the reactor's thread.

In the folder stand `<UTC timestamp>-<safe name>` for each attachment, and `incoming/` with what is still
arriving: what a crash leaves there is cleaned at the next start, but for `<key>.part`, which comes from
another realm or over HTTP, and can be gone on with.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, Any, TypeAlias

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatd.base.cache import Cache
from chatd.base.characters import MAX_FILE_NAME, without_hidden
from chatd.base.clocks import Wall
from chatd.base.counters import Counters
from chatd.base.errors import BadFileName, FileDamaged, FileMissing
from chatd.base.model import Attachment, StoredFile
from chatd.base.names import printable
from chatd.base.thread_pools import stop_pool
from chatd.files.incoming import MAX_PENDING, ChangedBytes, Incoming, guess_type

__all__ = [
    "KEEP_PARTS",
    "MAX_NAME_BYTES",
    "MAX_PENDING",
    "ChangedBytes",
    "Incoming",
    "Outgoing",
    "StoredFile",
    "Uploads",
    "guess_type",
    "safe_name",
]

THREADS = 4
KEEP_PARTS = 7 * 24 * 3600.0  # seconds for which a file that can be gone on with is kept
PROBE = 64 << 10  # bytes that are written to test whether files can be stored
MAX_VERIFIED = 100_000  # files that are remembered as intact
MAX_NAME_BYTES = 200  # of the 255 that file systems allow, with room for the timestamp

# Inode, size, and the times of the last change of bytes and of the inode, in ns.
FileState: TypeAlias = tuple[int, int, int, int]

log = Logger()

_LEADING = re.compile(r"^[\s.]+")
_KEY = re.compile(r"[a-z0-9.-]+")


def safe_name(name: str) -> str:
    """`name` without path, leading dots, and characters that control, hide or reorder something.

    Raises BadFileName if nothing is left.
    """
    bare = without_hidden(re.split(r"[/\\]", name)[-1][-MAX_FILE_NAME:])
    safe = _LEADING.sub("", bare).rstrip()
    if not safe:
        raise BadFileName(name=printable(name))
    stem, dot, ending = safe.rpartition(".")
    if not dot or len(ending) > 16:
        stem, ending = safe, ""
    room = MAX_NAME_BYTES - len((dot + ending).encode()) if ending else MAX_NAME_BYTES
    stem = stem.encode()[:room].decode(errors="ignore")
    return f"{stem}.{ending}" if ending else stem


class Uploads:
    """The uploads folder. `reactor` is where threads report back to; `wall` dates the files."""

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        counters: Counters | None = None,
        wall: Wall = time.time,
    ) -> None:
        self.counters = counters or Counters()
        self.trouble: str | None = None
        self._reactor = reactor
        self._wall = wall
        self.folder = folder
        self._incoming = folder / "incoming"
        self._pool = ThreadPool(0, THREADS, name="uploads")
        self._counter = 0
        # The state of files when their bytes were compared with their SHA-256, by name.
        self._verified: Cache[str, FileState] = Cache(MAX_VERIFIED)
        self._parts: dict[Path, DeferredLock] = {}  # that are somebody's

    def start(self) -> None:
        for folder in (self.folder, self._incoming):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Fires once all requests are done."""
        return stop_pool(self._reactor, self._pool)

    def clean(self, known: Collection[str], keep_parts: float = KEEP_PARTS) -> int:
        """Remove broken uploads, and set aside in `unclaimed/` whatever no attachment owns.

        Spared are parts that were written to in the last `keep_parts` seconds: they may be resumed. What
        is set aside is what a crash between a file and its message leaves; but it may also be that an
        older database was put back, so nothing that arrived whole is thrown away here. Returns how many
        files were set aside. For the start only: it must not meet a running upload.
        """
        oldest = self._wall() - keep_parts
        for path in self._incoming.iterdir():
            if path.is_file() and (path.suffix != ".part" or path.stat().st_mtime < oldest):
                path.unlink()
        unclaimed = [
            path for path in self.folder.iterdir() if path.is_file() and path.name not in known
        ]
        aside = self.folder / "unclaimed"
        if unclaimed:
            aside.mkdir(mode=0o700, exist_ok=True)
        for path in unclaimed:
            path.replace(aside / path.name)
        return len(unclaimed)

    def receive(self, name: str, size: int, drained: Callable[[], None]) -> Incoming:
        """Make ready for `size` bytes of a file with this (safe) name."""
        self._counter += 1
        return Incoming(
            self, self._incoming / f"{os.getpid()}-{self._counter}", name, size, drained
        )

    def resume(
        self, key: str, name: str, size: int, drained: Callable[[], None]
    ) -> Deferred[Incoming]:
        """As `receive`, for a file that is kept under `key` when the sending breaks off, or this daemon.

        What is there of it is read back first: see `Incoming.offset`. If that is more than `size`, it is
        another file, and is thrown away. An earlier Incoming of the same key is waited for until it is
        finished, aborted or suspended. Errs with OSError. May be cancelled.
        """
        return Deferred.fromCoroutine(self._resume(self._part(key), name, size, drained))

    async def _resume(
        self, part: Path, name: str, size: int, drained: Callable[[], None]
    ) -> Incoming:
        incoming = Incoming(self, part, name, size, drained, await self._claim(part))
        try:
            return await incoming.read_back()
        except CancelledError:
            incoming.suspend()
            raise

    def forget(self, key: str) -> Deferred[None]:
        """Remove what was suspended under `key` and will not be gone on with. Waits as `resume` does;
        never errs."""
        return Deferred.fromCoroutine(self._forget(self._part(key)))

    async def _forget(self, part: Path) -> None:
        incoming = Incoming(self, part, part.name, 0, lambda: None, await self._claim(part))
        incoming.abort()
        await incoming.suspend()

    def kept(self, keys: re.Pattern[str], but: Collection[str]) -> Deferred[int]:
        """How many bytes are kept under such keys, save some of them. Errs with OSError."""
        look = self.in_thread(self._look_for, keys, set(but))
        return look.addCallback(lambda found: sum(found.values()))

    def suspended(self, keys: re.Pattern[str]) -> Deferred[dict[str, int]]:
        """The sizes of what is kept under such keys and is nobody's now, by key, the oldest first. Errs with
        OSError."""
        return self.in_thread(self._look_for, keys, self.claimed(keys))

    def _look_for(self, keys: re.Pattern[str], but: Collection[str]) -> dict[str, int]:
        """In a thread: sizes by key, the oldest first."""
        found = []
        for part in self._incoming.glob("*.part"):
            if keys.fullmatch(part.stem) and part.stem not in but:
                with suppress(FileNotFoundError):  # it has just been finished or given up
                    is_now = part.stat()
                    found.append((is_now.st_mtime_ns, part.stem, is_now.st_size))
        return {key: size for _, key, size in sorted(found)}

    def claimed(self, keys: re.Pattern[str]) -> set[str]:
        """Those of such keys that are somebody's now: something is arriving under them."""
        return {part.stem for part in self._parts if keys.fullmatch(part.stem)}

    def _part(self, key: str) -> Path:
        assert _KEY.fullmatch(key), f"{key!r} can't be a key"  # noqa: S101
        return self._incoming / f"{key}.part"

    async def _claim(self, part: Path) -> Callable[[], None]:
        """Wait until this part is nobody's. Returns what is to be called when it is so again."""
        lock = self._parts.setdefault(part, DeferredLock())
        await lock.acquire()

        def release() -> None:
            lock.release()
            if not lock.locked:
                del self._parts[part]

        return release

    def open(self, attachment: Attachment) -> Deferred[Outgoing]:
        """Open a stored file for reading, if it is intact.

        Its bytes are compared with the SHA-256 when the file is first opened after a start, and again
        whenever the file system says that it has changed. Fails with FileMissing, FileDamaged, OSError.
        """
        opening = self.in_thread(self._open, attachment, self._verified.get(attachment.stored))
        return opening.addCallbacks(
            self._opened, self._not_opened, (attachment,), {}, (attachment,)
        )

    async def is_whole(self, attachment: Attachment) -> bool:
        """Whether a stored file exists and is intact."""
        try:
            file = await self.open(attachment)
        except (FileMissing, FileDamaged, OSError):
            return False
        await file.close()
        return True

    def _open(
        self, attachment: Attachment, verified: FileState | None
    ) -> tuple[IO[bytes], FileState]:
        """Runs in a thread. Raises ChangedBytes, OSError."""
        file = (self.folder / attachment.stored).open("rb")
        try:
            found = os.fstat(file.fileno())
            state = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if state != verified:
                whole = found.st_size == attachment.size
                if (
                    not whole
                    or hashlib.file_digest(file, "sha256").hexdigest() != attachment.sha256
                ):
                    raise ChangedBytes("its bytes are not those that came")
                file.seek(0)
        except BaseException:
            file.close()
            raise
        return file, state

    def _opened(self, found: tuple[IO[bytes], FileState], attachment: Attachment) -> Outgoing:
        file, state = found
        self._verified[attachment.stored] = state
        return Outgoing(self, file, attachment.size)

    def _not_opened(self, failure: Failure, attachment: Attachment) -> Failure:
        error = "it is missing" if failure.check(FileNotFoundError) else str(failure.value)
        log.critical(
            "the file {code} in uploads/{stored} is not given out: {error}",
            code=attachment.code,
            stored=attachment.stored,
            error=error,
        )
        if failure.check(FileNotFoundError):
            raise FileMissing(name=attachment.name)
        if failure.check(ChangedBytes):
            raise FileDamaged(name=attachment.name)
        return failure

    def remove(self, stored: str) -> Deferred[None]:
        """Take back a file whose attachment was not committed."""
        return self.in_thread((self.folder / stored).unlink, True)

    def probe(self) -> Deferred[None]:
        """Write and remove a small file, to test whether that works again. Fails with OSError."""
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

    def keep(self, temporary: Path, name: str) -> str:
        """Give a finished file its lasting name; both the name and the bytes are on disk afterwards."""
        now = self._wall()
        for later in count():
            stamp = datetime.fromtimestamp(now + later * 1e-6, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
            target = self.folder / f"{stamp}-{name}"
            try:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                continue
            try:
                temporary.replace(target)
                self._sync_folder()
            except OSError:
                with suppress(OSError):
                    target.unlink()
                raise
            return target.name
        raise AssertionError("there is always a later moment")

    def _sync_folder(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Outgoing:
    """A file that is being read. Close it."""

    def __init__(self, uploads: Uploads, file: IO[bytes], size: int) -> None:
        self.size = size
        self._uploads = uploads
        self._file = file

    def read(self, size: int) -> Deferred[bytes]:
        return self._uploads.in_thread(self._file.read, size).addCallback(self._count)

    def _count(self, data: bytes) -> bytes:
        self._uploads.counters.given += len(data)
        return data

    def seek(self, offset: int) -> Deferred[None]:
        """Read on from there. Wait for it before the next `read`."""
        return self._uploads.in_thread(self._seek, offset)

    def _seek(self, offset: int) -> None:
        self._file.seek(offset)

    def close(self) -> Deferred[None]:
        if self._file.closed:
            return succeed(None)
        return self._uploads.in_thread(self._file.close)
