"""Splits the bytes that arrive into lines, or returns them raw.

Lines end in LF or CRLF. Telnet commands (RFC 854) are removed from lines: they begin with IAC (255), a byte
that UTF-8 never uses. A line that is too long is reported once and dropped up to its end.
"""

from __future__ import annotations

from enum import Enum, auto
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

CR: Final = 0x0D
END_OF_SB: Final = b"\xff\xf0"
SB_BYTES: Final = 16  # bytes of a subnegotiation that count as one command
BATCH: Final = 256  # telnet commands that are removed before they are counted
BATCH_BYTES: Final = BATCH * SB_BYTES
PIECE: Final = 32 << 10  # minimum size of a piece of a long line that is set aside
LEFT: Final = 4  # bytes of it that stay in the buffer: a CR, or part of a character


class Cut(Enum):
    """What `take_line` returns instead of a line."""

    TOO_LONG = auto()  # a line was dropped
    LONG = auto()  # a line exceeds the ordinary limit: call `allow_long` or `drop`
    TELNET = auto()  # many telnet commands were removed: count them before the next line


def _start_of(data: bytearray, stop: int) -> bytes:
    """The first `stop` bytes, copied once."""
    with memoryview(data) as view:
        return bytes(view[:stop])


def _edited(code: int, data: bytearray, length: int) -> tuple[int, bytes]:
    """Apply a telnet command to the line typed so far, the first `length` bytes. Returns how many of them
    are left, and the byte to put in place of the command."""
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
    """Whether a text that ends in `end`, its last three bytes, stops within a UTF-8 character (RFC 3629)."""
    for count, byte in enumerate(reversed(end), 1):
        if byte & 0xC0 != 0x80:
            return count < (4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1)
    return False


