"""Reading stored files only if their bytes are those that came."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.attachments import Attachment
from chatd.base.cache import Cache
from chatd.base.errors import FileDamaged, FileMissing
from chatd.files.outgoing import Outgoing
from chatd.files.store import IFileThreads, IReadable

MAX_VERIFIED = 100_000  # files that are remembered as intact

log = Logger()

# The state of a file when its bytes were compared with its SHA-256, and whether they were intact. The state
# is a value that changes whenever the file does.
Verified: TypeAlias = tuple[Hashable, bool]
# In a thread: opens a stored file, unless it is damaged. Gets what the last comparison of its bytes has
# shown, and returns the file with its state. Raises DamagedFile, FileNotFoundError, and other OSErrors.
OpenIntact: TypeAlias = Callable[[Attachment, Verified | None], tuple[IReadable, Hashable]]


class DamagedFile(OSError):
    """The bytes of a stored file are not those that came. `state` is that of the file."""

    def __init__(self, state: Hashable) -> None:
        super().__init__("its bytes are not those that came")
        self.state = state


class VerifiedFiles:
    """Opens stored files with `open_intact`. Errors are reported once, until the file changes again."""

    def __init__(self, threads: IFileThreads, open_intact: OpenIntact) -> None:
        self._threads = threads
        self._open_intact = open_intact
        # What the last comparison of a file's bytes with its SHA-256 has shown, by name.
        self._verified: Cache[str, Verified] = Cache(MAX_VERIFIED)

    def open(self, attachment: Attachment) -> Deferred[Outgoing]:
        """As IFileStore.open."""
        known = self._verified.get(attachment.stored)
        opening = self._threads.in_thread(self._open_intact, attachment, known)
        return opening.addCallbacks(
            self._opened, self._not_opened, (attachment,), {}, (attachment,)
        )

    def read_piece(self, attachment: Attachment, offset: int, size: int) -> Deferred[bytes]:
        """As IFileStore.read_piece."""
        known = self._verified.get(attachment.stored)
        reading = self._threads.in_thread(self._read_piece, attachment, known, offset, size)
        return reading.addCallbacks(
            self._piece_read, self._not_opened, (attachment,), {}, (attachment,)
        )

    def _read_piece(
        self, attachment: Attachment, verified: Verified | None, offset: int, size: int
    ) -> tuple[bytes, Hashable]:
        """In a thread. Raises DamagedFile, OSError."""
        file, state = self._open_intact(attachment, verified)
        try:
            file.seek(offset)
            return file.read(size), state
        finally:
            file.close()

    def _piece_read(self, found: tuple[bytes, Hashable], attachment: Attachment) -> bytes:
        data, state = found
        self._verified[attachment.stored] = state, True
        self._threads.counters.given += len(data)
        return data

    async def is_whole(self, attachment: Attachment) -> bool:
        """As IFileStore.is_whole."""
        if attachment.arrival is not None:
            return False
        try:
            file = await self.open(attachment)
        except (FileMissing, FileDamaged, OSError):
            return False
        await file.close()
        return True

    def _opened(self, found: tuple[IReadable, Hashable], attachment: Attachment) -> Outgoing:
        file, state = found
        self._verified[attachment.stored] = state, True
        return Outgoing(self._threads, file, attachment.size)

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
