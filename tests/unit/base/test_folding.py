"""The form in which texts are searched."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.folding import fold


class Folding(SynchronousTestCase):
    def test_equal(self) -> None:
        """What people take for the same word has one form."""
        for texts in (
            ("Café", "cafe", "CAFE\u0301", "ｃａｆé"),
            ("Straße", "STRASSE", "strasse"),
            ("Łódź", "lodz"),
            ("Ærø", "aero"),
            ("ﬁle", "file"),
            ("ｶﾞ", "ガ"),
            ("in\u200bvisible", "invisible"),
            ("  two\t\n words ", "two words"),
            ("שָׁלוֹם", "שלום"),
        ):
            self.assertEqual(len({fold(each) for each in texts}), 1, texts)

    def test_different(self) -> None:
        """Marks that make another letter stay."""
        for one, other in (("か", "が"), ("ก", "กี"), ("a b", "ab"), ("1", "2")):
            self.assertNotEqual(fold(one), fold(other))

    @given(st.text(max_size=40))
    def test_once_is_enough(self, text: str) -> None:
        self.assertEqual(fold(fold(text)), fold(text))

    @given(st.text(max_size=40))
    def test_normal_forms(self, text: str) -> None:
        """All normal forms of a text fold to the same."""
        normalize = unicodedata.normalize
        forms = normalize("NFC", text), normalize("NFD", text), normalize("NFKD", text)
        self.assertEqual({fold(each) for each in forms}, {fold(text)})

    @given(st.text(alphabet=st.characters(max_codepoint=127), max_size=40))
    def test_ascii(self, text: str) -> None:
        """ASCII takes a shorter way to the same result."""
        self.assertEqual(fold(text), fold(f"{text} é").removesuffix("e").strip(" "))
