"""Previews of pictures: size, formats, and files that are no pictures."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from twisted.trial.unittest import TestCase

import chatd.client
from chatd.client import pictures
from chatd.client.render import text_of

CLIENT = Path(chatd.client.__file__).parent
MESSAGE = {"conversation": 2, "seq": 3, "id": 7, "from": "budi", "at": "2026-11-20T10:15:03Z"}


class PreviewTests(TestCase):
    def picture(self, width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
        data = io.BytesIO()
        Image.new(mode, (width, height), "red").save(data, kind)
        return data.getvalue()

    def test_two_pixels_per_cell(self) -> None:
        lines = pictures.preview(self.picture(4, 4))
        self.assertEqual([text_of(line) for line in lines], ["▀▀▀▀", "▀▀▀▀"])
        self.assertEqual(lines[0][0][0], "fg:#ff0000 bg:#ff0000")

    def test_within_bounds(self) -> None:
        for size in ((4000, 10), (10, 4000), (999, 998), (1, 1)):
            lines = pictures.preview(self.picture(*size))
            self.assertLessEqual(len(lines), pictures.ROWS)
            self.assertTrue(all(len(line) <= pictures.COLUMNS for line in lines))
            self.assertTrue(lines)

    def test_kinds(self) -> None:
        for kind, mode in (("JPEG", "RGB"), ("GIF", "P"), ("PNG", "RGBA"), ("WEBP", "RGB")):
            self.assertTrue(pictures.preview(self.picture(30, 30, kind, mode)), kind)

    def test_invalid(self) -> None:
        bomb = self.picture(pictures.MAX_PIXELS // 4000 + 1, 4000, mode="1")
        self.assertLess(len(bomb), pictures.MAX_BYTES)
        for data in (
            b"",
            b"GIF89a",
            bomb,
            self.picture(9, 9)[:40],
            b"%!PS-Adobe",
            b"x" * 5_000_000,
        ):
            self.assertEqual(pictures.preview(data), [])
