"""Splitting bytes into lines: a table of cases, split in all ways, and arbitrary bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.lines.line_buffer import BATCH, PIECE, SB_BYTES, Cut, LineBuffer
from chatd.lines.receiver import BufferedLineReceiver
from tests.support.buffers import TOO_LONG, Splitting, feed, split

LIMIT = 12
IAC, LF, SB = 0xFF, 0x0A, 0xFA

# name -> the bytes that arrive, and their lines
CASES: dict[str, tuple[bytes, list[bytes | str]]] = {
    "nothing": (b"", []),
    "half a line": (b"half", []),
    "LF": (b"one\ntwo\n", [b"one", b"two"]),
    "CRLF": (b"one\r\ntwo\r\n", [b"one", b"two"]),
    "both": (b"one\r\ntwo\nthree\r\n", [b"one", b"two", b"three"]),
    "empty lines": (b"\n\r\n\n", [b"", b"", b""]),
    "a CR that ends nothing": (b"a\rb\r\r\nc\n", [b"a\rb\r", b"c"]),
    "spaces are kept": (b"  a b  \n", [b"  a b  "]),
    "bytes that are no text": (b"\x00\x80\xfe\n", [b"\x00\x80\xfe"]),
    "as long as allowed": (b"x" * LIMIT + b"\n", [b"x" * LIMIT]),
    "as long as allowed, CRLF": (b"x" * LIMIT + b"\r\n", [b"x" * LIMIT]),
    "one too long": (b"x" * (LIMIT + 1) + b"\nnext\n", [TOO_LONG, b"next"]),
    "one too long, CRLF": (b"x" * (LIMIT + 1) + b"\r\nnext\r\n", [TOO_LONG, b"next"]),
    "much too long": (b"x" * 10 * LIMIT + b"\nnext\n", [TOO_LONG, b"next"]),
    "too long, twice": (b"x" * 50 + b"\n" + b"y" * 50 + b"\nz\n", [TOO_LONG, TOO_LONG, b"z"]),
    "too long, and no end": (b"x" * 50, [TOO_LONG]),
    "a CR makes it no longer, if LF follows": (b"x" * LIMIT + b"\r", []),
    "a CR makes it longer, if none follows": (b"x" * LIMIT + b"\ry\nz\n", [TOO_LONG, b"z"]),
    "a telnet command": (b"a\xff\xf1b\n", [b"ab"]),
    "negotiation": (b"\xff\xfb\x01\xff\xfc\x03\xff\xfd\x1f\xff\xfe\x22ab\r\n", [b"ab"]),
    "negotiation between lines": (b"a\n\xff\xfb\x18\nb\n", [b"a", b"", b"b"]),
    "an option that looks like LF": (b"a\xff\xfb\nb\nc\n", [b"ab", b"c"]),
    "an option that looks like IAC": (b"a\xff\xfb\xffb\n", [b"ab"]),
    "an escaped IAC": (b"a\xff\xffb\n", [b"ab"]),
    "subnegotiation": (b"a\xff\xfa\x18\x00xterm\xff\xf0b\n", [b"ab"]),
    "subnegotiation that holds LF": (b"a\xff\xfa\x18\n\r\n\xff\xf0b\nc\n", [b"ab", b"c"]),
    "between CR and LF": (b"a\r\xff\xf1\n", [b"a"]),
    "IAC before what is no command": (b"a\xffb\n", [b"a\xffb"]),
    "IAC before LF": (b"a\xff\nb\n", [b"a\xff", b"b"]),
    "unfinished telnet": (b"a\nb\xff\xfb", [b"a"]),
    "unfinished subnegotiation": (b"a\nb\xff\xfa\n\n", [b"a"]),
    "too long by telnet alone": (b"\xff\xf1" * LIMIT + b"ab\n", [b"ab"]),
    "very much telnet": (b"\xff\xf1" * (BATCH + 2) + b"ab\n", [b"ab"]),
    "end of file and abort": (b"a\xff\xecb\xff\xed\n", [b"ab"]),
    "interrupt": (b"a\nhalf\xff\xf4b\n", [b"a", b"b"]),
    "break": (b"half\xff\xf3\xff\xfd\x06b\n", [b"b"]),
    "abort": (b"half\xff\xeeb\n", [b"b"]),
    "erase line": (b"half\xff\xf8b\n", [b"b"]),
    "erase character": (b"ab\xff\xf7c\n", [b"ac"]),
    "erase a character of several bytes": (
        "a“\U0001f44b".encode() + b"\xff\xf7" * 2 + b"b\n",
        [b"ab"],
    ),
    "erase what is not there": (b"\xff\xf7\xff\xf7b\n", [b"b"]),
    "no end of the line before": (b"a\n\xff\xf7\xff\xf4b\n", [b"a", b"b"]),
    "a break that is a byte of a character": (b"\xc3\xff\xf3 \xe2\x80\xff\xf3\n", ["Ü “".encode()]),
    "an interrupt that is one": (b"\xc3\xff\xf4\xff\xfd\x06\n", ["Ã".encode()]),
    "after a whole character it is none": (b"\xc3\x9c\xff\xf3a\n", [b"a"]),
    "interrupt within what is too long": (b"x" * 50 + b"\xff\xf4b\nc\n", [TOO_LONG, b"c"]),
}


def fed(parts: Iterable[bytes], limit: int = LIMIT) -> list[bytes | str]:
    """The lines that a LineBuffer makes of `parts`."""
    return feed(LineBuffer(limit), parts)


def lines_of(data: bytes, limit: int) -> list[bytes | str]:
    """The lines in `data`, by a simple loop over its bytes."""
    found: list[bytes | str] = []
    line = bytearray()
    dropping = False
    at = 0
    while at < len(data):
        if data[at] == IAC and (at + 1 == len(data) or data[at + 1] >= 0xEC):
            end = _after_telnet(data, at)
            if end <= len(data) and at + 1 < len(data) and not dropping:
                _edit(line, data[at + 1])
            at = end
        elif data[at] != LF:
            line.append(data[at])
            at += 1
        else:
            text = bytes(line).removesuffix(b"\r")
            found += [] if dropping else [TOO_LONG if len(text) > limit else text]
            line.clear()
            dropping = False
            at += 1
        if len(line) > limit + 1 and not dropping:
            found.append(TOO_LONG)
            dropping = True
    return found


def _edit(line: bytearray, code: int) -> None:
    """Apply a telnet command to the line before it."""
    # The lead byte of a character that has more bytes than have arrived: 110xxxxx, 1110xxxx or 11110xxx.
    cut = re.search(
        rb"([\xc0-\xff]|[\xe0-\xff][\x80-\xbf]|[\xf0-\xff][\x80-\xbf]{2})\Z", line, re.DOTALL
    )
    byte = {0xF4: 0x83, 0xF3: 0x9C, 0xEE: 0x9C, 0xED: 0x9A, 0xF5: 0x8F}.get(code)
    if cut and byte is not None:
        line.append(byte)
    elif code in (0xF8, 0xF4, 0xF3, 0xEE):
        line.clear()
    elif code == 0xF7:
        while line and line.pop() & 0xC0 == 0x80:
            pass


def _after_telnet(data: bytes, at: int) -> int:
    code = data[at + 1] if at + 1 < len(data) else SB
    if code == SB:
        end = data.find(b"\xff\xf0", at + 2)
        return end + 2 if end >= 0 else len(data)
    return at + (3 if 0xFB <= code <= 0xFE else 2)


PIECES = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\r",
        b"ab",
        b"x" * 9,
        b"\xff",
        b"\xff\xfa",
        b"\xff\xf0",
        b"\xff\xfb",
        b"\x00",
    ]
)
STREAMS = st.lists(st.one_of(PIECES, st.binary(max_size=4)), max_size=20).map(b"".join)
CUTS = st.lists(st.integers(0, 200), max_size=8)


class Table(Splitting, TestCase):
    cases = CASES

    def fed(self, parts: Iterable[bytes]) -> list[bytes | str]:
        return fed(parts)

    def test_the_table_is_right(self) -> None:
        """The simple loop that hypothesis compares with agrees with the table."""
        for name, (data, expected) in CASES.items():
            self.assertEqual(lines_of(data, LIMIT), expected, name)


class AnyBytes(TestCase):
    """Arbitrary bytes give the same lines, however they are split."""

    @given(STREAMS, CUTS)
    def test_within_the_limit_any_split_gives_the_same_lines(
        self, data: bytes, cuts: list[int]
    ) -> None:
        self.assertEqual(fed(split(data, cuts), 1000), lines_of(data, 1000))

    @given(STREAMS.map(lambda data: data.replace(b"\xff", b"\xfe")), CUTS)
    def test_without_telnet_any_split_gives_the_same_lines(
        self, data: bytes, cuts: list[int]
    ) -> None:
        self.assertEqual(fed(split(data, cuts)), lines_of(data, LIMIT))

    @given(STREAMS, CUTS)
    @example(b"x" * LIMIT + b"\xff\xfb\x01\n", [LIMIT + 2])
    @example(b"a\xff\xfa" + b"x" * 50 + b"\n\xff\xf0b\n", [20])
    def test_any_split_gives_the_same_lines(self, data: bytes, cuts: list[int]) -> None:
        """Telnet commands are not part of a line, nor of its length."""
        self.assertEqual(fed(split(data, cuts)), lines_of(data, LIMIT))

    @given(st.lists(st.binary(min_size=1, max_size=40), max_size=60))
    @example([b"x"] * 200)
    @example([b"\xff\xfa"] + [b"x"] * 200)
    @example([b"\xff"] * 200)
    def test_memory_is_bounded(self, parts: list[bytes]) -> None:
        """The buffer never holds more than one line and the last read."""
        buffer = LineBuffer(LIMIT)
        for part in parts:
            buffer.add(part)
            while buffer and buffer.take_line() is not None:
                buffer.take_telnet()
            self.assertLessEqual(len(buffer.data), LIMIT + 2)


class Stray(TestCase):
    def test_bytes_that_begin_no_command_count_as_commands(self) -> None:
        """Each takes as long as a command, and a line may be full of them."""
        buffer = LineBuffer(1 << 20)
        buffer.add(b"\xff\x00" * SB_BYTES * BATCH + b"\n")
        self.assertIs(buffer.take_line(), Cut.TELNET)
        self.assertEqual(buffer.take_telnet(), ([], BATCH))
        self.assertEqual(buffer.take_line(), b"\xff\x00" * SB_BYTES * BATCH)

    def test_a_single_one_is_not_counted(self) -> None:
        buffer = LineBuffer(LIMIT)
        buffer.add(b"a\xffb\n")
        buffer.take_line()
        self.assertEqual(buffer.telnet, 0)


class Upload(BufferedLineReceiver):
    """Passes on lines, and after the line `size` so many raw bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(LIMIT, LIMIT)
        self.missing = size
        self.received: list[bytes] = []
        self.raw = b""

    def lineReceived(self, line: bytes) -> None:
        self.received.append(line)
        if line == b"size" and self.missing:
            self.setRawMode()

    def rawDataReceived(self, data: bytes) -> None:
        taken = data[: self.missing]
        self.raw += taken
        self.missing -= len(taken)
        if not self.missing:
            self.setLineMode(data[len(taken) :])


