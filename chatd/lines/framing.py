"""Splits arriving bytes into lines, or passes on raw bytes, whichever is wanted next. It has no socket.

Lines end in LF or CRLF. Telnet's commands (RFC 854) are removed from them: they begin with IAC (255), which
UTF-8 never uses. A line that is too long is reported once and dropped up to its end.
"""

from __future__ import annotations

from typing import Final

from chatd.lines.telnet import (
    ABANDONING,
    ARE_YOU_THERE,
    DONT,
    ERASE_CHARACTER,
    FIRST_COMMAND,
    IAC,
    MISTAKEN,
    SB,
    WILL,
)

END_OF_SB: Final = b"\xff\xf0"
SB_BYTES: Final = 16  # bytes of subnegotiations that count as one command
BATCH: Final = 256  # telnet commands that are removed at a time
BATCH_BYTES: Final = BATCH * SB_BYTES
PIECE: Final = 32 << 10  # least bytes of a long line that are set aside at a time
LEFT: Final = 4  # bytes of it that are kept back: a CR, or part of a character


class TooLong:
    """Stands for a line that was dropped."""


class Longer:
    """Returned for a line that exceeds the ordinary limit: `allow_long` or `drop` has to be called."""


class Telnet:
    """Returned when there are so many telnet commands that they have to be counted first."""


TOO_LONG: Final = TooLong()
LONGER: Final = Longer()
TELNET: Final = Telnet()


def _start_of(data: bytearray, stop: int) -> bytes:
    """The first `stop` bytes, copied only once."""
    with memoryview(data) as view:
        return bytes(view[:stop])


def _edited(code: int, data: bytearray, length: int) -> tuple[int, bytes]:
    """How many of the `length` bytes of the half-typed line a telnet command leaves, and the byte that it
    stands for."""
    if code in MISTAKEN and _is_cut(data[max(0, length - 3) : length]):
        return length, bytes((MISTAKEN[code],))
    if code in ABANDONING:
        return 0, b""
    if code == ERASE_CHARACTER:
        while length:
            length -= 1
            if data[length] & 0xC0 != 0x80:  # no continuation byte
                break
    return length, b""


def _is_cut(end: bytes | bytearray) -> bool:
    """Whether a text with this end (at most three bytes) breaks off within a UTF-8 character (RFC 3629)."""
    for count, byte in enumerate(reversed(end), 1):
        if byte & 0xC0 != 0x80:
            return count < (4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1)
    return False


