"""The body of an HTTP request, as a resource reads it while it arrives."""

from __future__ import annotations

from collections.abc import Callable

from chatd.base.timers import Signal


class BodyLost(Exception):
    """The connection ended before the body did."""


class Body:
    """A request's body. `length` is what Content-Length says, in bytes; None for a chunked body.

    `resume` is called when a reader waits for more, `pause` when bytes arrive and nobody waits.
    """

    def __init__(
        self, length: int | None, resume: Callable[[], None], pause: Callable[[], None]
    ) -> None:
        self.length = length
        self._resume = resume
        self._pause = pause
        self._pieces: list[bytes] = []
        self._complete = length == 0
        self._error: Exception | None = None
        self._news = Signal()

    async def read(self) -> bytes:
        """The next bytes, of any number; none at the end. Raises the error that `cut` was given."""
        if not (self._pieces or self._complete or self._error):
            news = self._news.wait()
            self._resume()
            await news
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            return data
        if self._error is not None and not self._complete:
            raise self._error
        return b""

    def cut(self, error: Exception) -> None:
        """Accept no more bytes. `read` returns those that arrived and then raises `error`, unless the body is
        complete."""
        self._error = self._error or error
        self._news.notify()

    # Called by the request:

    def arrived(self, data: bytes) -> None:
        if self._error is None:
            self._pieces.append(data)
            self._news.notify()
        if not len(self._news):
            self._pause()

    def ended(self) -> None:
        self._complete = True
        self._news.notify()
