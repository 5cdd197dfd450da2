"""Splitting bytes into JSON objects and lines: a table of cases, split in all ways, and arbitrary bytes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.lines.line_buffer import SB_BYTES
from chatd.lines.object_buffer import BRACES, ObjectBuffer
from tests.support.buffers import TOO_LONG, Splitting, split, take_all
from tests.unit.lines.strategies import tags
from tests.unit.lines.test_line_buffer import CUTS

LIMIT = 24

# name -> the bytes that arrive, and what they contain: objects as they are, lines after a >
CASES: dict[str, tuple[bytes, list[str]]] = {
    "nothing": (b"", []),
    "an object": (b'{"a": 1}', ['{"a": 1}']),
    "half an object": (b'{"a": 1', []),
    "two in a row": (b'{"a": 1}{"b": 2}', ['{"a": 1}', '{"b": 2}']),
    "white space between": (b'{"a": 1} \t\r\n\n {"b": 2}\r\n', ['{"a": 1}', '{"b": 2}']),
    "blanks before the first": (b" \t{}", ["{}"]),
    "a line": (b"AUTH-LOGOUT\r\n", [">AUTH-LOGOUT"]),
    "blanks before a line": (b" \tAUTH\n", [">AUTH"]),
    "empty lines": (b"\r\n\n", [">", ">"]),
    "an empty line after a line": (b"A\r\n\r\n{}", [">A", ">", "{}"]),
    "no empty lines after an object": (b"{}\r\n\r\nA\n", ["{}", ">A"]),
    "a line, then an object": (b'A\r\n{"a": 1}', [">A", '{"a": 1}']),
    "a line right after an object": (b"{}A\n{}", ["{}", ">A", "{}"]),
    "a line with braces": (b'SEND a {"b"}\n{}', ['>SEND a {"b"}', "{}"]),
    "nested": (b'{"a": {"b": [{}]}}{}', ['{"a": {"b": [{}]}}', "{}"]),
    "braces in a string": (b'{"a": "}{"}{}', ['{"a": "}{"}', "{}"]),
    "a quote in a string": (b'{"a": "\\"}"}{}', ['{"a": "\\"}"}', "{}"]),
    "a backslash ends a string": (b'{"a": "\\\\"}{}', ['{"a": "\\\\"}', "{}"]),
    "bytes beyond ASCII": (b'{"a": "\xc3\xa9\xff"}', ['{"a": "\xc3\xa9\xff"}']),
    "line ends within": (b'{\r\n"a":\n1\r\n}\n', ['{\r\n"a":\n1\r\n}']),
    "a string that does not end": (b'{"a": "b\n{}', ['{"a": "b', "{}"]),
    "a backslash before the line end": (b'{"a": "b\\\n{}', ['{"a": "b\\', "{}"]),
    "what is no JSON": (b"{a: B}{}", ["{a: B}", "{}"]),
    "what is no JSON, up to the line end": (b"{ AUTH\r\nAUTH\r\n{}", ["{ AUTH\r", ">AUTH", "{}"]),
    "a stray brace": (b"{\nAUTH x\nAUTH\n", ["{\nAUTH x", ">AUTH"]),
    "a brace too many": (b"{}}\n{}", ["{}", ">}", "{}"]),
    "a bracket that does not close": (b'{"a": [}{}', ['{"a": [}', "{}"]),
    "strings in what is no JSON": (b'{A "}" B}{}', ['{A "}" B}', "{}"]),
    "as long as allowed": (b'{"a": "%s"}{}' % (b"x" * 15), ['{"a": "%s"}' % ("x" * 15), "{}"]),
    "one too long": (b'{"a": "%s"}{}' % (b"x" * 16), [TOO_LONG, "{}"]),
    "much too long": (b'{"a": "%s"}{}' % (b"}{" * 99), [TOO_LONG, "{}"]),
    "too long, and no end": (b'{"a": "%s' % (b"x" * 99), [TOO_LONG]),
    "too long, twice": (b'{"a": "%s"}' % (b"x" * 99) * 2 + b"{}", [TOO_LONG, TOO_LONG, "{}"]),
    "too long, in lines": (b'{"a":%s1}\n{}' % (b"1,\n" * 99), [TOO_LONG, "{}"]),
    "too long, and no JSON": (b"{%s\nA\n" % (b"X" * 99), [TOO_LONG, ">A"]),
    "deep": (b'{"":' * 99 + b"1" + b"}" * 99 + b"{}", [TOO_LONG, "{}"]),
    "a line that is too long": (b"x" * 99 + b"\n{}", [TOO_LONG, "{}"]),
    "telnet at the start of a line": (b"\xff\xf1A\n\xff\xfb\x01B\n{}", [">A", ">B", "{}"]),
    "an object after telnet is a line": (b"\xff\xf1{}\n{}", [">{}", "{}"]),
}


def fed(parts: Iterable[bytes], limit: int = LIMIT) -> list[str]:
    """What an ObjectBuffer makes of `parts`: as in CASES."""
    buffer = ObjectBuffer(limit)
    found = []
    for part in parts:
        buffer.add(part)
        for taken in take_all(buffer):
            is_line = not buffer.original
            text = taken if isinstance(taken, str) else taken.decode("latin-1")
            found.append(f">{text}" if is_line and text != TOO_LONG else text)
    return found


class Table(Splitting, TestCase):
    cases = CASES

    def fed(self, parts: Iterable[bytes]) -> list[str]:
        return fed(parts)


OBJECTS = st.lists(
    st.tuples(
        st.dictionaries(st.text(max_size=5), tags, max_size=3),
        st.sampled_from([None, 0, 2]),
        st.booleans(),
        st.sampled_from(["", " ", "\n", "\r\n", "\t \r\n\r\n"]),
    ),
    max_size=5,
)
PIECES = st.sampled_from(
    [
        b"{",
        b"}",
        b'"',
        b"\\",
        b"\n",
        b"\r\n",
        b" ",
        b"[",
        b"A",
        b"a",
        b":1,",
        b'{"a": "b"}',
        b"\xff\xf1",
    ]
)
STREAMS = st.lists(PIECES, max_size=30).map(b"".join)


class AnyObjects(TestCase):
    @given(OBJECTS, CUTS)
    def test_objects_end_where_python_finds_their_ends(
        self, objects: list[tuple[dict[str, Any], int | None, bool, str]], cuts: list[int]
    ) -> None:
        text = "".join(
            json.dumps(each, indent=indent, ensure_ascii=ascii_only) + space
            for each, indent, ascii_only, space in objects
        )
        expected = []
        decoder, at = json.JSONDecoder(), 0
        while at < len(text):
            end = decoder.raw_decode(text, at)[1]
            expected.append(text[at:end])
            at = end + len(text[end:]) - len(text[end:].lstrip())
        data = text.encode()
        taken = fed(split(data, cuts), 100_000)
        self.assertEqual([each.encode("latin-1").decode() for each in taken], expected)

    @given(STREAMS, CUTS)
    @example(b'{"a": "b\\\n{}', [9])
    @example(b"{A\n\xff\xf1\n", [3])
    def test_any_split_gives_the_same(self, data: bytes, cuts: list[int]) -> None:
        self.assertEqual(fed(split(data, cuts), 8), fed([data], 8))
        self.assertEqual(fed(split(data, cuts), 1000), fed([data], 1000))

    @given(st.lists(STREAMS, max_size=20))
    def test_memory_is_bounded(self, parts: list[bytes]) -> None:
        """The buffer never holds more than one request and the last read."""
        buffer = ObjectBuffer(LIMIT)
        for part in parts:
            buffer.add(part)
            while buffer and buffer.take_line() is not None:
                buffer.take_telnet()
            self.assertLessEqual(len(buffer.data), LIMIT + 2)


class Work(TestCase):
    """Each byte is looked at once, and braces count."""

    def test_the_time_is_linear(self) -> None:
        data = b'{"a": "' + b"\\\\x" * 50_000 + b'", "b": [' + b'"x",' * 50_000 + b"1]}"
        buffer = ObjectBuffer(1 << 20)
        begun = time.thread_time()
        taken = None
        for start in range(0, len(data), 3):
            self.assertIsNone(taken)
            buffer.add(data[start : start + 3])
            taken = buffer.take_line()
        self.assertEqual(taken, data)
        self.assertLess(time.thread_time() - begun, 5.0)

    def test_many_braces_count_as_commands(self) -> None:
        buffer = ObjectBuffer(1 << 20)
        buffer.add(b'{"a": [' + b"{}," * BRACES + b"1]}")
        self.assertIsInstance(buffer.take_line(), bytes)
        self.assertEqual(buffer.telnet, 2 * SB_BYTES)

    def test_a_few_do_not(self) -> None:
        buffer = ObjectBuffer(1 << 20)
        buffer.add(b"{}")
        buffer.take_line()
        self.assertEqual(buffer.telnet, 0)


class Raw(TestCase):
    def test_bytes_after_an_object_are_taken_as_they_are(self) -> None:
        buffer = ObjectBuffer(LIMIT)
        buffer.add(b"{}\n{ \x00")
        self.assertEqual(buffer.take_line(), b"{}")
        self.assertEqual(buffer.take_raw(), b"\n{ \x00")

    def test_a_line_end_after_raw_bytes_is_no_request(self) -> None:
        buffer = ObjectBuffer(LIMIT)
        buffer.add(b"A\nfile")
        self.assertEqual(buffer.take_line(), b"A")
        self.assertEqual(buffer.take_raw(), b"file")
        buffer.add(b"\r\nB\n")
        self.assertEqual(buffer.take_line(), b"B")

    def test_cleared_within_an_object(self) -> None:
        buffer = ObjectBuffer(LIMIT)
        for start in (b'{"a": "', b"lin", b'{"%s' % (b"x" * 99)):
            buffer.add(start)
            buffer.take_line()
            buffer.clear()
            buffer.add(b"{}A\n")
            self.assertEqual([buffer.take_line(), buffer.take_line()], [b"{}", b"A"])
