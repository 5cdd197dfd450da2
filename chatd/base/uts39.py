"""Scripts and confusables of names (UTS 39, Unicode Security Mechanisms).

The tables are in uts39.txt, which tools/unicode_tables.py makes from Unicode's data. They are read when a new
name is first checked, which takes some milliseconds and about a megabyte.
"""

from __future__ import annotations

import hashlib
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping
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
    """A version that changes whenever skeletons may: with these tables, and with Python's Unicode data."""
    table = hashlib.sha256(_DATA.read_bytes()).hexdigest()
    return f"1 {unicodedata.unidata_version} {table[:16]}"


class _Tables(msgspec.Struct, frozen=True):
    """`first` holds where each range begins, `ranges` where it ends and its writing systems; `prototypes`
    maps a character (as str.translate wants it) to the one that it is confusable with."""

    first: list[int]
    ranges: list[tuple[int, frozenset[str]]]
    prototypes: Mapping[int, str]


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    scripts, _, confusables = _DATA.read_text("utf-8").partition("\n\n")
    systems: dict[str, frozenset[str]] = {}
    first = []
    ranges = []
    for line in scripts.split("\n"):
        begin, end, value = line.split("\t")
        if value not in systems:
            codes = value.split()
            systems[value] = frozenset(codes).union(*(_ALSO.get(each, ()) for each in codes))
        first.append(int(begin, 16))
        ranges.append((int(end, 16), systems[value]))
    pairs = (line.split("\t") for line in confusables.rstrip("\n").split("\n"))
    return _Tables(first, ranges, {ord(each): prototype for each, prototype in pairs})


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
    """What `text` looks like, whatever its case: two texts with the same skeleton are confusable.

    It is UTS 39's skeleton, of the text as it stands and then of that in NFKC without case. So `PauI` (with a
    capital i) has the skeleton of `paul`, and `MARY` that of `mary`. It is its own skeleton.
    """
    prototypes = _tables().prototypes
    found = _map(text, prototypes)
    while (again := _map(_folded(found), prototypes)) != found:
        found = again
    return found


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text.casefold())


def _map(text: str, prototypes: Mapping[int, str]) -> str:
    mapped = unicodedata.normalize("NFD", text).translate(prototypes)
    return unicodedata.normalize("NFD", mapped)
