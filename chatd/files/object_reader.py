"""Reads an object of a bucket as a file. Everything here blocks, so it runs in a thread."""

from __future__ import annotations

from chatd.files.bucket import Bucket, ObjectState

AHEAD = 512 << 10  # bytes that are asked for at a time while an object is read from front to back


class ObjectReader:
    """An IReadable. Each request asks for a range, so that a slow reader keeps no connection open."""

    def __init__(self, bucket: Bucket, key: str, state: ObjectState) -> None:
        self.closed = False
        self._bucket = bucket
        self._key = key
        self._state = state
        self._position = 0
        self._block, self._start = b"", 0
        self._sequential = False

    def read(self, size: int, /) -> bytes:
        """`size` bytes, or those up to the end. Raises OSError, also if the object was replaced."""
        if self.closed:
            raise OSError("the file is closed")
        found = b""
        while len(found) < size and self._position < self._state.size:
            if not self._start <= self._position < self._start + len(self._block):
                self._ask(size - len(found))
            at = self._position - self._start
            piece = self._block[at : at + size - len(found)]
            found += piece
            self._position += len(piece)
        return found

    def _ask(self, size: int) -> None:
        """Get the next bytes, at least `size` of them if there are as many."""
        wanted = max(size, AHEAD) if self._sequential else size
        self._start = self._position
        self._block = self._bucket.get(
            self._key,
            self._start,
            min(wanted, self._state.size - self._start),
            self._state.etag,
        )
        self._sequential = True

    def seek(self, offset: int, /) -> None:
        self._position, self._sequential = offset, False

    def close(self) -> None:
        self.closed = True
        self._block = b""
