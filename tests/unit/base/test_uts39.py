"""Confusable names, and the scripts of names (UTS 39)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.uts39 import is_highly_restrictive, skeleton, version

texts = st.text(
    st.one_of(
        st.sampled_from("aAlI1oO0rnmM\u0430\u0435"), st.characters(categories=("L", "M", "N"))
    ),
    max_size=12,
)


class Skeletons(SynchronousTestCase):
    def test_confusable(self) -> None:
        for one, other in (
            ("paul", "pau1"),
            ("paul", "PauI"),
            ("modern", "modem"),
            ("MARY", "mary"),
            ("paypai", "\u0440\u0430\u0443\u0440\u0430\u04cf"),
            ("scope", "\u0455\u0441\u043e\u0440\u0435"),
            ("bob0", "bobo"),
            ("\uff4dessi", "messi"),
        ):
            self.assertEqual(skeleton(one), skeleton(other), (one, other))

    def test_not_confusable(self) -> None:
        for one, other in (("paul", "paula"), ("budi", "rudi"), ("user1", "user2"), ("ana", "aná")):
            self.assertNotEqual(skeleton(one), skeleton(other))

    @given(texts)
    def test_idempotent(self, text: str) -> None:
        self.assertEqual(skeleton(skeleton(text)), skeleton(text))

    @given(texts)
    def test_skeleton_of_a_part(self, text: str) -> None:
        """Replacing a part by its skeleton does not change the skeleton of the whole."""
        half = len(text) // 2
        self.assertEqual(skeleton(skeleton(text[:half]) + text[half:]), skeleton(text))

    def test_version(self) -> None:
        self.assertRegex(version(), r"\A\d+ [\d.]+ [0-9a-f]{16}\Z")


class Scripts(SynchronousTestCase):
    @given(texts, texts)
    def test_parts_of_a_restrictive_text(self, one: str, other: str) -> None:
        """If a text is highly restrictive, so are its parts."""
        if is_highly_restrictive(one + other):
            self.assertTrue(is_highly_restrictive(one))

    def test_shared_digits_and_marks(self) -> None:
        """Digits and marks that several scripts share may be used with each of these scripts, and with no
        other."""
        self.assertTrue(is_highly_restrictive("\u0645\u0663"))
        self.assertFalse(is_highly_restrictive("a\u0663"))
        self.assertTrue(is_highly_restrictive("\u30b9\u30fc"))
        self.assertTrue(is_highly_restrictive(""))
