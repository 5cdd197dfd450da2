"""Attachments' bytes: streamed to a temporary file, hashed, synced, renamed. Never in the reactor's thread.

In the folder stand `<UTC timestamp>-<safe name>` for each attachment, and `incoming/` with what is still
arriving; whatever a crash leaves there is cleaned at the next start.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import re
import unicodedata
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, Any

import msgspec
import puremagic
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from chatd.errors import BadFileName
from chatd.names import printable

THREADS = 4
MAX_PENDING = (
    256 << 10
)  # bytes of one upload that may wait for the disk before its sender is paused
HEAD = 4096  # bytes of a file's beginning by which its type is told
MAX_NAME_BYTES = 200  # of the 255 that file systems allow, with room for the timestamp

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LEADING = re.compile(r"^[\s.]+")

log = Logger()


def safe_name(name: str) -> str:
    """`name` without path, control characters or leading dots. Raises BadFileName if nothing is left."""
    bare = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    safe = _LEADING.sub("", _UNSAFE.sub("", bare)).rstrip()
    if not safe:
        raise BadFileName(name=printable(name))
    stem, dot, ending = safe.rpartition(".")
    if not dot or len(ending) > 16:
        stem, ending = safe, ""
    room = MAX_NAME_BYTES - len((dot + ending).encode()) if ending else MAX_NAME_BYTES
    stem = stem.encode()[:room].decode(errors="ignore")
    return f"{stem}.{ending}" if ending else stem


def guess_type(head: bytes, name: str) -> str:
    """The media type that the first bytes tell, else the name's ending."""
    try:
        found = puremagic.magic_string(head, name) if head else []
    except (puremagic.PureError, ValueError):
        found = []
    best = next((match.mime_type for match in found if match.mime_type), "")
    return best or mimetypes.guess_type(name)[0] or "application/octet-stream"


class StoredFile(msgspec.Struct, frozen=True):
    """A file that has arrived whole and is on disk."""

    stored: str
    size: int
    sha256: str
    mime: str


