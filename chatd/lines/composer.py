"""A text that a client writes in several lines, as in SMTP (RFC 5321, section 4.5.2).

The text ends at a line that is a dot alone; a line that begins with a dot has one more before it. No line
up to there is executed, whatever is wrong with the text.
"""

from __future__ import annotations

from chatd.base.errors import MessageTooLong
from chatd.lines.dialect import Composition, Request, Unreadable

END = b"."


class Composer:
    """The lines of `composition` so far. Once there are more than `limit` bytes, they are dropped, and only
    counted."""

    __slots__ = ("_composition", "_limit", "_size", "_text", "_uncounted")

    def __init__(self, composition: Composition, limit: int) -> None:
        self._composition = composition
        self._limit = limit
        self._text = bytearray()  # with an LF after each line
        self._size = 0
        self._uncounted = False  # a line was so long that its size is not known

    def add(self, line: bytes) -> Request | None:
        """Add a line. Returns the request once the text is complete. Raises Unreadable."""
        if line == END:
            return self._finish()
        line = line.removeprefix(END)
        self._size += len(line) + 1
        if self._size <= self._limit + 1:
            self._text += line
            self._text += b"\n"
        else:
            self._text.clear()
        return None

    def add_long(self, size: int) -> None:
        """Count a line of more than `size` bytes, which was dropped."""
        self._size += size
        self._uncounted = True
        self._text.clear()

    def _finish(self) -> Request:
        size = max(0, self._size - 1)
        if self._uncounted:
            raise Unreadable(MessageTooLong(size=f"more than {size}", limit=self._limit))
        if size > self._limit:
            raise Unreadable(MessageTooLong(size=size, limit=self._limit))
        return self._composition.finish(bytes(self._text[:-1]))
