"""The process that decodes pictures. It is run as a script and imports nothing of chatd.

Decoders are large programs in C that read what strangers send. So this process can't open files or sockets,
can't start processes, has little memory, and is ended by the kernel when a picture takes too long. It reads
requests from its standard input and writes results to its standard output, one after another:

    request: REQUEST (whether to cut a square, the longer side, the most bytes of the result, the size of
             the picture), and the picture
    result:  RESULT (whether it succeeded, width, height, size), and a WebP or a reason

Nothing of a picture but its pixels and a small colour profile gets into the result.
"""

from __future__ import annotations

import io
import os
import resource
import struct
import sys
import warnings
from typing import IO

from PIL import Image, ImageOps

REQUEST = struct.Struct(">?HII")
RESULT = struct.Struct(">?HHI")
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = 50_000_000  # 200 MB when decoded
MEMORY = 768 << 20  # bytes of address space
CPU = 10  # seconds for one picture
NICENESS = 10
MAX_PROFILE = 4096  # bytes of a colour profile; scanners' are larger, and browsers do without
QUALITIES = (80, 60, 40, 20, 5)

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Unscalable(Exception):
    """The picture can't be scaled. `str()` is the reason."""


def scale(data: bytes, square: bool, side: int, most: int) -> tuple[int, int, bytes]:
    """The width, the height and the bytes of a WebP whose longer side has at most `side` pixels, and that has
    at most `most` bytes. Raises Unscalable, and what a decoder raises for a damaged picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Unscalable("it has too many pixels")
            # A JPEG is decoded at a lower resolution.
            image.draft("RGB", (2 * side, 2 * side))
            return _encode(_scaled(image, square, side), _profile_of(image), most)


def _profile_of(image: Image.Image) -> bytes | None:
    """The colour profile that the result needs."""
    profile: bytes = image.info.get("icc_profile", b"")
    return profile if image.mode in ("RGB", "RGBA", "P") and len(profile) <= MAX_PROFILE else None


def _scaled(image: Image.Image, square: bool, side: int) -> Image.Image:
    orientation = image.getexif().get(_ORIENTATION, 1)
    coloured = _in_colour(image)
    if square:
        edge = min(side, *coloured.size)
        coloured = ImageOps.fit(coloured, (edge, edge))
    else:
        coloured.thumbnail((side, side), reducing_gap=2.0)
    if orientation in _TURNS:
        coloured = coloured.transpose(_TURNS[orientation])
    coloured.info = {}
    return coloured


def _in_colour(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey
        image = image.point(lambda level: level / 256).convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _encode(image: Image.Image, profile: bytes | None, most: int) -> tuple[int, int, bytes]:
    for quality in QUALITIES:
        out = io.BytesIO()
        image.save(out, "WEBP", quality=quality, alpha_quality=quality, icc_profile=profile)
        if out.tell() <= most:
            return image.width, image.height, out.getvalue()
    raise Unscalable("it can't be made small enough")


def answer(data: bytes, square: bool, side: int, most: int) -> bytes:
    """The result of a request."""
    try:
        width, height, body = scale(data, square, side, most)
    except Unscalable as reason:
        return _refusal(str(reason))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        return _refusal("it has too many pixels")
    except Exception:  # a damaged picture can raise anything in a decoder
        return _refusal("it is damaged, or not a PNG, JPEG, WebP or GIF")
    return RESULT.pack(True, width, height, len(body)) + body


def _refusal(reason: str) -> bytes:
    return RESULT.pack(False, 0, 0, len(reason)) + reason.encode()


def serve(requests: IO[bytes], results: IO[bytes]) -> None:
    """Answer requests until their end."""
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        square, side, most, size = REQUEST.unpack(head)
        data = requests.read(size)
        if len(data) < size:
            return
        _allow_time()
        results.write(answer(data, square, side, most))
        results.flush()


def _allow_time() -> None:
    """Let the kernel end this process if the next picture takes longer than CPU seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + CPU + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def confine() -> None:
    """Give up what a decoder does not need. There is no way back."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    os.nice(NICENESS)
    # The decoders and encoders that are loaded on demand are loaded now, while files can be opened.
    for each in FORMATS:
        made = io.BytesIO()
        Image.new("RGB", (8, 8)).save(made, each)
        answer(made.getvalue(), False, 8, 1 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for kind in ("NOFILE", "FSIZE", "CORE", "NPROC"):
        with_none = getattr(resource, f"RLIMIT_{kind}", None)
        if with_none is not None:
            resource.setrlimit(with_none, (0, 0))


if __name__ == "__main__":
    confine()
    serve(sys.stdin.buffer, sys.stdout.buffer)