class LineBuffer:
    """Bytes that have arrived and were not taken yet. A receiver that takes lines as they come holds at most
    one line and one read from the socket.

    A line may have `limit` bytes. If `most` is larger, `take_line` returns LONG once for a line that exceeds
    `limit`, and the caller decides by `allow_long` or `drop`.

    Subclasses split the input in other ways. `original` says whether the last request that was taken has the
    form of the system's own client. `wait` is not 0 if what has arrived may be a complete request: if
    nothing follows within so many seconds, `settle` makes it one.
    """

    __slots__ = (
        "_commands",
        "_dropping",
        "_most",
        "_negotiating",
        "_ordinary",
        "_pieces",
        "_scanned",
        "_size",
        "_stray",
        "data",
        "limit",
        "telnet",
    )

    original: bool = False
    wait: float = 0.0

    def __init__(self, limit: int, most: int = 0) -> None:
        self.limit = limit  # of the next line
        self._ordinary = limit
        self._most = max(most, limit)
        # What has arrived; `add` appends to it, and the receiver does so itself
        self.data = bytearray()
        self._scanned = 0  # bytes at the start without a line end or an IAC
        self._dropping = False  # the current line was too long
        self._negotiating = False  # within a subnegotiation
        # The start of a long line, in pieces: one growing buffer would be copied many times and fragment
        # the heap.
        self._pieces: list[bytes] = []
        self._size = 0  # bytes in `_pieces`
        self._commands: list[tuple[int, int]] = []  # removed telnet commands that need an answer
        self.telnet = 0  # the work of removing telnet commands, in bytes of subnegotiations
        self._stray = 0  # IACs that begin no command, not counted in `telnet` yet

    def __bool__(self) -> bool:
        return bool(self.data)

    def __len__(self) -> int:
        return self._size + len(self.data)

    def add(self, data: bytes) -> None:
        self.data += data

    def clear(self) -> None:
        """Drop everything."""
        self._forget_pieces()
        self.data.clear()
        self._scanned = 0

    def settle(self) -> None:
        """Take what has arrived for a complete request, because `wait` is over."""

    def start(self, size: int) -> bytes:
        """At most `size` bytes from the start of the buffer, which are not taken."""
        return bytes(self.data[:size])

    @property
    def is_long(self) -> bool:
        """Whether `allow_long` was called for the next line."""
        return self.limit > self._ordinary

    def allow_long(self) -> None:
        """Allow the next line up to `most` bytes."""
        self.limit = self._most

    def drop(self) -> None:
        """Drop the next line up to its end."""
        self.limit = self._ordinary
        self._discard(self._scanned)
        self._dropping = True

    def take_telnet(self) -> tuple[list[tuple[int, int]], int]:
        """The removed telnet commands that need an answer (code, option), and how many commands of the
        protocol all removed ones count as."""
        commands, self._commands = self._commands, []
        count, self.telnet = divmod(self.telnet, SB_BYTES)
        return commands, count

    def take_raw(self) -> bytes:
        """Everything in the buffer, unchanged."""
        taken = bytes(self.data)
        self.data.clear()
        self._scanned = 0
        return taken

    def take_line(self) -> bytes | Cut | None:
        """The next line without its end; None if there is no complete line."""
        data = self.data
        # The common case in one step: a short line without telnet.
        if not (self._negotiating or self._dropping or self._pieces or self.telnet):
            end = data.find(b"\n", self._scanned)
            stop = end - 1 if end > 0 and data[end - 1] == CR else end
            if 0 <= stop <= self.limit and stop < PIECE and data.find(IAC, self._scanned, end) < 0:
                line = bytes(data[:stop])
                del data[: end + 1]
                self._scanned = 0
                self.limit = self._ordinary
                return line
        return self._take_any_line()

    def _take_any_line(self) -> bytes | Cut | None:
        data = self.data
        while True:
            if self.telnet >= BATCH_BYTES:
                return Cut.TELNET
            position = self._scanned
            if self._negotiating and not self._end_negotiation():
                return self._drop_if_long(position)
            end = self._find_end(position)
            iac = data.find(IAC, position, end if end >= 0 else len(data))
            if iac < 0:
                if end >= 0:
                    return self._cut(end)
                self._scanned = len(data)
                too_long = self._drop_if_long(len(data))
                if self.limit > self._ordinary and len(data) > PIECE:
                    self._set_aside(len(data) - LEFT)
                return too_long
            if self._size + iac > self.limit + 1:
                if (too_long := self._drop_if_long(iac)) is not None:
                    return too_long
                continue
            self._scanned = iac
            if not self._swallow(iac):
                return self._drop_if_long(iac)

    def _find_end(self, position: int) -> int:
        """The position of the LF that ends the line; -1 if it has not arrived. There is none before
        `position`."""
        return self.data.find(b"\n", position)

    def _cut(self, end: int) -> bytes | Cut | None:
        data = self.data
        stop = end - 1 if end and data[end - 1] == CR else end
        too_long = self._size + stop > self.limit
        if too_long and self._may_be_longer():
            return Cut.LONG
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
            return self.take_line()  # this line was reported when it became too long
        return Cut.TOO_LONG if too_long else line

    def _set_aside(self, stop: int) -> None:
        """Move the first `stop` bytes of a long line out of the buffer. They were scanned, and no line end or
        telnet command can change them."""
        self._pieces.append(_start_of(self.data, stop))
        self._size += stop
        del self.data[:stop]
        self._scanned -= stop

    def _forget_pieces(self) -> None:
        self._pieces.clear()
        self._size = 0

    def _may_be_longer(self) -> bool:
        return not self._dropping and self.limit < self._most

    def _drop_if_long(self, length: int) -> Cut | None:
        """Drop an incomplete line, whose `length` bytes in the buffer were scanned, if it is too long."""
        if self._size + length <= self.limit + 1:
            return None
        if self._may_be_longer():
            return Cut.LONG
        self.limit = self._ordinary
        self._discard(length)
        if self._dropping:
            return None
        self._dropping = True
        return Cut.TOO_LONG

    def _discard(self, length: int) -> None:
        """Drop the current line as far as it has arrived, of which `length` bytes are in the buffer."""
        self._forget_pieces()
        del self.data[:length]
        self._scanned = 0

    def _swallow(self, start: int) -> bool:
        """Remove the telnet command at `start` from the line. Returns False if it is incomplete.

        An IAC that begins no command stays in the line, which therefore is not valid UTF-8.
        """
        data = self.data
        if len(data) < start + 2:
            return False
        code = data[start + 1]
        if code < FIRST_COMMAND:
            self._scanned = start + 1
            self._stray += 1
            if self._stray == SB_BYTES:  # each takes as long as a command
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
        """Remove what has arrived of a subnegotiation. Returns whether it is complete."""
        data = self.data
        end = data.find(END_OF_SB, self._scanned)
        # An IAC at the end of the buffer may be the first half of its end.
        keep = end < 0 and len(data) > self._scanned and data[-1] == IAC
        stop = end + len(END_OF_SB) if end >= 0 else len(data) - keep
        self.telnet += stop - self._scanned
        del data[self._scanned : stop]
        self._negotiating = end < 0
        return end >= 0
