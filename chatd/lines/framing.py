"""Bytes that arrive -> lines, or raw bytes, whichever is wanted next. Knows no socket.

Lines end in LF or CRLF. Telnet's own bytes (RFC 854) among them are swallowed: they begin with IAC (255),
which UTF-8 never uses. A line that is too long is reported once and dropped up to its end.
"""

from __future__ import annotations

from typing import Final

IAC: Final = 0xFF
FIRST_COMMAND: Final = 0xF0  # what follows IAC and is less is no telnet command
SB: Final = 0xFA  # begins a subnegotiation, which may hold any bytes
WILL, DONT = 0xFB, 0xFE  # these and the two between them are followed by one option
END_OF_SB: Final = b"\xff\xf0"

INCOMPLETE: Final = -1


class TooLong:
    """Stands for a line that was dropped."""


TOO_LONG: Final = TooLong()


class LineBuffer:
    """What has arrived and was not taken yet. Holds at most one line's limit, and one read more."""

    __slots__ = ("_data", "_dropping", "_scanned", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._data = bytearray()
        self._scanned = 0  # in what stands before there is no line's end, and nothing of telnet's
        self._dropping = False

    def __bool__(self) -> bool:
        return bool(self._data)

    def add(self, data: bytes) -> None:
        self._data += data

    def take_raw(self, size: int) -> bytes:
        """At most `size` bytes, as they came."""
        taken = bytes(self._data[:size])
        del self._data[:size]
        self._scanned = 0
        return taken

    def take_line(self) -> bytes | TooLong | None:
        """The next line without its end; None if there is none yet."""
        data = self._data
        position = self._scanned
        while True:
            end = data.find(b"\n", position)
            iac = data.find(IAC, position, end if end >= 0 else len(data))
            if iac >= 0:
                position = _swallow(data, iac)
                if position != INCOMPLETE:
                    continue
                self._scanned = iac
                return self._drop_if_long()
            if end < 0:
                self._scanned = len(data)
                return self._drop_if_long()
            return self._cut(end)

    def _cut(self, end: int) -> bytes | TooLong | None:
        data = self._data
        stop = end - 1 if end and data[end - 1] == 0x0D else end
        dropping, self._dropping = self._dropping, False
        too_long = stop > self.limit
        line = b"" if dropping or too_long else bytes(data[:stop])
        del data[: end + 1]
        self._scanned = 0
        if dropping:
            return self.take_line()  # it was reported when it became too long
        return TOO_LONG if too_long else line

    def _drop_if_long(self) -> TooLong | None:
        if len(self._data) <= self.limit + 1:
            return None
        self._data.clear()
        self._scanned = 0
        if self._dropping:
            return None
        self._dropping = True
        return TOO_LONG


def _swallow(data: bytearray, start: int) -> int:
    """Take the telnet sequence at `data[start]` out of `data`.

    Returns where to go on, or INCOMPLETE. What is no telnet command stays, and no text can hold it.
    """
    if len(data) < start + 2:
        return INCOMPLETE
    code = data[start + 1]
    if code < FIRST_COMMAND:
        return start + 1
    length = 3 if WILL <= code <= DONT else 2
    if code == SB:
        end = data.find(END_OF_SB, start + 2)
        if end < 0:
            return INCOMPLETE
        length = end + 2 - start
    if len(data) < start + length:
        return INCOMPLETE
    del data[start : start + length]
    return start
