"""The sizes of pictures are read from their headers, and location data is cut out."""

from __future__ import annotations

import io
import mmap
import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from chatd.files import partial_file, picture_formats
from chatd.files.picture_formats import UNKNOWN, Examined, examine
from tests.support.pictures import exif, picture, png_chunk
from tests.unit.files.cases import UploadsTestCase, sha256

PLACE = b"52 North"
SIDEWAYS = 6  # an orientation that exchanges width and height


def kept(data: bytes, found: Examined) -> bytes:
    """The bytes of the file without its metadata."""
    if found.pieces is None:
        return data
    return b"".join(
        each if isinstance(each, bytes) else data[slice(*each)] for each in found.pieces
    )


def decoded(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


class Memory(SynchronousTestCase):
    def test_metadata_as_large_as_the_file(self) -> None:
        """They are cut out, and not copied."""
        size = 64 << 20
        png = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">II5x", 3, 4))
        webp = b"RIFF" + struct.pack("<I", size + 12) + b"WEBP"
        for head in (
            png + struct.pack(">I4s", size, b"eXIf"),
            png + struct.pack(">I4s", size, b"tEXt") + b"XML:com.adobe",
            webp + struct.pack("<4sI", b"EXIF", size),
            webp + struct.pack("<4sI", b"XMP ", size),
        ):
            path = Path(self.mktemp())
            path.write_bytes(head)
            os.truncate(path, len(head) + size + 4)
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
                tracemalloc.start()
                try:
                    found = examine(data)
                    _, peak = tracemalloc.get_traced_memory()
                finally:
                    tracemalloc.stop()
            self.assertIsNotNone(found.pieces)
            self.assertLess(peak, 1 << 20)


class Sizes(SynchronousTestCase):
    def test_of_all_formats(self) -> None:
        for kind, options in (
            ("JPEG", {}),
            ("JPEG", {"progressive": True, "icc_profile": b"x" * 100_000}),
            ("PNG", {}),
            ("GIF", {}),
            ("WEBP", {}),
            ("WEBP", {"lossless": True}),
            ("WEBP", {"icc_profile": b"profile"}),
        ):
            self.assertEqual(examine(picture(kind, (33, 70), **options)), Examined(33, 70), kind)

    def test_a_picture_on_its_side(self) -> None:
        for kind in ("JPEG", "PNG", "WEBP"):
            found = examine(picture(kind, (33, 70), exif=exif(PLACE.decode(), SIDEWAYS)))
            self.assertEqual((found.width, found.height), (70, 33), kind)

    def test_damaged(self) -> None:
        """The beginnings of pictures, and pictures with damaged bytes, do no harm."""
        for kind in ("JPEG", "PNG", "WEBP", "GIF"):
            options: dict[str, Any] = {"exif": exif(PLACE.decode(), SIDEWAYS)}
            options = {} if kind == "GIF" else options
            whole = picture(kind, (9, 9), **options)
            for size in range(len(whole)):
                part = whole[:size]
                self.assertLessEqual(len(kept(part, examine(part))), size + 8)
                damaged = bytearray(whole)
                damaged[size] ^= 0xFF
                examine(bytes(damaged))

    def test_no_pictures(self) -> None:
        for data in (b"", b"text", b"RIFF\x10\0\0\0WAVEfmt ", b"\xff\xd8", b"GIF89a", b"II*\0"):
            self.assertEqual(examine(data), UNKNOWN)

    def test_a_size_beyond_reason(self) -> None:
        header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1 << 31, 5, 8, 2, 0, 0, 0))
        self.assertEqual(examine(b"\x89PNG\r\n\x1a\n" + header), Examined(0, 0))

    def test_many_parts(self) -> None:
        """A file of nothing but small parts is not read to its end."""
        self.patch(picture_formats, "MAX_PARTS", 3)
        for data in (
            b"\xff\xd8" + jpeg_segment(0xFE, b"") * 5 + b"\xff\xd9",
            picture("PNG")[:33] + png_chunk(b"teXt", b"") * 5,
            riff(*[b"LIST\0\0\0\0"] * 5),
        ):
            self.assertEqual(kept(data, examine(data)), data)


