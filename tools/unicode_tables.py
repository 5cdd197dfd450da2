"""Makes chatd/base/uts39.txt, the Unicode data that `chatd.base.uts39` reads: scripts and confusables.

    apt-get download unicode-data && dpkg -x unicode-data_*.deb data
    pip download --no-deps confusable-homoglyphs && unzip -d data confusable_homoglyphs-*.whl
    python tools/unicode_tables.py data/usr/share/unicode data/confusable_homoglyphs > chatd/base/uts39.txt

The first folder is the Unicode Character Database, the second holds confusables.json, made from Unicode's
confusables.txt. Only characters that a name may hold are written. The data are © 1991-2023 Unicode, Inc.,
under the Unicode License (https://www.unicode.org/license.txt).
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

ABBREVIATED = "PropertyValueAliases.txt"
UNRESTRICTED = {"Zyyy", "Zinh"}  # Common and Inherited


def may_stand_in_name(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or character in "._-"


def fields(path: Path) -> Iterator[list[str]]:
    """The fields of each line of a file of the Unicode Character Database."""
    for line in path.read_text("utf-8").splitlines():
        data = line.partition("#")[0].strip()
        if data:
            yield [field.strip() for field in data.split(";")]


def properties(path: Path) -> Iterator[tuple[str, str]]:
    """Each character that a name may hold, and its value in that file."""
    for points, value, *_ in fields(path):
        first, _, last = points.partition("..")
        for point in range(int(first, 16), int(last or first, 16) + 1):
            if may_stand_in_name(chr(point)):
                yield chr(point), value


def scripts(folder: Path) -> dict[str, str]:
    """Character -> its Script_Extensions by their four-letter codes; Common and Inherited are left out."""
    codes = {row[2]: row[1] for row in fields(folder / ABBREVIATED) if row[0] == "sc"}
    found = {each: codes[value] for each, value in properties(folder / "Scripts.txt")}
    found.update(properties(folder / "ScriptExtensions.txt"))
    return {each: value for each, value in found.items() if value not in UNRESTRICTED}


def ranges(found: dict[str, str]) -> Iterator[tuple[int, int, str]]:
    """Runs of characters with the same value. A gap of characters that no name can hold ends no run."""
    first = last = -1
    value = ""
    for each in sorted(found):
        point = ord(each)
        gap = map(chr, range(last + 1, point))
        if found[each] != value or any(map(may_stand_in_name, gap)):
            if value:
                yield first, last, value
            first, value = point, found[each]
        last = point
    yield first, last, value


def confusables(folder: Path) -> dict[str, str]:
    """Character -> its prototype (UTS 39, section 4).

    The file lists each pair both ways. A prototype has no prototype of its own, so it is the side with
    several characters, or with several partners, or else the side that comes second.
    """
    pairs = json.loads((folder / "confusables.json").read_text("utf-8"))
    partners = {each: [other["c"] for other in others] for each, others in pairs.items()}
    order = {each: place for place, each in enumerate(partners)}
    found = {}
    for each, others in partners.items():
        if len(each) != 1 or len(others) != 1:
            continue
        (other,) = others
        alone = len(other) == 1 and len(partners[other]) == 1
        if not (alone and order[other] < order[each]):
            found[each] = other
    return found


def main(ucd: Path, homoglyphs: Path) -> None:
    for first, last, value in ranges(scripts(ucd)):
        print(f"{first:X}\t{last:X}\t{value}")
    print()
    for each, prototype in sorted(confusables(homoglyphs).items()):
        if may_stand_in_name(each):
            print(f"{each}\t{prototype}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
