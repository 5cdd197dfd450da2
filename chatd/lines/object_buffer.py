"""Splits the bytes that arrive into JSON objects without line ends, and into lines.

The first byte of a request tells what it is: `{` begins an object, anything else a line. An object ends with
the brace that closes it. Nothing separates objects, but there may be white space around them.

An object that cannot become valid is broken: there is a line end within a string, or a byte outside of
strings that JSON does not have there. It ends with the brace that would close it or with the next line end,
whichever comes first, so a stray brace at the start of a line spoils that line only. Whether an object is
valid, and what it contains, is for the dialect to find out.
"""

from __future__ import annotations

import re
from typing import Final

from chatd.lines.line_buffer import SB_BYTES, Cut, LineBuffer

LF: Final = 0x0A
QUOTE: Final = 0x22
OPEN: Final = 0x7B
CLOSE: Final = 0x7D
BRACES: Final = 256  # finding so many of them takes as long as a command

_BLANKS = re.compile(rb"[ \t]*+")
_BLANK_LINES = re.compile(rb"[ \t\r\n]*+")
_IN_STRING = rb'(?:[^"\\\n]++|\\[^\n])*+'
_STRING = re.compile(_IN_STRING)
_WHOLE_STRING = rb'"' + _IN_STRING + rb'"'
# What stands between the braces: white space, punctuation, brackets, numbers, the letters of `true`, `false`
# and `null`, and complete strings.
_BETWEEN = re.compile(rb"(?:[ \t\r\n0-9aeflnrstuE+\-.,:\[\]]++|" + _WHOLE_STRING + rb")*+")
_BETWEEN_IN_BROKEN = re.compile(rb'(?:[^{}"\n]++|' + _WHOLE_STRING + rb")*+")


class ObjectScanner:
    """Looks for the end of the object at the start of the buffer, and at each byte once."""

    __slots__ = ("_depth", "_in_string", "_is_broken", "at", "braces")

    def __init__(self) -> None:
        self.braces = 0  # found so far, in all objects
        self.begin()

    def begin(self) -> None:
        """The next object begins."""
        self.at = 0  # bytes that belong to the object
        self._depth = 0
        self._in_string = False
        self._is_broken = False

    @property
    def has_begun(self) -> bool:
        return self._depth > 0

    def find_end(self, data: bytearray) -> bool:
        """Whether the object is complete; then it ends at `at`."""
        size = len(data)
        while True:
            between = _BETWEEN_IN_BROKEN if self._is_broken else _BETWEEN
            at = self.at = _end(_STRING if self._in_string else between, data, self.at)
            if at == size:
                return False
            byte = data[at]
            if byte == QUOTE:
                self._in_string = not self._in_string
            elif self._in_string:  # at a line end, or at a backslash
                if byte != LF and at + 1 == size:
                    return False
                self.at += byte != LF
                return True
            elif byte == OPEN:
                self._depth += 1
                self.braces += 1
            elif byte == CLOSE:
                self._depth -= 1
                self.braces += 1
                if not self._depth:
                    self.at += 1
                    return True
            elif self._is_broken:
                return True
            else:
                self._is_broken = True
                continue
            self.at += 1


def _end(pattern: re.Pattern[bytes], data: bytearray, start: int) -> int:
    """Where the bytes that `pattern` matches end."""
    found = pattern.match(data, start)
    return found.end() if found else start


class ObjectBuffer(LineBuffer):
    """A LineBuffer that takes JSON objects, too. `original` says whether the last request was one.

    Blanks at the beginning of a request are dropped, and so are line ends after an object or after raw bytes.
    """

    __slots__ = ("_in_line", "_is_dropping", "_may_skip", "_scanner", "original")

    def __init__(self, limit: int, most: int = 0) -> None:
        super().__init__(limit, most)
        self.original = False
        self._scanner = ObjectScanner()
        self._is_dropping = False  # the object is too long
        self._in_line = False  # a line has begun
        self._may_skip = False  # line ends are no request

    def clear(self) -> None:
        super().clear()
        self._end_object()
        self._in_line = False

    def take_raw(self) -> bytes:
        self._may_skip = True
        return super().take_raw()

    def take_line(self) -> bytes | Cut | None:
        """The next object, or the next line without its end; None if it is not complete."""
        if not (self._in_line or self._scanner.has_begun):
            blanks = _BLANK_LINES if self._may_skip else _BLANKS
            del self.data[: _end(blanks, self.data, 0)]
            if not self.data:
                return None
            self._may_skip = False
            self.original = self.data[0] == OPEN
            self._in_line = not self.original
        if not self._in_line:
            return self._take_object()
        line = super().take_line()
        if type(line) is bytes:
            self._in_line = False
        return line

    def _cut(self, end: int) -> bytes | Cut | None:
        self._in_line = False
        return super()._cut(end)

    def _take_object(self) -> bytes | Cut | None:
        data, scanner = self.data, self._scanner
        is_complete = scanner.find_end(data)
        count, scanner.braces = divmod(scanner.braces, BRACES)
        self.telnet += count * SB_BYTES
        was_dropping = self._is_dropping
        self._is_dropping = was_dropping or scanner.at > self.limit
        taken: bytes | Cut | None = None
        if self._is_dropping:
            taken = None if was_dropping else Cut.TOO_LONG
        elif is_complete:
            taken = bytes(data[: scanner.at])
        if is_complete or self._is_dropping:
            del data[: scanner.at]
            scanner.at = 0
        if not is_complete:
            return taken
        self._end_object()
        return self.take_line() if taken is None else taken

    def _end_object(self) -> None:
        self._scanner.begin()
        self._is_dropping = False
        self._may_skip = True
