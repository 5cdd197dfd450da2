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
LONG: Final = 1 << 20  # bytes of a line


class TooLong:
    """Stands for a line that was dropped."""


TOO_LONG: Final = TooLong()


def _start_of(data: bytearray, stop: int) -> bytes:
    """The first `stop` bytes, copied only once."""
    with memoryview(data) as view:
        return bytes(view[:stop])


class LineBuffer:
    """What has arrived and was not taken yet. Holds at most one line's limit, and one read more."""

    __slots__ = ("_data", "_dropping", "_negotiating", "_scanned", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._data = bytearray()
        self._scanned = 0  # in what stands before there is no line's end, and nothing of telnet's
        self._dropping = False  # what has come of this line was too long
        self._negotiating = False  # what comes next belongs to a subnegotiation

    def __bool__(self) -> bool:
        return bool(self._data)

    def add(self, data: bytes) -> None:
        self._data += data

    def clear(self) -> None:
        """Forget all of it."""
        self._data.clear()
        self._scanned = 0

    def take_raw(self, size: int) -> bytes:
        """At most `size` bytes, as they came."""
        taken = bytes(self._data[:size])
        del self._data[:size]
        self._scanned = 0
        return taken

    def take_line(self) -> bytes | TooLong | None:
        """The next line without its end; None if there is none yet."""
        data = self._data
        while True:
            position = self._scanned
            if self._negotiating and not self._end_negotiation():
                return self._drop_if_long(position)
            end = data.find(b"\n", position)
            iac = data.find(IAC, position, end if end >= 0 else len(data))
            if iac < 0:
                if end >= 0:
                    return self._cut(end)
                self._scanned = len(data)
                return self._drop_if_long(len(data))
            self._scanned = iac
            if not self._swallow(iac):
                return self._drop_if_long(iac)

    def _cut(self, end: int) -> bytes | TooLong | None:
        data = self._data
        stop = end - 1 if end and data[end - 1] == 0x0D else end
        dropping, self._dropping = self._dropping, False
        too_long = stop > self.limit
        line = b""
        if not (dropping or too_long):
            line = bytes(data[:stop]) if stop < LONG else _start_of(data, stop)
        del data[: end + 1]
        self._scanned = 0
        if dropping:
            return self.take_line()  # it was reported when it became too long
        return TOO_LONG if too_long else line

    def _drop_if_long(self, length: int) -> TooLong | None:
        """Drop the first `length` bytes, which are all of an unfinished line, if they are too many."""
        if length <= self.limit + 1:
            return None
        del self._data[:length]
        self._scanned = 0
        if self._dropping:
            return None
        self._dropping = True
        return TOO_LONG

    def _swallow(self, start: int) -> bool:
        """Take the telnet sequence at `start` out of the line; False if it has not come whole yet.

        What is no telnet command stays, and no text can hold it.
        """
        data = self._data
        if len(data) < start + 2:
            return False
        code = data[start + 1]
        if code < FIRST_COMMAND:
            self._scanned = start + 1
            return True
        length = 3 if WILL <= code <= DONT else 2
        if len(data) < start + length:
            return False
        del data[start : start + length]
        self._negotiating = code == SB
        return True

    def _end_negotiation(self) -> bool:
        """Take out what there is of a subnegotiation; whether that was all of it."""
        data = self._data
        end = data.find(END_OF_SB, self._scanned)
        if end >= 0:
            del data[self._scanned : end + 2]
            self._negotiating = False
            return True
        # An IAC at the very end may be the first half of what ends it.
        keep = 1 if data[self._scanned :].endswith(b"\xff") else 0
        del data[self._scanned : len(data) - keep]
        return False
