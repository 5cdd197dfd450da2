"""Names made of the titles of groups."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.names import MAX_NAME, check_new_name, parse_name
from chatd.base.titles import NAMELESS, name_of, names_for
from tests.support.common import same_bytes

NAMES = [
    ("tim sepak bola", "tim_sepak_bola"),
    ("  Tim   Sepak  Bola ", "Tim_Sepak_Bola"),
    ("C++/Java (2026)!", "C_Java_2026"),
    ("Straße & Füße", "Straße_Füße"),
    ("kelas: 3_A", "kelas_3_A"),
    ("a.b - c", "a.b_-_c"),
    ("\uff34\uff29\uff2d \uff12", "TIM_2"),
    ("e\u0301te\u0301", "\xe9t\xe9"),
    ("北京 team", "北京_team"),
    ("\U0001f469\u200d\U0001f4bb tim", "tim"),
    ("\U0001f389\U0001f389", NAMELESS),
    ("!?", NAMELESS),
    ("...", NAMELESS),
    ("p\u0430ypal", NAMELESS),  # one letter is Cyrillic
    ("a" + 6 * "\u0300" + " b", NAMELESS),  # too many marks on a letter
    ("kata " * 25, ("kata_" * 25)[:57].strip("_")),
]


class Names(SynchronousTestCase):
    def test_name_of(self) -> None:
        for title, name in NAMES:
            self.assertEqual(name_of(title), name, title)

    def test_names_for(self) -> None:
        """The plain name comes first, then numbers. There are few names, all different."""
        names = [*names_for("tim bola", same_bytes())]
        self.assertEqual(names[:3], ["tim_bola", "tim_bola_2", "tim_bola_3"])
        self.assertEqual(len({*names}), 12)
        self.assertRegex(names[-1], r"\Atim_bola_\d{6}\Z")

    @given(st.text(max_size=200))
    def test_any(self, title: str) -> None:
        """Every name follows the rules of new names."""
        for name in names_for(title, same_bytes()):
            self.assertEqual(parse_name(name), name)
            self.assertLessEqual(len(name), MAX_NAME)
            check_new_name(name)