class Raw(TestCase):
    """Bytes of files between lines."""

    @given(st.binary(max_size=60), CUTS)
    @example(b"\xff\xfb\x01\r\n\n\xff", [3, 5])
    def test_raw_bytes_are_untouched(self, data: bytes, cuts: list[int]) -> None:
        """Raw bytes are passed on unchanged, and the next line after them."""
        receiver = Upload(len(data))
        for part in split(b"size\r\n" + data + b"ping\r\n", cuts):
            receiver.dataReceived(part)
        self.assertEqual((receiver.received, receiver.raw), ([b"size", b"ping"], data))

    def test_bytes_after_the_file_are_lines_again(self) -> None:
        receiver = Upload(5)
        receiver.dataReceived(b"size\n123")
        self.assertEqual(receiver.raw, b"123")
        receiver.dataReceived(b"45ping\n")
        self.assertEqual((receiver.received, receiver.raw), ([b"size", b"ping"], b"12345"))
        self.assertFalse(receiver.lines)


class LongLines(TestCase):
    """The caller decides on a line that exceeds the ordinary limit."""

    def made(self, *parts: bytes) -> LineBuffer:
        buffer = LineBuffer(LIMIT, 40)
        for part in parts:
            buffer.add(part)
        return buffer

    def test_allowed(self) -> None:
        for parts in ((b"x" * 30 + b"\nnext\n",), (b"x" * 20, b"x" * 10 + b"\r\nnext\n")):
            buffer = self.made(*parts[:1])
            self.assertIs(buffer.take_line(), Cut.LONG)
            self.assertEqual(buffer.start(3), b"xxx")
            buffer.allow_long()
            self.assertTrue(buffer.is_long)
            for part in parts[1:]:
                self.assertIsNone(buffer.take_line())
                buffer.add(part)
            self.assertEqual(buffer.take_line(), b"x" * 30)
            self.assertFalse(buffer.is_long)
            self.assertEqual(buffer.take_line(), b"next")

    def test_dropped(self) -> None:
        for parts in ((b"x" * 30 + b"\nnext\n",), (b"x" * 20, b"x" * 50 + b"\nnext\n")):
            buffer = self.made(*parts[:1])
            self.assertIs(buffer.take_line(), Cut.LONG)
            buffer.drop()
            for part in parts[1:]:
                self.assertIsNone(buffer.take_line())
                buffer.add(part)
            self.assertEqual(buffer.take_line(), b"next")

    def test_allowed_line_may_still_be_too_long(self) -> None:
        buffer = self.made(b"x" * 30)
        self.assertIs(buffer.take_line(), Cut.LONG)
        buffer.allow_long()
        buffer.add(b"x" * 30)
        self.assertIs(buffer.take_line(), Cut.TOO_LONG)
        buffer.add(b"\n" + b"y" * 30)
        self.assertIs(buffer.take_line(), Cut.LONG)

    def test_in_pieces(self) -> None:
        """However it is split, and with telnet commands in it."""
        text = bytes(range(32, 127)) * 3000
        data = text + b"\xff\xf1" + text + b"\r\nnext\n"
        for size in (1000, 65_536, PIECE, PIECE + 3):
            buffer = LineBuffer(LIMIT, 1 << 20)
            found: list[object] = []
            for start in range(0, len(data), size):
                buffer.add(data[start : start + size])
                while buffer and (line := buffer.take_line()) is not None:
                    if line is Cut.LONG:
                        buffer.allow_long()
                    else:
                        found.append(line)
            self.assertEqual(found, [text + text, b"next"], size)
            self.assertEqual(len(buffer), 0)

    def test_pieces_are_counted_and_dropped(self) -> None:
        most = 3 * PIECE
        for how in ("drop", "interrupt", "too long"):
            buffer = LineBuffer(LIMIT, most)
            buffer.add(b"x" * 2 * PIECE)
            self.assertIs(buffer.take_line(), Cut.LONG)
            buffer.allow_long()
            self.assertIsNone(buffer.take_line())
            self.assertEqual(len(buffer), 2 * PIECE)
            if how == "drop":
                buffer.drop()
            elif how == "interrupt":
                buffer.add(b"\xff\xf4")
            else:
                buffer.add(b"x" * 2 * PIECE)
            expected = Cut.TOO_LONG if how == "too long" else None
            self.assertIs(buffer.take_line(), expected)
            self.assertLess(len(buffer), LIMIT)
            buffer.add(b"\nnext\n")
            found = [buffer.take_line(), buffer.take_line()]
            self.assertIn(b"next", found)
