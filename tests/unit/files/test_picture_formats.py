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

from chatd.files import heif_metadata, partial_file, picture_formats
from chatd.files.picture_formats import examine
from chatd.files.picture_pieces import UNKNOWN, Blank, Examined, blanked
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


class InPlace(SynchronousTestCase):
    """Metadata of files that refer to their parts by offsets is overwritten."""

    def cleaned(self, data: bytes) -> bytes:
        found = kept(data, examine(data))
        self.assertNotIn(PLACE, found)
        self.assertEqual(len(found), len(data))
        self.assertIsNone(examine(found).pieces, "nothing is left to overwrite")
        return found

    def test_tiff(self) -> None:
        """The GPS directory, XMP and IPTC go, in every picture of the file. The camera stays."""
        tags = Image.Exif()
        tags[0x010F] = "camera"
        tags[700], tags[33723] = PLACE * 5, PLACE * 5
        gps = tags.get_ifd(0x8825)
        gps[29], gps[27] = PLACE.decode(), PLACE
        for options in ({}, {"big_tiff": True}, {"compression": "tiff_lzw"}):
            data = picture("TIFF", exif=tags, save_all=True, append_images=[], **options)
            self.assertIn(PLACE, data)
            found = self.cleaned(data)
            self.assertEqual(decoded(found), decoded(data))
            with Image.open(io.BytesIO(found)) as image:
                self.assertEqual(image.getexif().get(0x010F), "camera")
                self.assertEqual(dict(image.getexif().get_ifd(0x8825)), {})

    def test_gps_directory(self) -> None:
        """It is emptied with its values, also within another directory. The entries beside it stay."""
        for order in "<", ">":
            sign = b"II*\0" if order == "<" else b"MM\0*"
            entry = "HHII"
            gps = struct.pack(f"{order}HHHI4s{entry}I", 2, 1, 2, 2, b"N", 2, 5, 1, 110, 0) + PLACE
            exif_ifd = struct.pack(f"{order}H{entry}I", 1, 0x8825, 4, 1, 80, 0)
            entries = (0x8769, 4, 1, 54, 0x8825, 4, 1, 80, 0x9000, 4, 1, 7)
            first = struct.pack(f"{order}H{entry * 3}I", 3, *entries, 0)
            data = bytearray(sign + struct.pack(f"{order}I", 8) + bytes(200))
            for at, part in ((8, first), (54, exif_ifd), (80, gps)):
                data[at : at + len(part)] = part
            found = self.cleaned(bytes(data))
            left = struct.unpack_from(f"{order}H{entry * 2}I", found, 8)
            self.assertEqual(left, (2, *entries[:4], *entries[8:], 0))
            self.assertEqual(found[54:118], bytes(64), "all that tells a place")
            astray = bytes(data[:44]).ljust(300, b"\1")
            self.assertEqual(len(kept(astray, examine(astray))), len(astray))

    def test_avif(self) -> None:
        data = picture("AVIF", exif=exif(PLACE.decode() * 5), xmp=PLACE * 5)
        self.assertIn(PLACE, data)
        found = self.cleaned(data)
        self.assertEqual(decoded(found), decoded(data))
        with Image.open(io.BytesIO(found)) as image:
            self.assertEqual(dict(image.getexif()), {})

    def test_heic(self) -> None:
        """Items in the box `idat`, in several parts, and an XMP box beside them."""
        exif_data = bytes(4) + PLACE * 5
        items = heif_box(
            b"iinf",
            b"\1\0\0\0" + struct.pack(">I", 3),
            heif_box(b"infe", b"\3\0\0\0", struct.pack(">IH", 7, 0), b"Exif\0"),
            heif_box(b"infe", b"\2\0\0\0", struct.pack(">HH", 8, 0), b"hvc1\0"),
            heif_box(b"infe", b"\1\0\0\0", b"old"),
        )
        places = heif_box(
            b"iloc",
            b"\2\0\0\0\x44\x40",
            struct.pack(">I", 2),
            struct.pack(">IHHIHIIII", 7, 1, 0, 5, 2, 0, 10, 10, len(exif_data) - 10),
            struct.pack(">IHHIHII", 8, 1, 0, 0, 1, 0, 5),
        )
        idat = heif_box(b"idat", b"image" + exif_data)
        brand = heif_box(b"ftyp", b"heic\0\0\0\0mif1heic") + struct.pack(">I4sQ", 1, b"free", 16)
        xmp = heif_box(b"uuid", heif_metadata.XMP_UUID, PLACE * 3)
        data = brand + heif_box(b"meta", bytes(4), items, places, idat) + xmp
        found = self.cleaned(data)
        self.assertIn(b"image" + heif_metadata.NO_EXIF[:10], found)
        large = brand[:8] + data[8:]
        self.assertEqual(
            examine(large.replace(b"heic", b"qt  ").replace(b"mif1", b"qt  ")), UNKNOWN
        )
        without = brand + heif_box(b"meta", bytes(4), items, places) + bytes(8)
        self.assertIsNone(examine(without).pieces, "the items are nowhere")
        self.assertIsNone(examine(brand + heif_box(b"meta", bytes(4))).pieces)

    def test_heic_without_sizes(self) -> None:
        """An item without a size goes to the next one, or to the end of its box."""
        brand = heif_box(b"ftyp", b"heic\0\0\0\0mif1")
        items = heif_box(
            b"iinf",
            b"\0\0\0\0" + struct.pack(">H", 2),
            heif_box(b"infe", b"\2\0\0\0", struct.pack(">HH", 1, 0), b"Exif\0"),
            heif_box(b"infe", b"\2\0\0\0", struct.pack(">HH", 2, 0), b"hvc1\0"),
        )
        start = len(brand) + 8 + 4 + len(items) + (8 + 4 + 2 + 2 + 2 * 14) + 8
        for exif_first in (True, False):
            content = PLACE + b"image" if exif_first else b"image" + PLACE
            at, image = (start, start + len(PLACE)) if exif_first else (start + 5, start)
            places = heif_box(
                b"iloc",
                b"\0\0\0\0\x44\0" + struct.pack(">H", 2),
                struct.pack(">HHHII", 1, 0, 1, at, 0),
                struct.pack(">HHHII", 2, 0, 1, image, 5),
            )
            meta = heif_box(b"meta", bytes(4), items, places)
            self.assertEqual(len(brand + meta) + 8, start)
            found = self.cleaned(
                brand + meta + heif_box(b"mdat", content) + heif_box(b"free", b"kept")
            )
            self.assertIn(b"image", found)
            self.assertTrue(found.endswith(b"kept"))

    def test_gif(self) -> None:
        """Comments, XMP and what else programs add is cut out, but for repetitions and colours."""
        frames = [Image.new("L", (9, 9), each) for each in (0, 99)]
        out = io.BytesIO()
        frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], loop=3)
        whole = out.getvalue()
        tables = 13 + (3 << (whole[10] & 7) + 1 if whole[10] & 0x80 else 0)
        comment = b"!\xfe" + bytes([len(PLACE)]) + PLACE + b"\0"
        magic = bytes(range(255, -1, -1)) + b"\0"
        xmp = b"!\xff\x0bXMP DataXMP<x>" + PLACE + b"\1" + magic
        data = whole[:tables] + comment + xmp + whole[tables:] + b"after" + PLACE
        self.assertEqual(kept(data, examine(data)), whole)
        self.assertIn(b"NETSCAPE2.0", whole)
        self.assertEqual(kept(whole, examine(whole)), whole)
        unfinished = whole[:tables] + comment[:-1]
        self.assertEqual(kept(unfinished, examine(unfinished)), whole[:tables])
        self.patch(picture_formats, "MAX_BLOCKS", 1)
        self.assertEqual(kept(data, examine(data))[:tables], whole[:tables])

    def test_damaged(self) -> None:
        """Damaged files do no harm, and do not grow."""
        tags = Image.Exif()
        tags.get_ifd(0x8825)[29] = PLACE.decode()
        for whole in (
            picture("TIFF", (2, 2), exif=tags),
            picture("TIFF", (2, 2), exif=tags, big_tiff=True),
            picture("AVIF", (2, 2), exif=exif(PLACE.decode())),
        ):
            for at in range(0, len(whole), 3):
                for value in (0, 0xFF, whole[at] ^ 0x40):
                    damaged = bytearray(whole)
                    damaged[at] = value
                    data = bytes(damaged[: max(at, len(whole) // 2)] if value else damaged)
                    self.assertEqual(len(kept(data, examine(data))), len(data))

    def test_bounds(self) -> None:
        """Files that refer to themselves, or have endless lists, are not followed for ever."""
        loop = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 330, 4, 1, 8, 8)
        self.assertIsNone(examine(loop).pieces)
        many = b"II*\0" + struct.pack("<IH", 8, 0xFFFF) + bytes(1 << 20)
        self.assertIsNone(examine(many).pieces)
        boxes = heif_box(b"ftyp", b"avif") + heif_box(b"free") * (heif_metadata.MAX_BOXES + 9)
        self.assertIsNone(examine(boxes).pieces)

    def test_large_blanks(self) -> None:
        """Zeros share their memory. Blanks that overlap are joined."""
        size = 4 << 20
        data = bytes(9) + b"x" * size + b"end"
        blanks = [Blank(0, 4, b"ab"), Blank(2, 8, b"cd"), Blank(9, 9 + size), Blank(5, 6)]
        pieces = blanked(data, blanks)
        assert pieces is not None
        self.assertEqual(len({id(each) for each in pieces if isinstance(each, bytes)}), 4)
        joined = b"".join(
            each if isinstance(each, bytes) else data[slice(*each)] for each in pieces
        )
        self.assertEqual(joined, b"ab" + bytes(7 + size) + b"end")


def heif_box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


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

        for target, name in ((self.uploads, "keep"), (partial_file, "read_pieces")):
            self.patch(target, name, fail)
            with self.assertRaises(OSError):
                await self.stored(data)
            await self.until_empty()
