"""A stored file on its way out, chunk by chunk. HTTP, AMP and the line protocols send files with this."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred, fail, succeed

from chatd.files.store import IFileThreads, IReadable

CHUNK = 64 << 10  # bytes that are read and sent at a time


class ReaderGone(Exception):
    """The connection ended before the whole file was sent."""


class Outgoing:
    """A stored file of `size` bytes that is open for reading. Close it. It can't be read any more when it
    `is_late`."""

    def __init__(
        self,
        uploads: IFileThreads,
        file: IReadable,
        size: int,
        is_late: Callable[[], bool] = lambda: False,
    ) -> None:
        self.size = size
        self._is_late = is_late
        self._uploads = uploads
        self._file = file

    def read(self, size: int) -> Deferred[bytes]:
        """At most `size` bytes; none at the end. Fails with OSError."""
        if self._is_late():
            return fail(OSError("the file was read too slowly"))
        return self._uploads.in_thread(self._file.read, size).addCallback(self._count)

    def _count(self, data: bytes) -> bytes:
        self._uploads.counters.given += len(data)
        return data

    def seek(self, offset: int) -> Deferred[None]:
        """Continue reading at `offset`. Wait for it before the next `read`."""
        return self._uploads.in_thread(self._file.seek, offset)

    @property
    def is_closed(self) -> bool:
        return self._file.closed

    def close(self) -> Deferred[None]:
        if self._file.closed:
            return succeed(None)
        return self._uploads.in_thread(self._file.close)


async def send_chunks(
    file: Outgoing,
    ready: Callable[[], Awaitable[None]],
    write: Callable[[bytes], object],
    start: int = 0,
    size: int | None = None,
    chunk: int = CHUNK,
) -> None:
    """Send `size` bytes of `file` from `start` on (None: up to its end), at most `chunk` at a time.

    `ready` is awaited before each chunk is read, so that a slow reader takes little memory. It may raise
    ReaderGone. Also raises OSError if the file is shorter than it was when it was stored.
    """
    left = file.size - start if size is None else size
    if start:
        await file.seek(start)
    while left:
        await ready()
        data = await file.read(min(chunk, left))
        if not data:
            raise OSError("the file is shorter than it was")
        left -= len(data)
        write(data)
