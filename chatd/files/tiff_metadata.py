"""Location data in TIFF files, and in the raw files of cameras that have this form.

A TIFF file refers to its parts by their offsets. So location data is overwritten, and nothing moves: the GPS
directory, XMP and IPTC. The other facts of the camera stay, because programs need them to develop raw files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress

import msgspec

from chatd.files.picture_pieces import Blank, Data, Examined, blanked

MAX_ENTRIES = 10_000  # of all directories of a file; location data in others stays
MAX_VALUES = 100  # of one entry that refers to directories

EXIF, GPS = 0x8769, 0x8825
XMP, IPTC, PHOTOSHOP = 700, 33723, 34377
PRIVATE = frozenset((GPS, XMP, IPTC, PHOTOSHOP))
SUBDIRECTORIES = frozenset((330, EXIF))
# The bytes of a value, by its type
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


class TiffForm(msgspec.Struct, frozen=True):
    """How numbers are written: of the entries of a directory, of offsets, and of an entry without its value.
    BigTIFF has larger ones."""

    order: str
    count: str = "H"
    offset: str = "I"
    entry: str = "HHI"

    def size(self, kind: str) -> int:
        return struct.calcsize(self.order + kind)

    def read(self, kind: str, data: Data, at: int) -> tuple[int, ...]:
        if at > len(data):
            raise struct.error("beyond the end")
        return struct.unpack_from(self.order + kind, data, at)


class Tiff:
    """The bytes of a file, and how many more entries are read of it."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.form, self.first = _form_of(data)
        self.left = MAX_ENTRIES

    def read(self, kind: str, at: int) -> tuple[int, ...]:
        return self.form.read(kind, self.data, at)


class Entry(msgspec.Struct, frozen=True):
    """An entry of a directory, at an offset in the file. Its values are from `start` to `end`: in the entry,
    or elsewhere if they do not fit."""

    at: int
    tag: int
    kind: int
    count: int
    start: int
    end: int


class Directory(msgspec.Struct, frozen=True):
    at: int
    entries: Sequence[Entry]
    after: int  # the directory that follows; 0 if there is none


def examine_tiff(data: Data) -> Examined:
    """Examine a complete TIFF file. It is shown as a file, so its size in pixels is not read. Raises
    struct.error if it is damaged."""
    tiff = Tiff(data)
    blanks = [blank for each in _directories(tiff) for blank in _blanks(tiff, each)]
    return Examined(pieces=blanked(data, blanks))


def _form_of(data: Data) -> tuple[TiffForm, int]:
    """The form of a file, and the offset of its first directory."""
    form = TiffForm("<" if bytes(data[:2]) == b"II" else ">")
    if form.read("H", data, 2) != (43,):
        return form, form.read("I", data, 4)[0]
    form = TiffForm(form.order, "Q", "Q", "HHQ")
    return form, form.read("Q", data, 8)[0]


def _directories(tiff: Tiff) -> Iterator[Directory]:
    """The directories that can be read: those of all pictures in the file, and those within them."""
    wanted, seen = [tiff.first], set[int]()
    while wanted and tiff.left > 0:
        at = wanted.pop()
        if at in seen or not at:
            continue
        seen.add(at)
        with suppress(struct.error):
            found = _directory(tiff, at)
            yield found
            wanted.append(found.after)
            for entry in found.entries:
                if entry.tag in SUBDIRECTORIES:
                    wanted += _values(tiff, entry)


def _directory(tiff: Tiff, at: int) -> Directory:
    """Raises struct.error if it is damaged, or has too many entries."""
    form = tiff.form
    (count,) = tiff.read(form.count, at)
    tiff.left -= count + 1
    if tiff.left < 0:
        raise struct.error("too many entries")
    start, fixed, room = at + form.size(form.count), form.size(form.entry), form.size(form.offset)
    entries = []
    for place in range(start, start + count * (fixed + room), fixed + room):
        tag, kind, values = tiff.read(form.entry, place)
        size = _SIZES.get(kind, 1) * values
        (found,) = tiff.read(form.offset, place + fixed)
        begin = place + fixed if size <= room else found
        entries.append(Entry(place, tag, kind, values, begin, begin + size))
    (after,) = tiff.read(form.offset, start + count * (fixed + room))
    return Directory(at, entries, after)


def _values(tiff: Tiff, entry: Entry) -> list[int]:
    """The offsets that an entry has as its values. Raises struct.error."""
    kind = _NUMBERS.get(entry.kind)
    if kind is None:
        return []
    places = range(entry.start, entry.end, tiff.form.size(kind))[:MAX_VALUES]
    return [tiff.read(kind, at)[0] for at in places]


def _blanks(tiff: Tiff, directory: Directory) -> Iterator[Blank]:
    """What is overwritten so that a directory has no private entries."""
    private = [each for each in directory.entries if each.tag in PRIVATE]
    if not private:
        return
    form = tiff.form
    size = form.size(form.entry) + form.size(form.offset)
    for entry in private:
        if entry.tag == GPS:
            with suppress(struct.error):
                yield from _without_places(tiff, entry)
        elif not entry.at <= entry.start < entry.at + size:
            yield Blank(entry.start, entry.end)
    kept = [each for each in directory.entries if each.tag not in PRIVATE]
    content = struct.pack(form.order + form.count, len(kept))
    content += b"".join(bytes(tiff.data[each.at : each.at + size]) for each in kept)
    content += struct.pack(form.order + form.offset, directory.after)
    yield Blank(directory.at, directory.at + len(content) + len(private) * size, content)


def _without_places(tiff: Tiff, entry: Entry) -> Iterator[Blank]:
    """What is overwritten so that the GPS directories of an entry are empty."""
    form = tiff.form
    empty = struct.pack(form.order + form.count + form.offset, 0, 0)
    size = form.size(form.entry) + form.size(form.offset)
    for at in _values(tiff, entry):
        found = _directory(tiff, at)
        for each in found.entries:
            yield Blank(each.start, each.end)
        yield Blank(at, at + len(empty) + len(found.entries) * size, empty)
