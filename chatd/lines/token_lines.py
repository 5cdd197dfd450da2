"""Splits the input of clients whose texts may have several lines, as `bagan`'s have.

Such a client puts its token first in a request and ends the request with CRLF. Bare line feeds belong to the
text: if they ended the request, its other lines would be executed as commands.
"""

from __future__ import annotations

import re
from typing import Final

from chatd.lines.line_buffer import CR, Cut, LineBuffer
from chatd.lines.telnet import IAC

_CRLF: Final = b"\r\n"
MAX_START: Final = 256  # bytes of a request in which the token has to end
_TOKEN_FIRST: Final = re.compile(rb" *[^ \n]+ +[A-Za-z0-9_-]{43}(?=[ \r\n]|\Z)")


class TokenLineBuffer(LineBuffer):
    """A LineBuffer in which only CRLF ends a request whose first argument has the form of a token. All other
    requests end in LF or CRLF."""

    __slots__ = ("_dropping_to_crlf",)

    def __init__(self, limit: int, most: int = 0) -> None:
        super().__init__(limit, most)
        self._dropping_to_crlf = False  # how the line that is being dropped ends

    def take_line(self) -> bytes | Cut | None:
        return self._take_any_line()

    def _find_end(self, position: int) -> int:
        data = self.data
        end = data.find(b"\n", position)
        if end < 0 or (end and data[end - 1] == CR) or not self._ends_in_crlf():
            return end
        # Behind a telnet command, which is removed first, the end is not looked for each time.
        command = data.find(IAC, position)
        end = data.find(_CRLF, end + 1, command if command >= 0 else len(data))
        return end if end < 0 else end + 1

    def _ends_in_crlf(self) -> bool:
        if self._dropping:
            return self._dropping_to_crlf
        start = self._pieces[0] if self._pieces else self.data
        return _TOKEN_FIRST.match(start, 0, MAX_START) is not None

    def _discard(self, length: int) -> None:
        self._dropping_to_crlf = self._ends_in_crlf()
        # The LF that may follow a CR has to find it.
        super()._discard(length - self.data.endswith(b"\r", 0, length))
