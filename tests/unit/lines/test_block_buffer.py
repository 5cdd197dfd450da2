"""Requests in padded blocks beside lines: a table of cases, split in all ways, and arbitrary streams."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.lines.block_buffer import BLOCK, CUT_TIME, EXACT_FIT_TIME, BlockBuffer
from chatd.lines.line_buffer import PIECE, Cut
from tests.support.buffers import TOO_LONG, Splitting, feed, in_pieces, split, take_all
from tests.unit.lines.test_line_buffer import lines_of

LIMIT = 4 * BLOCK
AUTH = b"auth username=messi&password=surabaya"
INBOX = b"inbox session=abc"


def padded(request: bytes) -> bytes:
    """The request as the client sends it: it does not pad what fits exactly."""
    return request.ljust(-(-len(request) // BLOCK) * BLOCK)


def sized(size: int, start: bytes = b"send message=") -> bytes:
    """A request of that many bytes."""
    return start.ljust(size, b"x")


# name -> the bytes that arrive before a silence, and the requests
CASES: dict[str, tuple[bytes, list[bytes | str]]] = {
    "nothing": (b"", []),
    "half a block": (padded(AUTH)[:500], []),
    "a block": (padded(AUTH), [AUTH]),
    "two": (padded(AUTH) + padded(INBOX), [AUTH, INBOX]),
    "one and a half": (padded(AUTH) + padded(INBOX)[:300], [AUTH]),
    "several blocks": (padded(sized(2500)) + padded(INBOX), [sized(2500), INBOX]),
    "one space of padding": (padded(sized(1023)) + padded(INBOX), [sized(1023), INBOX]),
    "an exact fit, and silence": (sized(1024), [sized(1024)]),
    "an exact fit, and another request": (sized(2048) + padded(INBOX), [sized(2048), INBOX]),
    "three exact fits": (sized(1024) * 3, [sized(1024)] * 3),
    "an exact fit, and half a request": (sized(1024) + INBOX, [sized(1024)]),
    "an exact fit, and hardly anything": (sized(1024) + b"in", []),
    "a space within": (padded(b"a b c") + padded(INBOX), [b"a b c", INBOX]),
    "only padding": (b" " * BLOCK + padded(INBOX), [b"", INBOX]),
    "a line end after the first request": (padded(AUTH) + padded(b"a\nb\r\n"), [AUTH, b"a\nb\r\n"]),
    "no telnet": (
        padded(AUTH) + padded(b"\xff\xf4\xff\xfd\x06a"),
        [AUTH, b"\xff\xf4\xff\xfd\x06a"],
    ),
    "as long as allowed": (padded(AUTH) + sized(LIMIT), [AUTH, sized(LIMIT)]),
    "too long": (padded(sized(LIMIT + 1)) + padded(INBOX), [TOO_LONG, INBOX]),
    "much too long": (padded(sized(3 * LIMIT + 5)) + padded(INBOX), [TOO_LONG, INBOX]),
    "too long, and an exact fit": (sized(3 * LIMIT) + padded(INBOX), [TOO_LONG, INBOX]),
    "too long, twice": (padded(sized(LIMIT + 1)) * 2 + padded(INBOX), [TOO_LONG, TOO_LONG, INBOX]),
    "too long, and no end": (sized(3 * LIMIT + 5), [TOO_LONG]),
    "a line": (AUTH + b"\r\n", [AUTH]),
    "a line, and a block": (AUTH + b"\n" + padded(INBOX), [AUTH]),
    "an empty line": (b"\n" + padded(INBOX) + b"\n", [b"", padded(INBOX)]),
    "a long line": (sized(3000) + b"\r\n" + INBOX + b"\n", [sized(3000), INBOX]),
    "a line end that begins a block": (sized(1023) + b"\r\n" + INBOX + b"\n", [sized(1023), INBOX]),
    "a line that is too long": (sized(2 * LIMIT) + b"\n" + INBOX + b"\n", [TOO_LONG, INBOX]),
    "a long line with what could begin a request": (
        sized(2045) + sized(500) + b"\n" + INBOX + b"\n",
        [sized(2045) + sized(500), INBOX],
    ),
    "telnet": (b"\xff\xfb\x01" + AUTH + b"\r\n", [AUTH]),
    "telnet in a long line": (sized(3000) + b"\xff\xf1y\n", [sized(3000) + b"y"]),
    "telnet, and spaces": (b"\xff\xf1".ljust(BLOCK) + b"\n", [b" " * (BLOCK - 2)]),
}


def fed(parts: Iterable[bytes], limit: int = LIMIT, most: int = 0) -> list[bytes | str]:
    """What a BlockBuffer makes of `parts` and a silence."""
    buffer = BlockBuffer(limit, most)
    found = feed(buffer, parts)
    buffer.settle()
    return [*found, *take_all(buffer)]


def requests_of(data: bytes, limit: int) -> list[bytes | str]:
    """The requests in `data`, by a simple loop over its blocks."""
    found: list[bytes | str] = []
    request = b""
    for start in range(0, len(data), BLOCK):
        block = data[start : start + BLOCK]
        if not found and (b"\n" in block or b"\xff" in block):
            return lines_of(data, limit)
        if request and re.match(rb"[A-Za-z_]{1,32} [A-Za-z_]{1,32}=", block):
            found.append(request)
            request = b""
        if len(block) < BLOCK:
            return found
        request += block
        if request.endswith(b" "):
            found.append(request.rstrip(b" "))
            request = b""
    return [*found, request] if request else found


class Table(Splitting, TestCase):
    cases = CASES

    def fed(self, parts: Iterable[bytes]) -> list[bytes | str]:
        return fed(parts)

    def places(self, data: bytes) -> Iterable[int]:
        """Around each block."""
        for block in range(0, len(data) + 1, BLOCK):
            for place in (block - 1, block, block + 1, block + 6, block + 10):
                if 0 <= place <= len(data):
                    yield place

    def test_the_model_is_right(self) -> None:
        for name, (data, expected) in CASES.items():
            if "too long" not in name:
                self.assertEqual(requests_of(data, LIMIT), expected, name)


class Waiting(TestCase):
    """Only an exact fit has to wait."""

    def waits_after(self, *parts: bytes) -> float:
        buffer = BlockBuffer(LIMIT, 0, {b"send": 3})
        for part in parts:
            buffer.add(part)
            while buffer and buffer.take_line() is not None:
                pass
        return buffer.wait

    def test_an_exact_fit_waits(self) -> None:
        for size in (1024, 2048):
            self.assertEqual(self.waits_after(sized(size, b"nonsense a=")), EXACT_FIT_TIME)
            self.assertEqual(self.waits_after(sized(size, b"send a=1&b=2&c=")), EXACT_FIT_TIME)
            self.assertEqual(self.waits_after(padded(AUTH), sized(size, b"a b=")), EXACT_FIT_TIME)

    def test_what_seems_to_be_cut_waits_longer(self) -> None:
        for start in (b"send message=", b"send a=1&b="):
            self.assertEqual(self.waits_after(sized(1024, start)), CUT_TIME)
            self.assertEqual(self.waits_after(padded(AUTH), sized(2048, start)), CUT_TIME)
        for length, wait in ((42, CUT_TIME), (43, EXACT_FIT_TIME), (44, CUT_TIME)):
            end = b"&session=" + b"t" * length
            found = self.waits_after(sized(2048 - len(end), b"send a=1&message=") + end)
            self.assertEqual(found, wait, length)

    def test_nothing_else_waits(self) -> None:
        self.assertEqual(self.waits_after(padded(AUTH)), 0)
        self.assertEqual(self.waits_after(sized(2048, b"send a=1&b=2&c="), padded(INBOX)), 0)
        self.assertEqual(self.waits_after(padded(AUTH), b"inb"), 0)
        self.assertEqual(self.waits_after(sized(1024), b"x"), 0)
        self.assertEqual(self.waits_after(sized(1024), padded(INBOX)), 0)
        self.assertEqual(self.waits_after(b"x" * 1000), 0)
        self.assertEqual(self.waits_after(AUTH + b"\n", sized(1024)), 0)

    def test_what_arrives_in_time_belongs_to_the_request(self) -> None:
        buffer = BlockBuffer(LIMIT)
        buffer.add(sized(1024))
        self.assertIsNone(buffer.take_line())
        buffer.add(b"y".ljust(BLOCK))
        self.assertEqual(buffer.take_line(), sized(1024) + b"y")

    def test_settling_without_need_changes_nothing(self) -> None:
        buffer = BlockBuffer(LIMIT)
        buffer.add(padded(AUTH) + INBOX)
        self.assertEqual(buffer.take_line(), AUTH)
        buffer.settle()
        self.assertIsNone(buffer.take_line())


class Form(TestCase):
    """The first request decides how the client speaks."""

    def test_blocks(self) -> None:
        buffer = BlockBuffer(LIMIT)
        buffer.add(padded(AUTH))
        buffer.take_line()
        self.assertTrue(buffer.original)

    def test_lines(self) -> None:
        buffer = BlockBuffer(LIMIT)
        buffer.add(AUTH + b"\n")
        buffer.take_line()
        self.assertFalse(buffer.original)


class Long(TestCase):
    """Requests and lines beyond the ordinary limit."""

    SIZES = (LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 2, LIMIT + BLOCK, 3 * PIECE, 3 * PIECE + 7)

    def test_allowed(self) -> None:
        for size in self.SIZES:
            for end in (b" " * (-size % BLOCK), b"\r\n"):
                data = padded(AUTH) if end != b"\r\n" else AUTH + b"\n"
                for first, before in ((data, [AUTH]), (b"", [])):
                    whole = first + sized(size) + end
                    for step in (len(whole), 1024, 999):
                        found = fed(in_pieces(whole, step), most=8 * PIECE)
                        self.assertEqual(found, [*before, sized(size)], (size, end, step))

    def test_allowed_up_to_a_limit(self) -> None:
        data = padded(sized(9 * PIECE)) + padded(INBOX)
        for step in (len(data), 1024, 999):
            self.assertEqual(fed(in_pieces(data, step), most=8 * PIECE), [TOO_LONG, INBOX])

    def test_dropped(self) -> None:
        data = padded(sized(3 * PIECE + 7)) + padded(INBOX)
        for step in (len(data), 1024, 999):
            buffer = BlockBuffer(LIMIT, 8 * PIECE)
            found: list[bytes | Cut] = []
            for at in range(0, len(data), step):
                buffer.add(data[at : at + step])
                while buffer and (line := buffer.take_line()) is not None:
                    found.append(line)
                    if line is Cut.LONG:
                        buffer.drop()
            self.assertEqual(found, [Cut.LONG, INBOX])

    def test_the_start_is_there_when_permission_is_asked(self) -> None:
        buffer = BlockBuffer(LIMIT, 8 * PIECE)
        buffer.add(padded(AUTH) + sized(PIECE))
        self.assertEqual(buffer.take_line(), AUTH)
        self.assertIs(buffer.take_line(), Cut.LONG)
        self.assertEqual(buffer.start(10), sized(PIECE)[:10])
        buffer.allow_long()
        self.assertTrue(buffer.is_long)

    def test_memory_of_a_long_request_is_in_pieces(self) -> None:
        buffer = BlockBuffer(LIMIT, 1 << 20)
        for at in range(0, 20 * PIECE, 1000):
            buffer.add(sized(20 * PIECE)[at : at + 1000])
            while buffer.take_line() is Cut.LONG:
                buffer.allow_long()
        self.assertEqual(len(buffer), 20 * PIECE)
        self.assertLess(len(buffer.data), 2 * PIECE)


WORDS = st.sampled_from([AUTH, INBOX, b"room_chat message=halo%0A", b"x", b"a b", b""])
BODIES = st.one_of(
    st.binary(max_size=40),
    st.integers(1000, 1050).map(sized),
    st.integers(2040, 2060).map(sized),
    WORDS,
)
ITEMS = st.one_of(
    BODIES.map(padded), BODIES.map(lambda body: body + b"\r\n"), BODIES, st.just(b" " * BLOCK)
)
STREAMS = st.lists(ITEMS, max_size=5).map(b"".join)
CUTS = st.lists(st.integers(0, 6000), max_size=8)


class AnyStream(TestCase):
    """Arbitrary streams give the same requests, however they are split."""

    @given(STREAMS, CUTS)
    def test_any_split_gives_the_same_requests(self, data: bytes, cuts: list[int]) -> None:
        self.assertEqual(fed(split(data, cuts), 1 << 20), requests_of(data, 1 << 20))

    @given(st.lists(STREAMS, max_size=20))
    def test_memory_is_bounded(self, parts: list[bytes]) -> None:
        """What is not taken is at most as long as a request may be, and the blocks in which it ends."""
        buffer = BlockBuffer(LIMIT)
        for part in parts:
            buffer.add(part)
            list(take_all(buffer))
            self.assertLess(len(buffer), LIMIT + 2 * BLOCK)
