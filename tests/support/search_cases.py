"""What each implementation of chatd.store.search.interface must find, whatever its index contains.

A test case has `SearchCases` beside it and provides `store`, `change` and `find`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

# A text, words that find it, and words that don't.
WORDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Halo, selamat malam", ("halo", "ALO", "selamat mal", "malam halo", "o, s"), ("halos", "mlm")),
    ("Straße", ("strasse", "STRASSE", "straße", "raß"), ("strase",)),
    ("Café crème", ("cafe", "CAFÉ", "cafe\u0301", "creme"), ("caffe",)),
    ("cafe\u0301", ("café", "cafe"), ()),
    ("Ｈａｌｏ　１２", ("halo", "halo 12", "ｈａｌｏ"), ("halo12",)),
    ("ﾊﾛｰ", ("ハロー", "ロ"), ("ハロ ワ",)),
    ("がっこう", ("が", "っこ"), ("か",)),
    ("你好，世界", ("你好", "你", "世界 你好", "好，世"), ("你们", "界世")),
    ("ok", ("ok", "o", "K"), ("oks", "ko")),
    ("Привет, Ёлка", ("привет", "ВЕТ", "елка", "ё"), ("приветы",)),
    ("مَرْحَبًا", ("مرحبا", "حب"), ("مرحبة",)),
    ("שָׁלוֹם", ("שלום", "לו"), ("שם",)),
    ("İstanbul ılık", ("istanbul", "ilik", "ISTANBUL"), ()),
    ("Łódź Ørsted", ("lodz", "orsted", "łódź"), ()),
    ("ﬁne ①", ("fine", "1"), ()),
    ("한국어", ("한국", "어"), ("하",)),
    ("one\ntwo  three\tfour", ('"one two three four"', "two", "four one"), ('"two one"',)),
    ("so\u00adft ware", ("soft",), ("software",)),
    ("👍🏽 great", ("👍", "great 👍🏽"), ("👎",)),
    ("100% of a_b\\c", ("100%", "a_b", "b\\c"), ("axb", "10%")),
    ("from: me, in: vain", ('"from: me"', '"in: vain" from:'), ()),
    ("see http://example.org/a?b", ("http://example", "org/a?b"), ("https",)),
)


class Finder(Protocol):
    """What `SearchCases` needs from the test case."""

    def assertEqual(self, first: Any, second: Any, msg: Any = None) -> Any: ...  # noqa: N802

    def store(self, text: str, at: int = 0) -> int: ...

    def store_all(self, texts: Sequence[str], at: int = 0) -> list[int]: ...

    def change(self, number: int, text: str | None) -> None: ...

    def find(self, text: str, before: int | None = None) -> tuple[list[int], int]: ...


class SearchCases:
    """`store` returns the number of a message with a time in ms, and `store_all` those of several messages,
    each 1 ms later. `change` gives one another text, or none if it is deleted. `find` returns the numbers of
    those found, and how many remain."""

    def test_words(self: Finder) -> None:
        for text, found, missed in WORDS:
            number = self.store(text)
            for words in found:
                self.assertEqual(number in self.find(words)[0], True, (text, words))
            for words in missed:
                self.assertEqual(number in self.find(words)[0], False, (text, words))

    def test_order_and_pages(self: Finder) -> None:
        """The newest comes first, and the pages end with the oldest."""
        stored = self.store_all([f"halo {number}" for number in range(1203)])
        self.store("something else")
        first, remaining = self.find("halo")
        self.assertEqual((first, remaining), (stored[:-501:-1], 703))
        second, remaining = self.find("halo", first[-1])
        self.assertEqual((second, remaining), (stored[-501:-1001:-1], 203))
        third, remaining = self.find("halo", second[-1])
        self.assertEqual((third, remaining), (stored[202::-1], 0))
        self.assertEqual(self.find("halo", third[-1]), ([], 0))

    def test_times(self: Finder) -> None:
        """The newest is the one with the latest time, also if earlier ones have come after it, as the past of
        a group of another realm does."""
        new = self.store_all(["halo"] * 300, at=10_000)
        old = self.store_all(["halo"] * 300, at=1_000)
        last = self.store("halo", at=20_000)
        expected = [last, *new[::-1], *old[::-1]]
        first, remaining = self.find("halo")
        self.assertEqual((first, remaining), (expected[:500], 101))
        self.assertEqual(self.find("halo", first[-1]), (expected[500:], 0))
        self.assertEqual(self.find("halo", last), (expected[1:501], 100))

    def test_changes(self: Finder) -> None:
        """Only the text that a message has now is found."""
        kept, edited, deleted = self.store("halo a"), self.store("halo b"), self.store("halo c")
        self.assertEqual(self.find("halo"), ([deleted, edited, kept], 0))
        self.change(edited, "selamat")
        self.change(deleted, None)
        self.assertEqual(self.find("halo"), ([kept], 0))
        self.assertEqual(self.find("selamat"), ([edited], 0))
        self.change(edited, "halo again")
        self.assertEqual(self.find("halo"), ([edited, kept], 0))
        self.assertEqual(self.find("selamat"), ([], 0))

    def test_nothing_asked(self: Finder) -> None:
        self.store("halo")
        self.assertEqual(self.find("  "), ([], 0))

    def test_long(self: Finder) -> None:
        """Messages that together are larger than a block."""
        stored = [self.store(f"{'halo ' * 1600}{number}") for number in range(40)]
        self.assertEqual(self.find("halo"), (stored[::-1], 0))
        self.assertEqual(self.find("halo 7"), ([stored[number] for number in (37, 27, 17, 7)], 0))
