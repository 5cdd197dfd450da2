"""A file that is arriving in a bucket. Everything here blocks, so it runs in a thread.

Its bytes are stored as they come, in pieces that are objects of their own: `<place><start>-<end>-<writer>`.
The bytes after the last piece are in a file on this node's disk, until there are enough of them, or the
transfer is suspended. Then that piece may be small; it is read back and replaced when the transfer goes on.
In the end the service makes the complete object of the pieces, which are then removed.

So any node can resume the transfer: the pieces have all bytes, from which the digest is read back. The pieces
of two nodes that receive one file at once have different names, and each node uses those that it knows.
"""

from __future__ import annotations

import hashlib
import mmap
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, NamedTuple

from twisted.logger import Logger

from chatd.base.attachments import StoredFile
from chatd.files.bucket import MIN_PART, Bucket, CopiedRange, ListedObject, part_size
from chatd.files.partial_file import (
    HEAD,
    ChangedBytes,
    PartTakenOver,
    guess_type,
    read_pieces,
)
from chatd.files.picture_formats import examine, is_picture
from chatd.files.picture_pieces import UNKNOWN, Examined, Piece

if TYPE_CHECKING:
    from hashlib import _Hash

_PIECE = re.compile(r"(?P<start>\d{15})-(?P<end>\d{15})-[0-9a-f]+")

log = Logger()


class ObjectPiece(NamedTuple):
    """Bytes of a file from `start` to before `end`, in the object `key`."""

    start: int
    end: int
    key: str


class ObjectDigest(NamedTuple):
    """What is known of the bytes of a part, as long as it has exactly these pieces."""

    pieces: tuple[ObjectPiece, ...]
    hash: _Hash
    head: bytes


class ObjectPlace(NamedTuple):
    """Where a file arrives: its pieces have keys that begin with `place`. `writer` (hexadecimal) names this
    transfer, `open_nameless` makes a file on the disk, and `name_of` chooses the name of the complete file,
    from its safe name and the time when it was sent."""

    bucket: Bucket
    place: str
    writer: str
    open_nameless: Callable[[], IO[bytes]]
    name_of: Callable[[str, int | None], str]


def chain_of(listed: Iterable[ListedObject]) -> list[ObjectPiece]:
    """The pieces that follow each other from the beginning of a file, of all that one place has. A small one
    is the last."""
    by_start: dict[int, ObjectPiece] = {}
    for each in listed:
        name = _PIECE.fullmatch(each.key.rpartition("/")[2])
        if name is None:
            continue
        piece = ObjectPiece(int(name["start"]), int(name["end"]), each.key)
        if each.size == piece.end - piece.start and (
            piece.start not in by_start or piece > by_start[piece.start]
        ):
            by_start[piece.start] = piece
    chain: list[ObjectPiece] = []
    position = 0
    while (following := by_start.get(position)) is not None and following.end > position:
        chain.append(following)
        position = following.end
        if is_small(following):
            break
    return chain


def is_small(piece: ObjectPiece) -> bool:
    """Whether a piece can only be the last part of a multipart upload."""
    return piece.end - piece.start < MIN_PART


