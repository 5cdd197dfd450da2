"""The size of pictures, and the metadata in them that may tell where they were taken.

The bytes of a file are examined without decoding the picture. From JPEG, PNG, WebP and GIF files, metadata is
cut out, so that the picture itself keeps its quality and its animation. The orientation of a photograph is
kept, because viewers need it. For TIFF, HEIC and AVIF see chatd.files.tiff_metadata and
chatd.files.heif_metadata.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator

from chatd.files.heif_metadata import examine_heif
from chatd.files.picture_pieces import (
    STEP,
    UNKNOWN,
    Data,
    Examined,
    Piece,
    Pieces,
    examined,
)
from chatd.files.tiff_metadata import examine_tiff

MAX_PARTS = 100_000  # segments or chunks of a file that are looked at; the rest stays as it is
MAX_BLOCKS = 500_000  # small blocks of data of a GIF that are looked at
MAX_EXIF = 64 << 10  # bytes of Exif data in which the orientation is looked for

_ICC = b"ICC_PROFILE\0"
_EXIF = b"Exif\0\0"
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_ORIENTATION = 0x0112
_PNG_TEXTS = re.compile(rb"XML:com\.adobe|Raw profile type", re.IGNORECASE)
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04  # flags in VP8X
GIF_IMAGE, GIF_EXTENSION, GIF_END = 0x2C, 0x21, 0x3B
GIF_COMMENT, GIF_APPLICATION = 0xFE, 0xFF
GIF_KEPT = frozenset((b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012"))


def examine(data: Data) -> Examined:
    """Examine a complete file. A file that is no picture, or is damaged, has no size and stays as it is."""
    for at, sign, examiner in _EXAMINERS:
        if bytes(data[at : at + len(sign)]) == sign:
            try:
                return examiner(data)
            except (struct.error, IndexError):
                return UNKNOWN
    return UNKNOWN


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so may be a picture that `examine` knows."""
    return any(head[at : at + len(sign)] == sign for at, sign, _ in _EXAMINERS)


def _orientation(exif: bytes) -> int:
    """The orientation (1 to 8) in Exif data that begin with the TIFF header; 1 if there is none."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        if order is None:
            return 1
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, found = struct.unpack_from(f"{order}HHIH", exif, entry)
            if tag == _ORIENTATION:
                return found if kind == 3 and 1 <= found <= 8 else 1
    except struct.error:
        return 1
    return 1


def _only_orientation(orientation: int) -> bytes:
    """Exif data with nothing but an orientation."""
    entry = struct.pack(">HHIHH", _ORIENTATION, 3, 1, orientation, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)


def _jpeg(data: Data) -> Examined:
    pieces = Pieces()
    pieces.keep(0, 2)
    width = height = 0
    orientation = 1
    for marker, start, end in _segments(data):
        if marker == 0xD9:
            pieces.keep(start, end)
            pieces.end(data, end)
            break
        if marker == 0xE1 and bytes(data[start + 4 : start + 10]) == _EXIF:
            orientation = _orientation(bytes(data[start + 10 : end]))
            pieces.drop(data, start, end, _jpeg_orientation(orientation))
        elif _is_private(marker, bytes(data[start + 4 : start + 4 + len(_ICC)])):
            pieces.drop(data, start, end)
        else:
            pieces.keep(start, end)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, start + 5)
    return examined(width, height, orientation, pieces.result)


def _is_private(marker: int, beginning: bytes) -> bool:
    """Whether an application segment may have metadata. JFIF, colour profiles and Adobe's colour transform
    are needed to show the picture."""
    if marker == 0xE2:
        return beginning != _ICC
    return 0xE0 < marker <= 0xEF and marker != 0xEE


def _jpeg_orientation(orientation: int) -> bytes:
    if orientation == 1:
        return b""
    body = _EXIF + _only_orientation(orientation)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _segments(data: Data) -> Iterator[tuple[int, int, int]]:
    """The marker, the start and the end of each segment, with the compressed data after it. The last one
    covers what can't be read."""
    at = 2
    for _ in range(MAX_PARTS):
        if at + 4 > len(data) or data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xD9:
            yield marker, at, at + 2
            return
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if marker == 0xDA:
            end = _next_marker(data, end)
        if length < 2 or end > len(data):
            break
        yield marker, at, end
        at = end
    if data[at : at + 2] == b"\xff\xd9":
        yield 0xD9, at, at + 2
    elif at < len(data):
        yield 0, at, len(data)


def _next_marker(data: Data, start: int) -> int:
    """Where the next segment begins after compressed data, or the end. In steps, because other threads wait
    during each."""
    for at in range(start, len(data), STEP):
        found = _MARKER.search(data, at, min(at + STEP + 1, len(data)))
        if found is not None:
            return found.start()
    return len(data)


def _png(data: Data) -> Examined:
    pieces = Pieces()
    pieces.keep(0, 8)
    width, height = struct.unpack_from(">II", data, 16)
    orientation, at = 1, 8
    for _ in range(MAX_PARTS):
        if at + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if kind == b"eXIf":
            orientation = _orientation(bytes(data[at + 8 : min(end - 4, at + MAX_EXIF)]))
            pieces.drop(data, at, end, _png_orientation(orientation))
        elif kind in (b"tEXt", b"zTXt", b"iTXt") and _PNG_TEXTS.match(data, at + 8, end):
            pieces.drop(data, at, end)
        else:
            pieces.keep(at, end)
        at = end
        if kind == b"IEND":
            pieces.end(data, at)
            return examined(width, height, orientation, pieces.result)
    pieces.keep(at, len(data))
    return examined(width, height, orientation, pieces.result)


