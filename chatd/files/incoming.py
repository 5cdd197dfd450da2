"""A file on its way in: written and hashed as it comes, by one piece of work at a time in a thread.

What comes from another realm may be left in the middle (`Incoming.suspend`) and gone on with later, even
after a restart (`Uploads.resume`). Then what is on disk counts, not what was accepted: it is read back,
and its hash with it.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger

from chatd.base.counters import Counters
from chatd.base.model import StoredFile

MAX_PENDING = (
    256 << 10
)  # bytes of one upload that may wait for the disk before its sender is paused
HEAD = 4096  # bytes of a file's beginning by which its type is told
READ = 256 << 10  # bytes that are read back at a time
STEP = 64 * READ  # bytes that are read back before others get their turn

log = Logger()


def guess_type(head: bytes, name: str) -> str:
    """The media type that the first bytes tell, else the name's ending."""
    import puremagic  # 1.4 MB that a realm without files does without

    try:
        found = puremagic.magic_string(head, name) if head else []
    except (puremagic.PureError, ValueError):
        found = []
    best = next((match.mime_type for match in found if match.mime_type), "")
    return best or mimetypes.guess_type(name)[0] or "application/octet-stream"


class ChangedBytes(OSError):
    """What arrived is not what was sent: its SHA-256 is another. It was thrown away; start anew."""


class Folder(Protocol):
    """What an Incoming needs of the folder in which its file will lie."""

    counters: Counters
    trouble: str | None  # why the last file could not be stored

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]: ...

    def keep(self, temporary: Path, name: str) -> str:
        """In a thread: give a finished file its lasting name, and return that."""


