"""The process that decodes pictures: what it makes of good, bad and hostile ones."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from chatd.media import worker
from chatd.media.worker import REQUEST, RESULT, answer, serve
from tests.support.pictures import exif, opened, picture, png_chunk

SIDE, MOST = 100, 65_536


def asked(data: bytes, square: bool = False, most: int = MOST) -> tuple[int, int, bytes]:
    """The width, the height and the bytes of a scaled picture; (0, 0, the reason) for a refused one."""
    result = answer(data, square, SIDE, most)
    good, width, height, size = RESULT.unpack_from(result)
    body = result[RESULT.size :]
    assert len(body) == size
    assert good == (width > 0)
    return width, height, body


class Scaling(SynchronousTestCase):
    def test_formats_and_modes(self) -> None:
        for kind, modes in {
            "PNG": ("RGB", "RGBA", "L", "LA", "P", "1"),
            "JPEG": ("RGB", "L", "CMYK"),
            "WEBP": ("RGB", "RGBA"),
            "GIF": ("P", "L"),
        }.items():
            for mode in modes:
                source = picture(kind, (400, 200), mode)
                width, height, body = asked(source)
                self.assertEqual((width, height), (100, 50), (kind, mode))
                found = opened(body)
                self.assertEqual((found.format, found.size), ("WEBP", (100, 50)))
                # The gradient goes from dark to bright.
                dark, bright = (found.convert("L").getpixel((50, y)) for y in (2, 47))
                self.assertLess(dark + 100, bright, (kind, mode))  # type: ignore[operator]
                self.assertEqual(asked(source, square=True)[:2], (100, 100))

    def test_grey_of_16_bits(self) -> None:
        out = io.BytesIO()
        Image.new("I;16", (9, 9), 60_000).save(out, "PNG")
        grey = opened(asked(out.getvalue())[2]).convert("L").getpixel((4, 4))
        self.assertIn(grey, range(230, 240))

    def test_small_pictures_stay_small(self) -> None:
        self.assertEqual(asked(picture("PNG", (7, 5)))[:2], (7, 5))
        self.assertEqual(asked(picture("PNG", (7, 5)), square=True)[:2], (5, 5))

    def test_narrow(self) -> None:
        self.assertEqual(asked(picture("PNG", (5000, 1)))[:2], (100, 1))

    def test_turned(self) -> None:
        """The result is upright, and says nothing of where it comes from."""
        for orientation, size in ((1, (100, 50)), (3, (100, 50)), (6, (50, 100)), (8, (50, 100))):
            source = picture(
                "JPEG", (400, 200), exif=exif("52 North", orientation), xmp=b"52 North"
            )
            width, height, body = asked(source)
            self.assertEqual((width, height), size)
            self.assertEqual(dict(opened(body).getexif()), {})
            self.assertNotIn(b"52 North", body)

    def test_profiles(self) -> None:
        """A small colour profile stays, because the colours would be others without it."""
        for profile, expected in ((b"p" * 500, b"p" * 500), (b"p" * 5000, None)):
            body = asked(picture("JPEG", icc_profile=profile))[2]
            self.assertEqual(opened(body).info.get("icc_profile"), expected)

    def test_room(self) -> None:
        """A picture with many details gets a lower quality."""
        noise = Image.effect_noise((400, 400), 200)
        out = io.BytesIO()
        noise.save(out, "PNG")
        large, small = (asked(out.getvalue(), most=most)[2] for most in (MOST, 3000))
        self.assertLess(len(small), 3000)
        self.assertGreater(len(large), 3000)
        self.assertEqual(asked(out.getvalue(), most=50), (0, 0, b"it can't be made small enough"))


class Refusing(SynchronousTestCase):
    def test_other_formats(self) -> None:
        for kind in ("TIFF", "BMP", "ICO", "PPM", "TGA", "PCX", "EPS", "PDF"):
            found = asked(picture(kind))
            self.assertEqual(found, (0, 0, b"it is damaged, or not a PNG, JPEG, WebP or GIF"), kind)

    def test_damaged(self) -> None:
        for data in (b"", b"text", picture("PNG")[:60], picture("JPEG")[:300]):
            self.assertEqual(asked(data)[:2], (0, 0))

    def test_bombs(self) -> None:
        """A file of a few bytes that claims to be large, or that is."""
        header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))))
        claim = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*each) for each in chunks)
        self.assertEqual(asked(claim), (0, 0, b"it has too many pixels"))
        self.patch(worker, "MAX_PIXELS", 1000)
        self.assertEqual(asked(picture("GIF")), (0, 0, b"it has too many pixels"))

    def test_without_memory(self) -> None:
        def fail(*_args: object) -> None:
            raise MemoryError

        self.patch(worker, "scale", fail)
        self.assertEqual(asked(b""), (0, 0, b"it has too many pixels"))


class Serving(SynchronousTestCase):
    def test_one_after_another(self) -> None:
        """It ends with its input, also within a request."""
        self.patch(worker, "_allow_time", lambda: None)
        data = picture("PNG", (300, 300))
        request = REQUEST.pack(False, SIDE, MOST, len(data)) + data
        for rest in (b"", request[:4], request[:-1]):
            results = io.BytesIO()
            serve(io.BytesIO(2 * request + rest), results)
            self.assertEqual(results.getvalue(), 2 * answer(data, False, SIDE, MOST))