class ObjectPart:
    """An IPart in a bucket."""

    def __init__(
        self,
        where: ObjectPlace,
        name: str,
        size: int,
        resumable: bool = False,
        digest: ObjectDigest | None = None,
    ) -> None:
        self.name = name
        self.size = size
        self.resumable = resumable
        self.sha256: str | None = None
        self.sent_at: int | None = None
        self._where = where
        self._bucket = where.bucket
        self._digest = digest
        self._chain: list[ObjectPiece] = []
        self._unread: list[ObjectPiece] | None = None
        self._replaced: ObjectPiece | None = None  # a small one whose bytes are in the tail
        self._tail: IO[bytes] | None = None
        self._start = 0  # of the tail
        self._end = 0
        self._hash = hashlib.sha256()
        self._head = b""

    @property
    def label(self) -> str:
        return self._where.place

    # Resuming

    def read_back(self) -> tuple[int, bool]:
        """As IPart.read_back, a piece at a time. A part with more than `size` bytes is another file and is
        removed."""
        if self._unread is None:
            found = chain_of(self._bucket.list(self._where.place))
            if found and found[-1].end > self.size:
                self.discard()
                found = []
            self._unread = found
            digest = self._digest
            if digest is not None and digest.pieces == tuple(found):
                return self._skip(digest), False
        if not self._unread:
            return 0, False
        piece = self._unread[0]
        self._load(piece, hashed=True)
        del self._unread[0]
        return piece.end - piece.start, bool(self._unread)

    def _skip(self, digest: ObjectDigest) -> int:
        """Take over pieces whose digest is known. Returns the number of their bytes."""
        pieces, self._unread = self._unread or [], []
        self._hash, self._head = digest.hash.copy(), digest.head
        for piece in pieces:
            self._load(piece, hashed=False)
        return self._end

    def _load(self, piece: ObjectPiece, *, hashed: bool) -> None:
        small, size = is_small(piece), piece.end - piece.start
        if hashed or small:
            for data in self._bucket.blocks(piece.key, size):
                if hashed:
                    self._add(data)
                if small:
                    self._open_tail().write(data)
        self._end = piece.end
        if small:
            self._replaced = piece
        else:
            self._chain.append(piece)
            self._start = piece.end

    def _open_tail(self) -> IO[bytes]:
        if self._tail is None:
            self._tail = self._where.open_nameless()
        return self._tail

    def _add(self, data: bytes) -> None:
        if len(self._head) < HEAD:
            self._head += data[: HEAD - len(self._head)]
        self._hash.update(data)

    # Receiving

    def append(self, chunks: Sequence[bytes]) -> None:
        data = b"".join(chunks)
        self._open_tail().write(data)
        self._add(data)
        self._end += len(data)
        if self._end - self._start >= part_size(self.size):
            self._put_tail()

    def _put_tail(self) -> None:
        """Store the bytes of the tail as a piece."""
        where, tail = self._where, self._open_tail()
        name = f"{self._start:015d}-{self._end:015d}-{where.writer}"
        piece = ObjectPiece(self._start, self._end, where.place + name)
        self._bucket.put(piece.key, tail)
        tail.seek(0)
        tail.truncate()
        self._chain.append(piece)
        self._start = piece.end
        replaced, self._replaced = self._replaced, None
        if replaced is not None and replaced.key != piece.key:
            with suppress(OSError):  # it is removed with the others
                self._bucket.delete(replaced.key)

    def leave(self) -> ObjectDigest | None:
        """As IPart.leave. All bytes that have come are pieces then."""
        try:
            if self._unread is None or self._unread:  # nothing has come
                return None
            if self._replaced is not None and self._end == self._replaced.end:
                pieces = (*self._chain, self._replaced)
            else:
                if self._end > self._start:
                    self._put_tail()
                pieces = tuple(self._chain)
        finally:
            self._close()
        return ObjectDigest(pieces, self._hash, self._head)

    def _close(self) -> None:
        tail, self._tail = self._tail, None
        if tail is not None:
            tail.close()

    def discard(self) -> None:
        self._close()
        for each in self._bucket.list(self._where.place):
            self._bucket.delete(each.key)

    # The end

    def complete(self, chunks: Sequence[bytes]) -> StoredFile:
        self.append(chunks)
        sha256 = self._hash.hexdigest()
        if self.sha256 is not None and sha256 != self.sha256:
            raise ChangedBytes(f"the bytes of {self.name!r} are not those that were sent")
        stored = self._where.name_of(self.name, self.sent_at)
        try:
            found = self._store(stored, sha256)
        except FileNotFoundError:
            raise PartTakenOver(f"another node has completed or removed {self.name!r}") from None
        try:
            self.discard()
        except OSError as error:  # what is left is removed after a week
            log.warn("pieces in {place} stay: {error}", place=self.label, error=str(error))
        return found

    def _store(self, stored: str, sha256: str) -> StoredFile:
        """Store the complete file under its name."""
        size, received, picture = self.size, None, UNKNOWN
        if is_picture(self._head):
            with self._collected() as whole:
                picture = _examined(whole)
                if picture.pieces is not None and self.sha256 is None:
                    received = sha256
                    size, sha256 = self._store_cleaned(stored, whole, picture.pieces)
        if received is None:
            self._store_whole(stored)
        mime = guess_type(self._head, self.name)
        return StoredFile(stored, size, sha256, mime, picture.width, picture.height, received)

    def _store_whole(self, stored: str) -> None:
        copied = [CopiedRange(each.key, 0, each.end - each.start) for each in self._chain]
        if copied:
            self._bucket.assemble(stored, copied, self._open_tail(), self._end)
        else:
            self._bucket.store(stored, self._open_tail(), self._end)

    def _collected(self) -> IO[bytes]:
        """All bytes of the file, on this node's disk."""
        whole = self._where.open_nameless()
        try:
            for piece in self._chain:
                for data in self._bucket.blocks(piece.key, piece.end - piece.start):
                    whole.write(data)
            tail = self._open_tail()
            tail.seek(0)
            while data := tail.read(1 << 20):
                whole.write(data)
            whole.flush()
        except BaseException:
            whole.close()
            raise
        return whole

    def _store_cleaned(
        self, stored: str, whole: IO[bytes], pieces: Sequence[Piece]
    ) -> tuple[int, str]:
        """Store these pieces of a picture. Returns their size and SHA-256."""
        digest, size = hashlib.sha256(), 0
        with self._where.open_nameless() as cleaned:
            for data in read_pieces(whole, pieces):
                cleaned.write(data)
                digest.update(data)
                size += len(data)
            self._bucket.store(stored, cleaned, size)
        return size, digest.hexdigest()


def _examined(whole: IO[bytes]) -> Examined:
    """What the bytes of a picture, which are not none, tell."""
    with mmap.mmap(whole.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return examine(data)