class LineBuffer:
    """The bytes that have arrived and were not taken yet: at most one line's limit and one more read.

    A line may have `limit` bytes. If `most` is larger, `take_line` returns LONGER once for a line that
    exceeds `limit`, and `allow_long` or `drop` decides on that line.
    """

    __slots__ = (
        "_commands",
        "_data",
        "_dropping",
        "_most",
        "_negotiating",
        "_ordinary",
        "_pieces",
        "_scanned",
        "_size",
        "_stray",
        "limit",
        "telnet",
    )

    def __init__(self, limit: int, most: int = 0) -> None:
        self.limit = limit  # of the next line
        self._ordinary = limit
        self._most = max(most, limit)
        self._data = bytearray()
        self._scanned = 0  # in what stands before there is no line's end, and nothing of telnet's
        self._dropping = False  # what has come of this line was too long
        self._negotiating = False  # what comes next belongs to a subnegotiation
        # The beginning of a long line, in pieces: one growing buffer would be copied again and again, and
        # leave holes in memory.
        self._pieces: list[bytes] = []
        self._size = 0  # bytes in them
        # Telnet commands that need an answer, with their options; and the work that all of them made, in
        # bytes of subnegotiations.
        self._commands: list[tuple[int, int]] = []
        self.telnet = 0
        self._stray = 0  # IACs that begin no command and are not counted yet

    def __bool__(self) -> bool:
        return bool(self._data)

    def __len__(self) -> int:
        return self._size + len(self._data)

    def add(self, data: bytes) -> None:
        self._data += data

    def clear(self) -> None:
        """Forget all of it."""
        self._forget_pieces()
        self._data.clear()
        self._scanned = 0

    def start(self, size: int) -> bytes:
        """The first bytes that have arrived, at most `size` of them."""
        return bytes(self._data[:size])

    @property
    def is_long(self) -> bool:
        """Whether the next line was allowed to be long."""
        return self.limit > self._ordinary

    def allow_long(self) -> None:
        """Let the next line have up to `most` bytes."""
        self.limit = self._most

    def drop(self) -> None:
        """Drop the next line up to its end."""
        self.limit = self._ordinary
        self._forget_pieces()
        self._dropping = True
        self._data[: self._scanned] = b""
        self._scanned = 0

    def take_telnet(self) -> tuple[list[tuple[int, int]], int]:
        """The telnet commands that need an answer, with their options, and the number of commands that all
        removed ones count for."""
        commands, self._commands = self._commands, []
        count, self.telnet = divmod(self.telnet, SB_BYTES)
        return commands, count

    def take_raw(self, size: int) -> bytes:
        """At most `size` bytes, as they came."""
        taken = bytes(self._data[:size])
        del self._data[:size]
        self._scanned = 0
        return taken

    def take_line(self) -> bytes | TooLong | Longer | Telnet | None:
        """The next line without its end; None if there is none yet."""
        data = self._data
        while True:
            if self.telnet >= BATCH_BYTES:
                return TELNET
            position = self._scanned
            if self._negotiating and not self._end_negotiation():
                return self._drop_if_long(position)
            end = data.find(b"\n", position)
            iac = data.find(IAC, position, end if end >= 0 else len(data))
            if iac < 0:
                if end >= 0:
                    return self._cut(end)
                self._scanned = len(data)
                too_long = self._drop_if_long(len(data))
                if self.limit > self._ordinary and len(data) > PIECE:
                    self._set_aside()
                return too_long
            if self._size + iac > self.limit + 1:
                if (too_long := self._drop_if_long(iac)) is not None:
                    return too_long
                continue
            self._scanned = iac
            if not self._swallow(iac):
                return self._drop_if_long(iac)

    def _cut(self, end: int) -> bytes | TooLong | Longer | Telnet | None:
        data = self._data
        stop = end - 1 if end and data[end - 1] == 0x0D else end
        too_long = self._size + stop > self.limit
        if too_long and self._may_be_longer():
            return LONGER
        dropping, self._dropping = self._dropping, False
        self.limit = self._ordinary
        line = b""
        if not (dropping or too_long):
            line = bytes(data[:stop]) if stop < PIECE else _start_of(data, stop)
            if self._pieces:
                line = b"".join((*self._pieces, line))
        if self._pieces:
            self._forget_pieces()
        del data[: end + 1]
        self._scanned = 0
        if dropping:
            return self.take_line()  # it was reported when it became too long
        return TOO_LONG if too_long else line

    def _set_aside(self) -> None:
        """Move the scanned part of a long line out of the buffer, except what may end the line or edit it."""
        piece = _start_of(self._data, len(self._data) - LEFT)
        self._pieces.append(piece)
        self._size += len(piece)
        del self._data[: len(piece)]
        self._scanned = LEFT

    def _forget_pieces(self) -> None:
        self._pieces.clear()
        self._size = 0

    def _may_be_longer(self) -> bool:
        return not self._dropping and self.limit < self._most

    def _drop_if_long(self, length: int) -> TooLong | Longer | None:
        """Drop the first `length` bytes, which are all of an unfinished line, if they are too many."""
        if self._size + length <= self.limit + 1:
            return None
        if self._may_be_longer():
            return LONGER
        self.limit = self._ordinary
        self._forget_pieces()
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
            self._stray += 1
            if self._stray == SB_BYTES:  # a line full of them is as much work as commands
                self._stray = 0
                self.telnet += SB_BYTES
            return True
        has_option = WILL <= code <= DONT
        length = 3 if has_option else 2
        if len(data) < start + length:
            return False
        if has_option or code == ARE_YOU_THERE:
            self._commands.append((code, data[start + 2] if has_option else 0))
        if self._dropping:
            left, byte = start, b""
        else:
            left, byte = _edited(code, data, start)
        data[left : start + length] = byte
        if not left and code in ABANDONING:
            self.limit = self._ordinary
            self._forget_pieces()
        self._scanned = left + len(byte)
        self.telnet += SB_BYTES
        self._negotiating = code == SB
        return True

    def _end_negotiation(self) -> bool:
        """Take out what there is of a subnegotiation; whether that was all of it."""
        data = self._data
        end = data.find(END_OF_SB, self._scanned)
        # An IAC at the very end may be the first half of what ends it.
        keep = end < 0 and len(data) > self._scanned and data[-1] == IAC
        stop = end + len(END_OF_SB) if end >= 0 else len(data) - keep
        self.telnet += stop - self._scanned
        del data[self._scanned : stop]
        self._negotiating = end < 0
        return end >= 0
