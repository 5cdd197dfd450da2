"""A file on disk that is still arriving. Everything here blocks, so it runs in a thread."""

from __future__ import annotations

import hashlib
import mimetypes
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, TypeAlias

from chatd.base.attachments import StoredFile
from chatd.files.picture_formats import examine
from chatd.files.picture_pieces import UNKNOWN, Examined, Piece

if TYPE_CHECKING:
    from hashlib import _Hash

HEAD = 4096  # bytes at the start of a file that its media type is guessed from
READ = 256 << 10  # bytes that are read back at a time
STEP = 64 * READ  # bytes that are read back before other jobs get their turn

# Inode, size, and the times in ns at which the bytes and the inode last changed.
FileState: TypeAlias = tuple[int, int, int, int]

# Gives the complete file at a path its final name, and returns it. The other arguments are its safe name, and
# when it was sent (ms since 1970 UTC; None: now).
Keep: TypeAlias = Callable[[Path, str, int | None], str]


class ChangedBytes(OSError):
    """The bytes of a file do not have the SHA-256 that they should have."""


class PartTakenOver(OSError):
    """The part is gone: another node continues the upload, or it was removed."""


class Digest(NamedTuple):
    """What is known of the bytes of a part, as long as the file is in `state`."""

    state: FileState
    hash: _Hash
    head: bytes


def state_of(descriptor: int) -> FileState:
    """The state of an open file. It changes whenever the file does."""
    found = os.fstat(descriptor)
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def guess_type(head: bytes, name: str) -> str:
    """The media type that the first bytes of a file tell, else the one that its name suggests."""
    import puremagic  # its table of signatures is large, and many realms never receive a file

    try:
        found = puremagic.magic_string(head, name) if head else []
    except (puremagic.PureError, ValueError):
        found = []
    best = next((match.mime_type for match in found if match.mime_type), "")
    return best or mimetypes.guess_type(name)[0] or "application/octet-stream"


class PartialFile:
    """An IPart at `path`. `keep` gives the complete file its final name."""

    def __init__(
        self,
        path: Path,
        name: str,
        size: int,
        keep: Keep,
        resumable: bool = False,
        digest: Digest | None = None,
    ) -> None:
        self.path = path
        self.name = name
        self.size = size
        self.resumable = resumable
        self.keep = keep
        self.digest = digest
        self.sha256: str | None = None
        self.sent_at: int | None = None
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self._head = b""
        self._hashed = 0  # bytes

    @property
    def label(self) -> str:
        return self.path.name

    def read_back(self) -> tuple[int, bool]:
        """Hash the next bytes that an earlier transfer left. Returns their number, and whether there may be
        more.

        A file that has not changed since `leave` is not read again. A file with more than `size` bytes is
        another file and is emptied.
        """
        if self._file is None:
            file = self._file = self.path.open("a+b")
            state = state_of(file.fileno())
            os.chmod(self.path, 0o600)  # noqa: PTH101
            if state[1] > self.size:
                file.truncate(0)
            elif self.digest is not None and self.digest.state == state:
                self._hash, self._head = self.digest.hash.copy(), self.digest.head
                self._hashed = state[1]
                return self._hashed, False
            file.seek(0)
        size = 0
        while size < STEP and (data := self._file.read(READ)):
            self._add(data)
            size += len(data)
        return size, size >= STEP

    def append(self, chunks: Sequence[bytes]) -> None:
        """Write the next bytes."""
        if self._file is None:
            self._file = self.path.open("xb")
            os.chmod(self.path, 0o600)  # noqa: PTH101
        data = b"".join(chunks)
        self._file.write(data)
        self._add(data)

    def _add(self, data: bytes) -> None:
        if len(self._head) < HEAD:
            self._head += data[: HEAD - len(self._head)]
        self._hash.update(data)
        self._hashed += len(data)

    def complete(self, chunks: Sequence[bytes]) -> StoredFile:
        """As IPart.complete. The file is synced before it gets its final name."""
        self.append(chunks)
        assert self._file is not None  # noqa: S101 - opened by the line above
        sha256 = self._hash.hexdigest()
        if self.sha256 is not None and sha256 != self.sha256:
            raise ChangedBytes(f"the bytes of {self.name!r} are not those that were sent")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        picture = _examined(self.path)
        size, received, path = self.size, None, self.path
        if picture.pieces is not None and self.sha256 is None:
            received, path = sha256, self.path.with_suffix(".clean")
            size, sha256 = _copy(self.path, path, picture.pieces)
        return StoredFile(
            self._stored(path),
            size,
            sha256,
            guess_type(self._head, self.name),
            picture.width,
            picture.height,
            received,
        )

    def _stored(self, path: Path) -> str:
        """Give the complete file at `path` its final name, and return it."""
        try:
            stored = self.keep(path, self.name, self.sent_at)
        except OSError:
            if path != self.path:
                path.unlink(missing_ok=True)
            raise
        if path != self.path:
            self.path.unlink(missing_ok=True)
        return stored

    def discard(self) -> None:
        """Remove the file."""
        if self._file is not None:
            with suppress(OSError):  # the disk may be full, but the file goes anyway
                self._file.close()
        self.path.unlink(missing_ok=True)

    def leave(self) -> Digest | None:
        """Close the file and keep it. Returns the digest for a later `read_back`; None if the digest does not
        cover the whole file."""
        if self._file is None:
            return None
        try:
            self._file.flush()
            state = state_of(self._file.fileno())
        finally:
            # Also if the disk is full. Bytes that stay in the buffer would be written later on, between those
            # of the next transfer.
            self._file.close()
        return Digest(state, self._hash, self._head) if self._hashed == state[1] else None


def _examined(path: Path) -> Examined:
    """What the bytes of a file tell, if it is a picture."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return UNKNOWN
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return examine(data)


def _copy(source: Path, target: Path, pieces: Sequence[Piece]) -> tuple[int, str]:
    """Write the pieces of `source` to `target`, and sync it. Returns the size and the SHA-256 of `target`.
    Raises OSError, and leaves nothing then."""
    digest, size = hashlib.sha256(), 0
    try:
        with source.open("rb") as old, target.open("wb") as new:
            os.chmod(target, 0o600)  # noqa: PTH101
            for data in read_pieces(old, pieces):
                new.write(data)
                digest.update(data)
                size += len(data)
            new.flush()
            os.fsync(new.fileno())
    except OSError:
        target.unlink(missing_ok=True)
        raise
    return size, digest.hexdigest()


def read_pieces(file: IO[bytes], pieces: Sequence[Piece]) -> Iterator[bytes]:
    """The bytes of these pieces of a picture."""
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        at, end = piece
        file.seek(at)
        while at < end and (data := file.read(min(READ, end - at))):
            yield data
            at += len(data)


class FileInPlace(PartialFile):
    """An incomplete file that stays at its path. `keep` tells its name."""

    def _stored(self, path: Path) -> str:
        path.replace(self.path)
        return self.keep(self.path, self.name, self.sent_at)
