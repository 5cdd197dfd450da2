"""Scripts and confusables of names (UTS 39, Unicode Security Mechanisms).

The tables are in uts39.txt, which tools/unicode_tables.py makes from Unicode's data. They are read when a new
name is first checked, which takes some milliseconds.
"""

from __future__ import annotations

import hashlib
import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import msgspec

_DATA = Path(__file__).with_name("uts39.txt")
# UTS 39, section 5.1: the writing systems that use several scripts.
_ALSO = {
    "Hani": ("Hanb", "Jpan", "Kore"),
    "Hira": ("Jpan",),
    "Kana": ("Jpan",),
    "Hang": ("Kore",),
    "Bopo": ("Hanb",),
}
_WITH_LATIN = frozenset(("Hanb", "Jpan", "Kore"))


def version() -> str:
    """A version that changes when skeletons can change: with these tables or with Python's Unicode data."""
    table = hashlib.sha256(_DATA.read_bytes()).hexdigest()
    return f"1 {unicodedata.unidata_version} {table[:16]}"


class _Prototypes:
    """Maps a character to its prototype (UTS 39, section 4), for str.translate. Two arrays and a string take
    a tenth of the memory of a dictionary."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._characters = array("I")
        self._ends = array("I", [0])
        texts = []
        for line in lines:
            character, prototype = line.rstrip("\n").split("\t")
            self._characters.append(ord(character))
            self._ends.append(self._ends[-1] + len(prototype))
            texts.append(prototype)
        self._text = "".join(texts)

    def __getitem__(self, character: int) -> str:
        """Raises LookupError if the character is its own prototype."""
        place = bisect_left(self._characters, character)
        if place == len(self._characters) or self._characters[place] != character:
            raise LookupError(character)
        return self._text[self._ends[place] : self._ends[place + 1]]


class _Tables(msgspec.Struct, frozen=True):
    """`first` holds the first character of each range, `ranges` the last one and the writing systems."""

    first: list[int]
    ranges: list[tuple[int, frozenset[str]]]
    prototypes: _Prototypes


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    systems: dict[str, frozenset[str]] = {}
    first = []
    ranges = []
    with _DATA.open(encoding="utf-8") as lines:
        for line in iter(lines.readline, "\n"):
            begin, end, value = line.rstrip("\n").split("\t")
            if value not in systems:
                codes = value.split()
                systems[value] = frozenset(codes).union(*(_ALSO.get(each, ()) for each in codes))
            first.append(int(begin, 16))
            ranges.append((int(end, 16), systems[value]))
        return _Tables(first, ranges, _Prototypes(lines))


def _systems_of(character: str) -> frozenset[str] | None:
    """The writing systems that the character belongs to; None if it is common to all."""
    tables = _tables()
    place = bisect_right(tables.first, ord(character)) - 1
    if place < 0:
        return None
    last, systems = tables.ranges[place]
    return systems if ord(character) <= last else None


def is_highly_restrictive(text: str) -> bool:
    """Whether `text` is of one script, or of Latin and one of the scripts of Chinese, Japanese or Korean
    (UTS 39, section 5.2). Digits and marks that all scripts share do not count."""
    if text.isascii():
        return True
    found = [systems for systems in map(_systems_of, text) if systems is not None]
    if not found or frozenset.intersection(*found):
        return True
    others = [systems for systems in found if "Latn" not in systems]
    return bool(frozenset.intersection(*others) & _WITH_LATIN)


def skeleton(text: str) -> str:
    """A text that is equal for all texts that look alike, ignoring case.

    It is the skeleton of UTS 39, applied again to the case-folded NFKC form until it no longer changes. So
    `PauI` (with a capital i) has the skeleton of `paul`, and `MARY` that of `mary`.
    """
    prototypes = _tables().prototypes
    found = _map(text, prototypes)
    while (again := _map(_folded(found), prototypes)) != found:
        found = again
    return found


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text.casefold())


def _map(text: str, prototypes: _Prototypes) -> str:
    mapped = unicodedata.normalize("NFD", text).translate(prototypes)
    return unicodedata.normalize("NFD", mapped)