class Incoming:
    """A file that is arriving. `write` what comes, then `finish`; or `abort`; or, if it is resumable
    (`released` was given), `suspend`.

    After an error of the disk, which `error` tells, it goes on swallowing bytes, so that the sender stays
    in step, and `finish` errs with what happened. `offset` is how many bytes were there when it was
    resumed, `missing` how many are still to come. `released` is called once the file is closed.
    """

    def __init__(
        self,
        folder: Folder,
        path: Path,
        name: str,
        size: int,
        drained: Callable[[], None],
        released: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.offset = 0
        self.missing = size
        self.error: Exception | None = None
        self._size = size
        self._folder = folder
        self._path = path
        self._drained = drained
        self._released = released
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self._head = b""
        self._chunks: list[bytes] = []
        self._pending = 0
        self._busy = False
        self._aborted = False
        self._suspended = False
        self._closed = False
        self._expected: str | None = None
        self._opened: Deferred[Incoming] | None = None
        self._finished: Deferred[StoredFile] | None = None
        self._waiting: list[Deferred[None]] = []  # for it to be closed

    def read_back(self) -> Deferred[Incoming]:
        """First of all for a resumable one: find what is there already. Errs with OSError; then it is
        closed, and what is there stays."""
        opened = self._opened = Deferred()
        self._pump()
        return opened

    def write(self, data: bytes) -> bool:
        """Take the next bytes; False asks for a pause until `drained` is called."""
        self.missing -= len(data)
        self._folder.counters.received += len(data)
        if self.error is not None or self._aborted or self._suspended:
            return True
        self._chunks.append(data)
        self._pending += len(data)
        self._pump()
        return self._pending < MAX_PENDING

    def finish(self, sha256: str | None = None) -> Deferred[StoredFile]:
        """All bytes are there: fires once the file is on disk under its lasting name.

        Errs with OSError, of which ChangedBytes says that the bytes are not those of `sha256` (lower-case
        hex); whatever it is, nothing is left of the file.
        """
        if self._closed or self._suspended:
            return fail(OSError("the upload was given up"))
        self._expected = sha256
        finished = self._finished = Deferred()
        self._pump()
        return finished

    def abort(self) -> None:
        """Forget the file. Safe at any time before `finish`; after `suspend` it does nothing."""
        if self._suspended:
            return
        self._aborted = True
        self._chunks.clear()
        self._pump()

    def suspend(self) -> Deferred[None]:
        """Write what was accepted, and leave the file as it is for `resume`. Never errs: what the disk did
        not take is simply not there when the file is resumed.

        Fires when the file is closed. What was begun before, by `finish` or `abort`, goes its way; what
        comes afterwards goes nowhere, and `drained` is not called any more.
        """
        assert self._released is not None, "only what is resumable can be suspended"  # noqa: S101
        if self._closed:
            return succeed(None)
        self._suspended = True
        self._opened = None
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        self._pump()
        return done

    def _pump(self) -> None:
        """Give the next piece of work to a thread, one at a time and in order."""
        if self._busy or self._closed:
            return
        self._busy = True
        failed = self.error is not None
        if self._aborted or (failed and self._finished is not None):
            work = self._folder.in_thread(self._discard)
            work.addErrback(lambda failure: log.failure("cleaning an upload", failure))
            work.addCallback(self._close)
        elif self._opened is not None and not failed:
            work = self._folder.in_thread(self._read_step)
            work.addCallbacks(self._read, self._failed)
            work.addCallback(self._went_on)
        elif self._chunks and not failed:
            chunks, self._chunks = self._chunks, []
            self._pending = 0
            work = self._folder.in_thread(self._append, chunks)
            work.addErrback(self._failed)
            work.addCallback(self._appended)
        elif self._finished is not None:
            work = self._folder.in_thread(self._complete, self._expected)
            work.addCallbacks(self._close, self._failed)
            work.addCallback(self._appended)
        elif self._suspended or self._opened is not None:
            work = self._folder.in_thread(self._leave)
            work.addErrback(self._not_left)
            work.addCallback(self._close)
        else:
            self._busy = False

    def _read(self, size: int) -> None:
        self.offset += size
        self.missing -= size
        if size < STEP:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.callback(self)

    def _failed(self, failure: Any) -> None:
        self.error = failure.value
        if not failure.check(ChangedBytes):
            self._folder.trouble = str(failure.value)
        self._chunks.clear()
        self._pending = 0

    def _not_left(self, failure: Any) -> None:
        log.error("{path} lacks its end: {error}", path=self._path.name, error=str(failure.value))

    def _appended(self, _result: object) -> None:
        self._busy = False
        if not self._suspended:
            self._drained()
        self._pump()

    def _went_on(self, _result: object) -> None:
        self._busy = False
        self._pump()

    def _close(self, stored: StoredFile | None) -> None:
        """There is nothing more to do for this file, be it stored or given up."""
        self._closed = True
        if self._released is not None:
            self._released()
        opened, self._opened = self._opened, None
        finished, self._finished = self._finished, None
        if finished is not None and stored is not None:
            self._folder.trouble = None
            finished.callback(stored)
            finished = None
        for each in (opened, finished):
            if each is not None:
                each.errback(self.error or OSError("the upload was given up"))
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)

    # What follows runs in a thread.

    def _read_step(self) -> int:
        """Read back the next piece of what is there, and return its size: less than STEP at the end."""
        if self._file is None:
            self._file = self._path.open("a+b")
            os.chmod(self._path, 0o600)  # noqa: PTH101
            if os.fstat(self._file.fileno()).st_size > self._size:
                self._file.truncate(0)
            self._file.seek(0)
        size = 0
        while size < STEP and (data := self._file.read(READ)):
            self._take(data)
            size += len(data)
        return size

    def _append(self, chunks: list[bytes]) -> None:
        if self._file is None:
            self._file = self._path.open("xb")
            os.chmod(self._path, 0o600)  # noqa: PTH101
        data = b"".join(chunks)
        self._take(data)
        self._file.write(data)

    def _take(self, data: bytes) -> None:
        if len(self._head) < HEAD:
            self._head += data[: HEAD - len(self._head)]
        self._hash.update(data)

    def _complete(self, expected: str | None) -> StoredFile:
        self._append([])
        assert self._file is not None  # noqa: S101 - opened by the line above
        sha256 = self._hash.hexdigest()
        if expected is not None and sha256 != expected:
            raise ChangedBytes(f"the bytes of {self.name!r} are not those that were sent")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        stored = self._folder.keep(self._path, self.name)
        mime = guess_type(self._head, self.name)
        return StoredFile(stored, self._size, sha256, mime)

    def _discard(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk: there is nothing left to save
                self._file.close()
        self._path.unlink(missing_ok=True)

    def _leave(self) -> None:
        if self._file is not None:
            self._file.close()