def _png_orientation(orientation: int) -> bytes:
    if orientation == 1:
        return b""
    body = b"eXIf" + _only_orientation(orientation)
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _webp(data: Data) -> Examined:
    if bytes(data[8:12]) != b"WEBP":
        return UNKNOWN
    width = height = 0
    orientation, extended = 1, 0
    pieces = Pieces()
    for kind, start, end in _riff_chunks(data):
        body = start + 8
        if kind == b"EXIF":
            exif = bytes(data[body : min(end, body + MAX_EXIF)]).removeprefix(_EXIF)
            orientation = _orientation(exif)
            pieces.drop(data, start, end, _webp_orientation(orientation))
        elif kind == b"XMP ":
            pieces.drop(data, start, end)
        else:
            pieces.keep(start, end)
        if kind == b"VP8X":
            extended = body
            width, height = _three_bytes(data, body + 4) + 1, _three_bytes(data, body + 7) + 1
        elif kind in (b"VP8 ", b"VP8L") and not width:
            width, height = _webp_frame(data, kind, body)
    if width:
        pieces.end(data, _riff_end(data))
    if pieces.changed:
        kept = _webp_head(data, pieces.kept, extended, orientation)
        return examined(width, height, orientation, kept)
    return examined(width, height, orientation, None)


def _riff_end(data: Data) -> int:
    """Where the file ends, as its head says."""
    (size,) = struct.unpack_from("<I", data, 4)
    return int(size) + 8


def _riff_chunks(data: Data) -> Iterator[tuple[bytes, int, int]]:
    """The kind, the start and the end of each chunk."""
    at, whole = 12, min(len(data), _riff_end(data))
    for _ in range(MAX_PARTS):
        if at + 8 > whole:
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        end = min(at + 8 + length + length % 2, len(data))
        yield kind, at, end
        at = end
    if at < whole:
        yield b"", at, whole


def _webp_frame(data: Data, kind: bytes, body: int) -> tuple[int, int]:
    """The size of a picture without the header of extended files."""
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, body + 6)
        return width & 0x3FFF, height & 0x3FFF
    (bits,) = struct.unpack_from("<I", data, body + 1)
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _webp_orientation(orientation: int) -> bytes:
    if orientation == 1:
        return b""
    body = _only_orientation(orientation)
    return b"EXIF" + struct.pack("<I", len(body)) + body


def _webp_head(data: Data, kept: list[Piece], extended: int, orientation: int) -> list[Piece]:
    """The pieces with the head of the file: its new size, and flags for the metadata that are left."""
    pieces: list[Piece] = []
    for piece in kept:
        if isinstance(piece, tuple) and extended and piece[0] <= extended < piece[1]:
            flags = data[extended] & ~(_WEBP_EXIF | _WEBP_XMP)
            flags |= _WEBP_EXIF if orientation > 1 else 0
            pieces += [(piece[0], extended), bytes([flags]), (extended + 1, piece[1])]
        else:
            pieces.append(piece)
    size = sum(len(each) if isinstance(each, bytes) else each[1] - each[0] for each in pieces)
    return [b"RIFF" + struct.pack("<I", size + 4) + b"WEBP", *pieces]


def _three_bytes(data: Data, at: int) -> int:
    return int.from_bytes(bytes(data[at : at + 3]), "little")


def _gif(data: Data) -> Examined:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + _color_table(flags)
    pieces = Pieces()
    pieces.keep(0, at)
    left = MAX_BLOCKS
    while left > 0 and at < len(data) and data[at] in (GIF_IMAGE, GIF_EXTENSION):
        start = at
        if data[at] == GIF_IMAGE:
            at += 11 + _color_table(data[at + 9])
            private = False
        else:
            private = _is_private_extension(data, at)
            at += 2
        at, left = _after_blocks(data, at, left)
        if private:
            pieces.drop(data, start, at)
        else:
            pieces.keep(start, at)
    if at < len(data) and data[at] == GIF_END:
        pieces.keep(at, at + 1)
        pieces.end(data, at + 1)
    else:
        pieces.keep(at, len(data))
    return examined(width, height, 1, pieces.result)


def _color_table(flags: int) -> int:
    """The size of a table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _is_private_extension(data: Data, at: int) -> bool:
    """Whether an extension may have metadata: a comment, or an application's data but for the number of
    repetitions and the colour profile."""
    if data[at + 1] == GIF_APPLICATION:
        return bytes(data[at + 3 : at + 14]) not in GIF_KEPT
    return data[at + 1] == GIF_COMMENT


def _after_blocks(data: Data, at: int, left: int) -> tuple[int, int]:
    """Where a series of small blocks ends, and how many more may be looked at. A damaged or endless one goes
    to the end of the file."""
    while left > 0 and at < len(data):
        size = data[at]
        at += 1 + size
        left -= 1
        if not size:
            return at, left
    return len(data), 0


_EXAMINERS: tuple[tuple[int, bytes, Callable[[Data], Examined]], ...] = (
    (0, b"\xff\xd8\xff", _jpeg),
    (0, b"\x89PNG\r\n\x1a\n", _png),
    (0, b"RIFF", _webp),
    (0, b"GIF87a", _gif),
    (0, b"GIF89a", _gif),
    (0, b"II*\0", examine_tiff),
    (0, b"MM\0*", examine_tiff),
    (0, b"II+\0", examine_tiff),
    (0, b"MM\0+", examine_tiff),
    (4, b"ftyp", examine_heif),
)