class LocationData(SynchronousTestCase):
    def test_is_cut_out(self) -> None:
        """The picture stays as it is, and keeps its orientation."""
        for kind in ("JPEG", "PNG", "WEBP"):
            for orientation in (None, 1, SIDEWAYS):
                data = picture(kind, exif=exif(PLACE.decode(), orientation), xmp=PLACE)
                found = kept(data, examine(data))
                self.assertIn(PLACE, data)
                self.assertNotIn(PLACE, found)
                self.assertLess(len(found), len(data))
                self.assertEqual(decoded(found), decoded(data))
                with Image.open(io.BytesIO(found)) as image:
                    expected = orientation if orientation == SIDEWAYS else None
                    self.assertEqual(image.getexif().get(0x0112), expected)
                self.assertIsNone(examine(found).pieces, "nothing is left to cut out")

    def test_nothing_to_cut_out(self) -> None:
        for kind in ("JPEG", "PNG", "WEBP", "GIF"):
            self.assertIsNone(examine(picture(kind)).pieces)

    def test_of_a_jpeg(self) -> None:
        whole = picture("JPEG", icc_profile=b"colours", comment=b"a comment")
        private = jpeg_segment(0xED, b"Photoshop 3.0\0" + PLACE) + jpeg_segment(
            0xE2, b"MPF\0" + PLACE
        )
        data = whole[:2] + private + whole[2:] + b"\xff\xd8" + PLACE
        found = kept(data, examine(data))
        self.assertEqual(found, whole)

    def test_fill_bytes_of_a_jpeg(self) -> None:
        """A marker may have more of the bytes that begin it."""
        whole = picture("JPEG")
        data = whole[:2] + b"\xff\xff" + jpeg_segment(0xE1, b"Exif\0\0" + PLACE) + whole[2:]
        found = examine(data)
        self.assertEqual((found.width, found.height), (40, 30))
        self.assertEqual(kept(data, found), whole)

    def test_after_a_webp(self) -> None:
        """What follows the picture is cut off, unless the head has no size to trust."""
        whole = picture("WEBP")
        self.assertEqual(kept(whole + PLACE, examine(whole + PLACE)), whole)
        streamed = whole[:4] + bytes(4) + whole[8:]
        self.assertIsNone(examine(streamed).pieces)

    def test_of_a_png(self) -> None:
        whole = picture("PNG")
        texts = png_chunk(b"tEXt", b"Raw profile type exif\0" + PLACE)
        title = png_chunk(b"tEXt", b"Title\0Gol")
        data = whole[:33] + texts + title + whole[33:] + PLACE
        self.assertEqual(kept(data, examine(data)), whole[:33] + title + whole[33:])

    def test_unreadable_exif(self) -> None:
        for bad in (b"", b"II", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"XX*\0"):
            data = b"\xff\xd8" + jpeg_segment(0xE1, b"Exif\0\0" + bad) + picture("JPEG")[2:]
            found = examine(data)
            self.assertEqual((found.width, found.height), (40, 30))
            self.assertEqual(kept(data, found), picture("JPEG"))


class Stored(UploadsTestCase):
    async def stored(self, data: bytes, sha: str | None = None) -> Any:
        incoming = self.receive(len(data), "gol.jpg")
        incoming.write(data)
        return await incoming.finish(sha)

    async def test_without_location_data(self) -> None:
        data = picture("JPEG", exif=exif(PLACE.decode(), SIDEWAYS))
        stored = await self.stored(data)
        found = (self.folder / stored.stored).read_bytes()
        self.assertNotIn(PLACE, found)
        self.assertEqual((stored.size, stored.sha256), (len(found), sha256(found)))
        self.assertEqual((stored.width, stored.height), (30, 40))
        self.assertEqual(stored.received, sha256(data))
        self.assertEqual(self.files(), [stored.stored])

    async def test_with_a_given_hash(self) -> None:
        """A file that another realm has announced stays as it is."""
        data = picture("JPEG", exif=exif(PLACE.decode()))
        stored = await self.stored(data, sha256(data))
        self.assertEqual((self.folder / stored.stored).read_bytes(), data)
        self.assertEqual((stored.width, stored.height, stored.received), (40, 30, None))

    async def test_in_a_room(self) -> None:
        data = picture("PNG", exif=exif(PLACE.decode()))
        incoming = self.uploads.receive_temporary("gol.png", len(data))
        incoming.write(data)
        stored = await incoming.finish()
        self.assertNotIn(PLACE, (self.folder / stored.stored).read_bytes())
        self.assertEqual(self.files(), [stored.stored])

    async def test_the_disk_fails(self) -> None:
        """Whatever step fails, nothing is left."""
        data = picture("JPEG", exif=exif(PLACE.decode()))

        def fail(*_args: object) -> None:
            raise OSError("no room")

        for target, name in ((self.uploads, "keep"), (partial_file, "_read_pieces")):
            self.patch(target, name, fail)
            with self.assertRaises(OSError):
                await self.stored(data)
            await self.until_empty()