class Uploads:
    """The uploads folder."""

    def __init__(self, reactor: Any, folder: Path) -> None:
        self._reactor = reactor
        self._folder = folder
        self._incoming = folder / "incoming"
        self._pool = ThreadPool(0, THREADS, name="uploads")
        self._counter = 0

    def start(self) -> None:
        for folder in (self._folder, self._incoming):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._pool.start()

    def stop(self) -> None:
        self._pool.stop()

    def clean(self, known: Collection[str]) -> int:
        """Remove broken uploads, and set aside in `unclaimed/` whatever no attachment owns.

        That is what a crash between a file and its message leaves; but it may also be that an older
        database was put back, so nothing that arrived whole is thrown away here. Returns how many files
        were set aside. For the start only: it must not meet a running upload.
        """
        for path in self._incoming.iterdir():
            path.unlink()
        unclaimed = [
            path for path in self._folder.iterdir() if path.is_file() and path.name not in known
        ]
        aside = self._folder / "unclaimed"
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

    def open(self, stored: str) -> Deferred[Outgoing]:
        """Open a stored file for reading. Errs with OSError."""
        return self.in_thread(self._open, stored)

    def _open(self, stored: str) -> Outgoing:
        file = (self._folder / stored).open("rb")
        return Outgoing(self, file, os.fstat(file.fileno()).st_size)

    def remove(self, stored: str) -> Deferred[None]:
        """Take back a file whose attachment was not committed."""
        return self.in_thread((self._folder / stored).unlink, True)

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._pool, work, *args)

    def keep(self, temporary: Path, name: str) -> str:
        """Give a finished file its lasting name; both the name and the bytes are on disk afterwards."""
        now = self._reactor.seconds()
        for later in count():
            stamp = datetime.fromtimestamp(now + later * 1e-6, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
            target = self._folder / f"{stamp}-{name}"
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
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Incoming:
    """A file that is arriving. `write` what comes, then `finish`; or `abort`.

    After an error of the disk it goes on swallowing bytes, so that the sender stays in step, and
    `finish` errs with what happened.
    """

    def __init__(
        self, uploads: Uploads, path: Path, name: str, size: int, drained: Callable[[], None]
    ) -> None:
        self.name = name
        self.missing = size
        self._size = size
        self._uploads = uploads
        self._path = path
        self._drained = drained
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self._head = b""
        self._chunks: list[bytes] = []
        self._pending = 0
        self._busy = False
        self._aborted = False
        self._error: Exception | None = None
        self._finished: Deferred[StoredFile] | None = None

    def write(self, data: bytes) -> bool:
        """Take the next bytes; False asks for a pause until `drained` is called."""
        self.missing -= len(data)
        if self._error is not None or self._aborted:
            return True
        self._chunks.append(data)
        self._pending += len(data)
        self._pump()
        return self._pending < MAX_PENDING

    def finish(self) -> Deferred[StoredFile]:
        """All bytes are there: fires once the file is on disk under its lasting name."""
        self._finished = Deferred()
        self._pump()
        return self._finished

    def abort(self) -> None:
        """Forget the file. Safe at any time before `finish`."""
        self._aborted = True
        self._chunks.clear()
        self._pump()

    def _pump(self) -> None:
        """Give the next piece of work to a thread, one at a time and in order."""
        if self._busy:
            return
        work: Deferred[Any]
        if self._aborted or (self._error is not None and self._finished is not None):
            self._busy = True
            work = self._uploads.in_thread(self._discard)
            work.addErrback(lambda failure: log.failure("cleaning an upload", failure))
            work.addCallback(self._discarded)
        elif self._chunks and self._error is None:
            self._busy = True
            chunks, self._chunks = self._chunks, []
            self._pending = 0
            work = self._uploads.in_thread(self._append, chunks)
            work.addErrback(self._failed)
            work.addCallback(self._appended)
        elif self._finished is not None:
            self._busy = True
            work = self._uploads.in_thread(self._complete)
            work.addCallbacks(self._completed, self._failed)
            work.addCallback(self._appended)

    def _completed(self, stored: StoredFile) -> None:
        finished, self._finished = self._finished, None
        if finished is not None:
            finished.callback(stored)

    def _failed(self, failure: Any) -> None:
        self._error = failure.value
        self._chunks.clear()
        self._pending = 0

    def _appended(self, _result: object) -> None:
        self._busy = False
        self._drained()
        self._pump()

    def _discarded(self, _result: object) -> None:
        # Stays busy: there is nothing more to do for this file.
        finished, self._finished = self._finished, None
        if finished is not None:
            finished.errback(self._error or OSError("the upload was given up"))

    # What follows runs in a thread.

    def _append(self, chunks: list[bytes]) -> None:
        if self._file is None:
            self._file = self._path.open("xb")
            os.chmod(self._path, 0o600)  # noqa: PTH101
        data = b"".join(chunks)
        if len(self._head) < HEAD:
            self._head += data[: HEAD - len(self._head)]
        self._hash.update(data)
        self._file.write(data)

    def _complete(self) -> StoredFile:
        self._append([])
        assert self._file is not None  # noqa: S101 - opened by the line above
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        stored = self._uploads.keep(self._path, self.name)
        mime = guess_type(self._head, self.name)
        return StoredFile(stored, self._size, self._hash.hexdigest(), mime)

    def _discard(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk: there is nothing left to save
                self._file.close()
            self._path.unlink(missing_ok=True)


class Outgoing:
    """A file that is being read. Close it."""

    def __init__(self, uploads: Uploads, file: IO[bytes], size: int) -> None:
        self.size = size
        self._uploads = uploads
        self._file = file

    def read(self, size: int) -> Deferred[bytes]:
        return self._uploads.in_thread(self._file.read, size)

    def close(self) -> Deferred[None]:
        if self._file.closed:
            return succeed(None)
        return self._uploads.in_thread(self._file.close)
