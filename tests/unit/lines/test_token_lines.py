"""A request that begins with a token ends in CRLF only, however its bytes arrive."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.lines.line_buffer import PIECE
from chatd.lines.token_lines import MAX_START, TokenLineBuffer
from tests.support.buffers import TOO_LONG, Splitting, feed, in_pieces, split

TOKEN = b"3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
LIMIT = 80

# name -> the bytes that arrive, and their requests
CASES: dict[str, tuple[bytes, list[bytes | str]]] = {
    "no token": (b"getusers\nsend messi a\r\n", [b"getusers", b"send messi a"]),
    "a text of two lines": (
        b"send " + TOKEN + b" messi  a\nb \r\nlogout \r\n",
        [b"send " + TOKEN + b" messi  a\nb ", b"logout "],
    ),
    "empty lines in a text": (
        b"send " + TOKEN + b" messi  \n\na\n\r\n",
        [b"send " + TOKEN + b" messi  \n\na\n"],
    ),
    "a CR in a text": (
        b"send " + TOKEN + b" messi a\rb\r\r\n",
        [b"send " + TOKEN + b" messi a\rb\r"],
    ),
    "the line ends after the token": (
        b"inbox " + TOKEN + b"\nlogout\r\n",
        [b"inbox " + TOKEN + b"\nlogout"],
    ),
    "several spaces": (b"  send  " + TOKEN + b" a\nb\r\n", [b"  send  " + TOKEN + b" a\nb"]),
    "one letter more than a token": (
        b"send " + TOKEN + b"A a\nb\r\n",
        [b"send " + TOKEN + b"A a", b"b"],
    ),
    "one letter less": (b"send " + TOKEN[1:] + b" a\nb\n", [b"send " + TOKEN[1:] + b" a", b"b"]),
    "a token elsewhere": (b"send a " + TOKEN + b"\nb\n", [b"send a " + TOKEN, b"b"]),
    "a token in the second line": (b"send\n " + TOKEN + b"\nb\n", [b"send", b" " + TOKEN, b"b"]),
    "a token without a verb": (TOKEN + b"\nb\n", [TOKEN, b"b"]),
    "pipelined": (
        (b"send " + TOKEN + b" a\nb\r\ninfo\n") * 2,
        [b"send " + TOKEN + b" a\nb", b"info"] * 2,
    ),
    "too long": (
        b"send " + TOKEN + b" a\n" + b"b" * LIMIT + b"\nlogout\n\r\ninfo\n",
        [TOO_LONG, b"info"],
    ),
    "too long, and no end": (b"send " + TOKEN + b" a\n" + b"b\n" * LIMIT, [TOO_LONG]),
    "too long, and a CR at the limit": (
        b"send " + TOKEN + b" " + b"b" * (LIMIT - 49) + b"\r\r\r\r\ninfo\n",
        [TOO_LONG, b"info"],
    ),
    "too long without a token": (b"b" * 2 * LIMIT + b"\ninfo\n", [TOO_LONG, b"info"]),
    "a telnet command": (
        b"send \xff\xf1" + TOKEN + b" a\nb\r\xff\xf1\ninfo\n",
        [b"send " + TOKEN + b" a\nb", b"info"],
    ),
    "an interrupt": (b"send " + TOKEN + b" a\n\xff\xf4info\nb\n", [b"info", b"b"]),
}


def fed(parts: Iterable[bytes], limit: int = LIMIT, most: int = 0) -> list[bytes | str]:
    """The requests that a TokenLineBuffer makes of `parts`."""
    return feed(TokenLineBuffer(limit, most), parts)


def requests_in(data: bytes) -> list[bytes | str]:
    """The requests in `data`, within the limit and without telnet."""
    found: list[bytes | str] = []
    while data:
        start = data[:MAX_START]
        is_token = re.match(rb" *[^ \n]+ +[A-Za-z0-9_-]{43}(?![^ \r\n])", start)
        end = re.search(rb"\r\n" if is_token else rb"\n", data)
        if end is None:
            break
        found.append(data[: end.start()] if is_token else data[: end.start()].removesuffix(b"\r"))
        data = data[end.end() :]
    return found


class TokenLines(Splitting, TestCase):
    cases = CASES

    def fed(self, parts: Iterable[bytes]) -> list[bytes | str]:
        return fed(parts)

    @given(
        st.lists(
            st.sampled_from(
                [b"send ", b"inbox", TOKEN, b" ", b"a", b"\n", b"\r", b"\r\n", b"\x80"]
            ),
            max_size=20,
        ).map(b"".join),
        st.lists(st.integers(0, 300), max_size=6),
    )
    @example(b"\r\n\r\n\n", [1])
    def test_any_split_gives_the_same_requests(self, data: bytes, cuts: list[int]) -> None:
        self.assertEqual(fed(split(data, cuts), 1000), requests_in(data))

    def test_telnet_commands_do_not_multiply_the_search(self) -> None:
        """The end is not looked for again in all that has arrived, behind each telnet command of it."""
        searched = 0

        class Counting(bytearray):
            def find(self, what: Any, start: Any = 0, stop: Any = None) -> int:
                nonlocal searched
                stop = len(self) if stop is None else stop
                found = super().find(what, start, stop)
                searched += (stop if found < 0 else found) - start
                return found

        buffer = TokenLineBuffer(1 << 16)
        data = b"send " + TOKEN + b" a " + b"\xff\x01\n" * 10_000
        buffer.data = Counting(data)
        while buffer.take_line() is not None:
            buffer.take_telnet()
        self.assertLess(searched, 20 * len(data))

    def test_long_request(self) -> None:
        """A request that is set aside in pieces still ends in CRLF only."""
        line = b"sendfile " + TOKEN + b" a b " + b"QUJD\n" * PIECE
        for size in (1000, 4096, 1 << 20):
            whole = line + b"\r\n" + b"info\n"
            self.assertEqual(fed(in_pieces(whole, size), LIMIT, 1 << 20), [line, b"info"])

    def test_long_request_that_is_dropped(self) -> None:
        line = b"sendfile " + TOKEN + b" a b " + b"QUJD\n" * PIECE
        for size in (1000, 4096, 1 << 20):
            whole = line + b"\r\n" + b"info\n"
            self.assertEqual(fed(in_pieces(whole, size), LIMIT, 2 * PIECE), [TOO_LONG, b"info"])

    @given(st.lists(st.sampled_from([b"\n", b"\r", b"send " + TOKEN + b" ", b"b" * 30])))
    def test_memory_is_bounded(self, parts: list[bytes]) -> None:
        """The buffer never holds more than one request and the last read."""
        buffer = TokenLineBuffer(LIMIT)
        for part in parts * 10:
            buffer.add(part)
            while buffer and buffer.take_line() is not None:
                pass
            self.assertLessEqual(len(buffer.data), LIMIT + 2)
