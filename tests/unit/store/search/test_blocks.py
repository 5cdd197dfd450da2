"""Blocks of the index and their signatures, without a database."""

from __future__ import annotations

import itertools
import random
from string import ascii_lowercase

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.folding import fold, fold_lines
from chatd.store.search import matching
from chatd.store.search.blocks import (
    Part,
    Record,
    columns_of,
    decode_columns,
    encode_columns,
    merge,
    records_in,
)
from chatd.store.search.matching import newest_first, start_of_last
from chatd.store.search.signatures import grams_of, make_signature, may_contain

TEXTS = st.lists(st.text("ab你é", max_size=12).map(fold), min_size=1, max_size=20)


SOME_TEXTS = st.lists(st.text("aB é\n\t~\u00a0\u0301ﬁ", max_size=8), max_size=6)


class Pieces(SynchronousTestCase):
    @given(SOME_TEXTS)
    def test_fold_lines(self, texts: list[str]) -> None:
        self.assertEqual(fold_lines(texts), "\n".join([fold(text) for text in texts]))

    @given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab"), st.booleans()))))
    def test_merge(self, parts: list[list[tuple[int, str, bool]]]) -> None:
        """Blocks are merged to the same as if their messages were put into one, in any order of times."""
        idents = itertools.count()
        some = [
            [Record(next(idents), at, sender, file, b"ya") for at, sender, file in part]
            for part in parts
        ]
        merged = merge([columns_of(each) for each in some])
        together = columns_of(record for each in some for record in each)
        self.assertEqual(records_in(merged), records_in(together))
        encoded = encode_columns(merged)
        keys, texts, facts = encoded[Part.KEYS], encoded[Part.TEXTS], encoded[Part.FACTS]
        self.assertEqual(decode_columns(keys, texts, facts), merged)

    @given(TEXTS, st.lists(st.text("ab你", min_size=1, max_size=4), max_size=3))
    def test_newest_first(self, texts: list[str], words: list[str]) -> None:
        expected = [
            number for number, text in enumerate(texts) if all(word in text for word in words)
        ]
        encoded = [word.encode() for word in words]
        data = "\n".join(texts).encode()
        self.assertEqual(list(newest_first(data, encoded, len(texts))), expected[::-1])

    @given(TEXTS, st.integers(0, 21), st.integers(0, 21))
    def test_last_messages(self, texts: list[str], count: int, most: int) -> None:
        """If earlier messages may be left out, none of the last ones is."""
        self.patch(matching, "MAX_SKIPPED", most)
        data = "\n".join(texts).encode()
        start = start_of_last(data, count)
        if count <= most:
            last = data[start:].split(b"\n") if count else []
            self.assertEqual(len(last), min(count, len(texts)))
        found = set(newest_first(data, [b"a"], len(texts), start))
        expected = {number for number, text in enumerate(texts) if "a" in text}
        self.assertLessEqual(found, expected)
        newer = {number for number in expected if number >= len(texts) - count}
        self.assertLessEqual(newer, found)

    @given(TEXTS)
    def test_signature(self, texts: list[str]) -> None:
        """A signature excludes no word that is there."""
        data = "\n".join(texts).encode()
        signature = make_signature(data, lambda: None)
        for text in texts:
            self.assertTrue(may_contain(signature, grams_of([text.encode()])))

    def test_signature_excludes(self) -> None:
        texts = "\n".join(f"halo nomor {number}" for number in range(4000)).encode()
        signature = make_signature(texts, lambda: None)
        words = ("zebra", "你好", "qqq", "halx", "xyz")
        self.assertFalse(any(may_contain(signature, grams_of([w.encode()])) for w in words))
        self.assertTrue(may_contain(signature, grams_of([b"nomor 3999", b"ok"])))

    def test_signature_excludes_nearly_all(self) -> None:
        """Of other words of letters, a signature of any size lets pass few."""
        rng = random.Random(1)  # noqa: S311 - the same each time
        words = ["".join(each).encode() for each in itertools.product(ascii_lowercase, repeat=3)]
        for bits in (13, 14, 15, 16, 17):
            rng.shuffle(words)
            there, others = words[: 1 << bits - 5], words[-2000:]
            # Repeated, because the size depends on all of the texts
            texts = (b" ".join(there) + b"\n") * 8
            signature = make_signature(texts, lambda: None)
            self.assertEqual(len(signature), (1 << bits - 3) + 1)
            passed = sum(may_contain(signature, grams_of([word])) for word in others)
            self.assertLess(passed / len(others), 0.06, bits)

    def test_signatures_differ(self) -> None:
        """No word that is nowhere passes most of many blocks that have the same words."""
        rng = random.Random(2)  # noqa: S311 - the same each time
        words = ["".join(each).encode() for each in itertools.product(ascii_lowercase, repeat=3)]
        rng.shuffle(words)
        texts = b" ".join(words[:1000]) + b"\n"
        signatures = [make_signature(texts * 3 + b"." * n, lambda: None) for n in range(16)]
        for word in words[-1000:]:
            grams = grams_of([word])
            passed = sum(may_contain(signature, grams) for signature in signatures)
            self.assertLess(passed, 10, word)
