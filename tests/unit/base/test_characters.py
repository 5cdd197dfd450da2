"""Invisible characters, and characters that reorder text."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.characters import INVISIBLE, find_hidden, is_blank, isolated, without_hidden

FILLERS = "\u3164\u2800\u115f\u1160\uffa0\u200b\u200d\u2060\ufeff\u00ad\u034f\U000e0041\u180e"
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
any_text = st.text(
    st.one_of(st.sampled_from(f"a \u05d0\u2028\u2029{TURNS}{FILLERS}"), st.characters()),
    max_size=20,
)


def open_ends(text: str) -> list[str]:
    """The formatting that is open at the end of `text`, by the rules X1 to X8 of UAX 9. Fails if the text
    closes formatting that it did not open."""
    ends: list[str] = []
    for each in text:
        if each in "\u202a\u202b\u202d\u202e":
            ends.append("embedding")
        elif each in "\u2066\u2067\u2068":
            ends.append("isolate")
        elif each == "\u202c":
            if not ends or ends[-1] != "embedding":
                raise AssertionError("a stray PDF")
            ends.pop()
        elif each == "\u2069":
            while ends and ends.pop() != "isolate":
                pass
    return ends


class BlankTests(SynchronousTestCase):
    def test_blank(self) -> None:
        for text in (
            "",
            " ",
            "\t",
            "\u3000",
            *FILLERS,
            FILLERS,
            "\u202e\u202c",
            "\u2028",
            "\u00a0\u3164 ",
        ):
            self.assertTrue(is_blank(text), ascii(text))

    def test_visible(self) -> None:
        for text in (".", "\u3164a", "\u0600", "😀", "ー", "\u0301", "👩\u200d💻", "❤\ufe0f"):
            self.assertFalse(is_blank(text), ascii(text))


class HiddenTests(SynchronousTestCase):
    def test_joiners_in_emoji_and_scripts(self) -> None:
        """Texts that need joiners and variation selectors are allowed as names."""
        for text in (
            "Ana 👩\u200d💻",
            "❤\ufe0f",
            "❤\ufe0f\u200d🔥",
            "می\u200cخواهم",
            "ක්\u200dෂ",
            "🏴\U000e0067\U000e0062\U000e007f",
        ):
            self.assertIsNone(find_hidden(text), ascii(text))

    def test_position_of_a_hidden_character(self) -> None:
        for text, position in (
            ("ana\u202etxt", 3),
            ("\u200dana", 0),
            ("ana\u200d", 3),
            ("a\u200d\u200db", 1),
            ("ana\u3164", 3),
            ("a\u200eb", 1),
            ("\ufe0fa", 0),
            ("❤\ufe0f\u202e", 2),
            ("ana\u2028* system: halo", 3),
            ("ana\u2029", 3),
            ("ana\tbudi é", 3),
        ):
            self.assertEqual(find_hidden(text), position, ascii(text))

    @given(any_text)
    def test_text_without_hidden_characters(self, text: str) -> None:
        clean = without_hidden(text)
        self.assertIsNone(INVISIBLE.search(clean))
        self.assertEqual(without_hidden(clean), clean)
        self.assertEqual(unicodedata.normalize("NFC", clean), clean)


class IsolationTests(SynchronousTestCase):
    def test_unchanged(self) -> None:
        for text in ("halo", "", "שלום", "a\u200eb", "😀"):
            self.assertEqual(isolated(text), text)

    def test_open_formatting_is_closed(self) -> None:
        for text, shown in (
            ("a\u202eb", "\u2068a\u202eb\u202c\u2069"),
            ("a\u2069b", "\u2068ab\u2069"),
            ("a\u202cb", "\u2068ab\u2069"),
            ("\u2067a\u202eb\u2069c", "\u2068\u2067a\u202eb\u202c\u2069c\u2069"),
            ("a\u2029\u202eb", "\u2068a \u202eb\u202c\u2069"),
        ):
            self.assertEqual(isolated(text), shown, ascii(text))

    @given(any_text, any_text)
    def test_formatting_does_not_leak(self, one: str, other: str) -> None:
        """No text affects the text that follows it."""
        shown = isolated(one)
        if shown != one:
            self.assertEqual(open_ends(shown), [])
            self.assertEqual(open_ends(shown[:-1])[0], "isolate")
        self.assertFalse(open_ends(shown + isolated(other)))
