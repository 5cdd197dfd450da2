"""Pictures for tests."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image


def picture(
    kind: str, size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: Any
) -> bytes:
    """A file with a gradient, in a format that Pillow knows by `kind`."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(out, kind, **options)
    return out.getvalue()


def exif(note: str = "", orientation: int | None = None) -> bytes:
    """EXIF data with a description."""
    found = Image.Exif()
    found[0x010E] = note
    if orientation is not None:
        found[0x0112] = orientation
    return found.tobytes()


def opened(data: bytes) -> Image.Image:
    """The decoded picture."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
