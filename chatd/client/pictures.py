"""Pictures as text: each cell shows two pixels, the upper one as its upper half block, the lower one as its
background. Whoever sends a picture decides what is in the file, so all of it is bounded.
"""

from __future__ import annotations

import asyncio
import io
import warnings
from typing import Any

from chatd.client import file_transfer
from chatd.client.client import Client
from chatd.client.connection import ConnectionFailed, ConnectionLost
from chatd.client.file_transfer import Damaged, Refused
from chatd.client.render import Line

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
MAX_BYTES = 4 * 1024 * 1024
MAX_PIXELS = 16_000_000  # some 64 MB once it is unpacked
COLUMNS, ROWS = 40, 12
UPPER_HALF = "\N{UPPER HALF BLOCK}"


def is_picture(mime: str) -> bool:
    return mime in ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")


def preview(data: bytes, columns: int = COLUMNS, rows: int = ROWS) -> list[Line]:
    """`data` as lines of coloured half blocks; none if it is no picture that can be shown."""
    from PIL import Image

    if len(data) > MAX_BYTES:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    return []
                image.draft("RGB", (columns * 2, rows * 4))  # JPEGs need not be unpacked whole
                small = _shrink(image, columns, rows)
    except Exception:  # what a broken file makes of a decoder is not foreseeable
        return []
    return _blocks(small)


def _shrink(image: Any, columns: int, rows: int) -> Any:
    """Within so many cells, in RGB, on black where it is transparent; sides in proportion."""
    from PIL import Image

    scale = min(columns / image.width, rows * 2 / image.height, 1)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    coloured = image.convert("RGBA").resize(size)
    ground = Image.new("RGBA", size, "black")
    return Image.alpha_composite(ground, coloured).convert("RGB")


def _blocks(image: Any) -> list[Line]:
    pixels = image.load()
    lines: list[Line] = []
    for y in range(0, image.height, 2):
        line: Line = []
        for x in range(image.width):
            style = f"fg:{_hex(pixels[x, y])}"
            if y + 1 < image.height:
                style += f" bg:{_hex(pixels[x, y + 1])}"
            line.append((style, UPPER_HALF))
        lines.append(line)
    return lines


def _hex(pixel: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*pixel)


async def show_arriving(client: Client) -> None:
    """Fetch the pictures that are announced, if they are small, and show them."""
    while True:
        file = await client.pictures.get()
        if not is_picture(str(file.get("mime"))) or not 0 < int(file.get("size", 0)) <= MAX_BYTES:
            continue
        try:
            data = await _fetch(client, str(file.get("code")))
        except (ConnectionLost, ConnectionFailed, Refused, Damaged):
            continue
        lines = await asyncio.to_thread(preview, data)
        if lines:
            client.out.happened({}, lines, notice=False)


async def _fetch(client: Client, code: str) -> bytes:
    if client.state.token is None:
        return b""
    data = bytearray()
    connection = await file_transfer.log_in(client.target, client.state.token)
    try:
        await file_transfer.fetch(connection, code, data.extend, lambda reply: None)
    except BaseException:
        connection.abort()
        raise
    await connection.close()
    return bytes(data)
