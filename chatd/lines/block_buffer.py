"""Splits the bytes that arrive into lines, or into requests that are padded with spaces to whole blocks.

A client either ends each request with a line end, or fills its last block with spaces and never sends a line
end. Its first request tells which. Nothing marks the end of a request that fills its last block exactly: it
is complete when the next block begins another request, or when nothing follows for a while.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from chatd.base.tokens import is_token
from chatd.lines.line_buffer import PIECE, Cut, LineBuffer
from chatd.lines.telnet import IAC

BLOCK: Final = 1024
# Seconds without anything more after which a request of whole blocks is complete: one that has all of its
# values, and one that seems to be cut on its way.
EXACT_FIT_TIME: Final = 0.3
CUT_TIME: Final = 5.0
SPACE: Final = 0x20
SESSION: Final = "session="
# Encoded data contains no space, so no block in the middle of a request begins like this.
_START: Final = re.compile(rb"[A-Za-z_]{1,32} [A-Za-z_]{1,32}=")


class BlockBuffer(LineBuffer):
    """A LineBuffer that also takes requests in padded blocks.

    `original` says whether the client sends such requests, and is not known before the first one is complete.
    `counts` has the number of values that each command has. Telnet commands are removed from lines only.
    """

    # `_scanned` bytes of the buffer are whole blocks that do not end the request. Whole blocks are set aside,
    # so that each block begins at a multiple of BLOCK in the buffer.

    __slots__ = ("_counts", "_is_decided", "_is_settled", "_missing", "original", "wait")

    def __init__(self, limit: int, most: int = 0, counts: Mapping[bytes, int] = {}) -> None:
        super().__init__(limit, most)
        self._counts = counts
        self._missing = 0  # values of the request that have not begun in the blocks so far
        self.original = False
        self.wait = 0.0
        self._is_decided = False  # whether `original` is known
        self._is_settled = False

    def clear(self) -> None:
        super().clear()
        self.wait = 0.0

    def settle(self) -> None:
        """Take the blocks in the buffer for a complete request, because nothing has followed them."""
        self._is_settled = self.wait > 0

    def take_line(self) -> bytes | Cut | None:
        """The next line without its end, or request without its padding; None if there is none."""
        self.wait = 0.0
        if self._is_decided and not self.original:
            return super().take_line()
        return self._take_blocks()

    def _take_blocks(self) -> bytes | Cut | None:
        data = self.data
        while True:
            start, end = self._scanned, self._scanned + BLOCK
            if not self._is_decided and self._is_line(start, end):
                self._is_decided = True
                return super().take_line()
            is_begun = self._dropping or self._size or start
            is_next = is_begun and _START.match(data, start, end) is not None
            is_part = len(data) < end
            # The rest of a part may still show that everything so far is a line.
            if is_begun and (self._is_settled or (is_next and (self._is_decided or not is_part))):
                return self._take_request(start)
            if is_part:
                if is_next:
                    self.wait = EXACT_FIT_TIME
                elif len(data) == start and is_begun:
                    self.wait = EXACT_FIT_TIME if self._seems_complete() else CUT_TIME
                return None
            if data[end - 1] == SPACE:
                return self._take_request(end)
            if not is_begun:
                command, _, _ = data[:end].partition(b" ")
                self._missing = self._counts.get(bytes(command), 0) - 1
            self._missing -= data.count(b"&", start, end)
            self._scanned = end
            if (too_long := self._drop_if_long(end)) is not None:
                return too_long
            if self.is_long and end > PIECE:
                self._set_aside(start)

    def _is_line(self, start: int, end: int) -> bool:
        """Whether that part of the first request can only be part of a line."""
        return self.data.find(b"\n", start, end) >= 0 or self.data.find(IAC, start, end) >= 0

    def _seems_complete(self) -> bool:
        """Whether the blocks so far have all values of the request, and do not end within a token."""
        if self._missing > 0:
            return False
        last = self.data[-BLOCK:].rpartition(b"&")[2].decode("latin-1")
        return not last.startswith(SESSION) or is_token(last.removeprefix(SESSION))

    def _take_request(self, stop: int) -> bytes | Cut | None:
        """The request, whose blocks end at `stop`."""
        last = self.data[:stop].rstrip(b" ")
        too_long = self._size + len(last) > self.limit
        if too_long and self._may_be_longer():
            return Cut.LONG
        self._is_decided = self.original = True
        self._is_settled = False
        dropping, self._dropping = self._dropping, False
        self.limit = self._ordinary
        request = b"" if dropping or too_long else b"".join((*self._pieces, last))
        self._forget_pieces()
        del self.data[:stop]
        self._scanned = 0
        if dropping:
            return self.take_line()  # this request was reported when it became too long
        return Cut.TOO_LONG if too_long else request
