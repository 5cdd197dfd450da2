"""Pictures as text: each cell shows two pixels, one in the foreground and one in the background colour.

Pictures come from other users, so their size and format are limited.
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
MAX_PIXELS = 16_000_000  # about 64 MB when decoded
COLUMNS, ROWS = 40, 12
UPPER_HALF = "\N{UPPER HALF BLOCK}"


def is_picture(mime: str) -> bool:
    return mime in ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")


def preview(data: bytes, columns: int = COLUMNS, rows: int = ROWS) -> list[Line]:
    """`data` as lines of coloured half blocks; empty if it can't be shown."""
    from PIL import Image

    if len(data) > MAX_BYTES:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    return []
                image.draft("RGB", (columns * 2, rows * 4))  # decode a JPEG at a lower resolution
                small = _shrink(image, columns, rows)
    except Exception:  # a broken file can raise anything in a decoder
        return []
    return _blocks(small)


def _shrink(image: Any, columns: int, rows: int) -> Any:
    """Scale to at most this many cells, keeping the aspect ratio; convert to RGB on a black background."""
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
    """Download and show announced pictures that are small enough."""
    while True:
        file = await client.pictures.waiting.get()
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
    connection = await file_transfer.log_in(client.nodes, client.state.token)
    try:
        await file_transfer.fetch(connection, code, data.extend, lambda reply: None)
    except BaseException:
        connection.abort()
        raise
    await connection.close()
    return bytes(data)
