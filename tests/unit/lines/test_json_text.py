"""JSON in ASCII: what it says stays the same, and the work does not depend on what people write."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.lines.dialects.json_text import encode, encode_ascii, file_bytes, split
from tests.unit.lines.strategies import tags

ODD = st.text(st.sampled_from('\\\\\\"\x7fu0n}aé€\U0001f600\n\x1f'), max_size=12)


class Ascii(TestCase):
    @given(st.one_of(tags, st.lists(ODD, max_size=4)))
    @example("\\\\é")
    @example('\\"é\\u00e9')
    def test_says_the_same(self, value: Any) -> None:
        data = encode_ascii(value)
        self.assertTrue(data.isascii())
        self.assertEqual(json.loads(data), json.loads(encode(value)))

    @given(ODD, ODD)
    def test_places_of_files_stay(self, before: str, after: str) -> None:
        data = encode_ascii({"a": before, "file": file_bytes(3), "b": after, "c": "é"})
        (head, tail), numbers = split(data)
        self.assertEqual(numbers, (3,))
        self.assertEqual(
            json.loads(head + b"AAAA" + tail), {"a": before, "file": "AAAA", "b": after, "c": "é"}
        )

    def test_takes_the_same_time_whatever_is_written(self) -> None:
        value = ["aé" * 4000] * 250  # a megabyte of runs of one character
        begun = time.thread_time()
        encode_ascii(value)
        self.assertLess(time.thread_time() - begun, 0.5)
