"""The form in which texts are searched: without case, accents, width and other differences of form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from chatd.base.characters import IGNORABLE

# Accents of Latin, Greek and Cyrillic, and the vowel points of Hebrew, Arabic and Syriac. Other marks stay:
# the voicing of kana and the vowel signs of Indian and Thai scripts make another letter.
_ACCENTS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a"
    "\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a"
    "\u0898-\u089f\u08ca-\u08e1\u08e3-\u08ff\u1ab0-\u1ace\u1dc0-\u1dff\u20d0-\u20f0\u2de0-\u2dff"
    "\ua66f\ua674-\ua67d\ua69e\ua69f\ufb1e\ufe20-\ufe2f"
)
# Letters that Unicode does not decompose, though people take the stroke on them for an accent.
_PLAIN = str.maketrans(
    {
        **dict(zip("øłđħŧıðɨ", "oldhtidi", strict=True)),
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
    }
)
_DROPPED = re.compile(f"[{_ACCENTS}{IGNORABLE}]+")


def fold(text: str) -> str:
    """`text` as it is searched: in NFKC, with its case folded, without accents and invisible characters, and
    with one space for each run of white space."""
    if text.isascii():
        folded = text.lower()
        return folded if folded.isprintable() and "  " not in folded else " ".join(folded.split())
    # Most marks go first, because a long run of them takes quadratic time to normalise.
    folded = unicodedata.normalize("NFKD", _DROPPED.sub("", text)).casefold()
    folded = _DROPPED.sub("", unicodedata.normalize("NFKD", folded)).translate(_PLAIN)
    return " ".join(unicodedata.normalize("NFC", folded).split())


def fold_lines(texts: Sequence[str]) -> str:
    """`fold` of each of `texts`, with line ends between them. Those that differ from it only in their case
    are folded all at once."""
    together = "~".join(texts)
    if together.isascii() and together.isprintable() and "  " not in together:
        return "\n".join(texts).lower()
    return "\n".join(map(fold, texts))
