"""Exif and XMP data in HEIC and AVIF files.

Such a file refers to its parts by their offsets. So these data are overwritten, and nothing moves. The
orientation of the picture is not among them.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator

import msgspec

from chatd.files.picture_pieces import UNKNOWN, Blank, Data, Examined, blanked

MAX_BOXES = 1000  # on one level; the others are not looked at
MAX_ITEMS = 4096
MAX_EXTENTS = 4096  # of all items

BRANDS = frozenset(b"heic heix hevc hevx heim heis hevm hevs mif1 mif2 msf1 miaf avif avis".split())
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
# Exif data without any fact: the offset of the TIFF header, the header, and an empty directory
NO_EXIF = bytes(4) + b"MM\0*" + struct.pack(">IHI", 8, 0, 0)


class Box(msgspec.Struct, frozen=True):
    """A box: its kind, and from where to where its body is."""

    kind: bytes
    start: int
    end: int


class NumberReader:
    """Reads numbers, one after the other. Raises struct.error at the end of the data."""

    def __init__(self, data: Data, at: int) -> None:
        self._data = data
        self.at = at

    def take(self, size: int) -> int:
        """The next number of so many bytes."""
        found = bytes(self._data[self.at : self.at + size])
        if len(found) < size:
            raise struct.error("the data end early")
        self.at += size
        return int.from_bytes(found, "big")


def examine_heif(data: Data) -> Examined:
    """Examine a complete file with an `ftyp` box. Raises struct.error if it is damaged."""
    boxes = list(_boxes(data, 0, len(data)))
    if not boxes or boxes[0].kind != b"ftyp" or not _is_picture(data, boxes[0]):
        return UNKNOWN
    meta = next((box for box in boxes if box.kind == b"meta"), None)  # there is only one
    blanks = [] if meta is None else _in_meta(data, meta, [box.end for box in boxes])
    for box in boxes:
        if box.kind == b"uuid" and bytes(data[box.start : box.start + 16]) == XMP_UUID:
            blanks.append(Blank(box.start + 16, box.end))
    return Examined(pieces=blanked(data, blanks))


def _is_picture(data: Data, ftyp: Box) -> bool:
    brands = bytes(data[ftyp.start : min(ftyp.end, ftyp.start + 256)])
    return any(brands[at : at + 4] in BRANDS for at in range(0, len(brands), 4))


def _boxes(data: Data, start: int, end: int) -> Iterator[Box]:
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        after = end if size == 0 else start + size
        if (size and size < head) or after > end:
            return
        yield Box(kind, start + head, after)
        start = after


def _in_meta(data: Data, meta: Box, ends: list[int]) -> list[Blank]:
    """What is overwritten of the items that a `meta` box lists. `ends` are the ends of boxes."""
    inside = {box.kind: box for box in _boxes(data, meta.start + 4, meta.end)}
    if b"iinf" not in inside or b"iloc" not in inside:
        return []
    private = dict(_private_items(data, inside[b"iinf"]))
    idat = inside.get(b"idat", Box(b"idat", len(data), len(data)))
    found = [
        (item, start + (idat.start if from_idat else 0), size)
        for item, from_idat, start, size in _extents(data, inside[b"iloc"])
    ]
    borders = sorted([*ends, idat.end, *(start for _, start, _ in found), len(data)])
    blanks = []
    for item, start, size in found:
        if item not in private or start >= len(data):
            continue
        # Without a size, an item goes to the end of the data: here, to what comes next.
        end = start + size if size else borders[bisect_right(borders, start)]
        blanks.append(Blank(start, end, private.pop(item)))
        private[item] = b""  # the next extents of it
    return blanks


def _private_items(data: Data, iinf: Box) -> Iterator[tuple[int, bytes]]:
    """The items with metadata, and what takes their place."""
    version = data[iinf.start]
    start = iinf.start + (6 if version == 0 else 8)
    for box, _ in zip(_boxes(data, start, iinf.end), range(MAX_ITEMS), strict=False):
        if box.kind != b"infe" or data[box.start] < 2:
            continue
        reader = NumberReader(data, box.start + 4)
        item = reader.take(2 if data[box.start] == 2 else 4)
        reader.take(2)
        kind = bytes(data[reader.at : reader.at + 4])
        about = bytes(data[reader.at + 4 : min(box.end, reader.at + 260)])
        if kind == b"Exif":
            yield item, NO_EXIF
        elif kind == b"mime" and b"rdf+xml" in about:
            yield item, b""


def _extents(data: Data, iloc: Box) -> Iterator[tuple[int, bool, int, int]]:
    """Where items are: the item, whether in the box `idat` and not in the file, the offset and the size."""
    reader = NumberReader(data, iloc.start)
    version = reader.take(4) >> 24
    sizes = reader.take(2)
    offset_size, length_size = sizes >> 12, sizes >> 8 & 15
    base_size, index_size = sizes >> 4 & 15, sizes & 15 if version else 0
    left = MAX_EXTENTS
    for _ in range(min(MAX_ITEMS, reader.take(2 if version < 2 else 4))):
        item = reader.take(2 if version < 2 else 4)
        method = reader.take(2) & 15 if version else 0
        reader.take(2)
        base = reader.take(base_size)
        for _ in range(reader.take(2)):
            reader.take(index_size)
            start, size = base + reader.take(offset_size), reader.take(length_size)
            left -= 1
            if left < 0:
                return
            if method < 2:
                yield item, method == 1, start, size
