"""Which parts of a picture's file are kept, and what takes the place of the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from mmap import mmap
from typing import TypeAlias

import msgspec

MAX_SIDE = 1 << 24  # pixels; a larger number in a header is no size
STEP = 256 << 10  # bytes that are looked at without a pause, because other threads wait meanwhile

# The bytes from an offset up to another one, or bytes that take the place of others.
Piece: TypeAlias = "tuple[int, int] | bytes"
Data: TypeAlias = "bytes | mmap"


class Examined(msgspec.Struct, frozen=True):
    """What the bytes of a picture tell. `width` and `height` are those of the picture as it is shown, or 0 if
    the bytes do not tell them. `pieces` are the parts of the file without location data; None if it has
    none."""

    width: int = 0
    height: int = 0
    pieces: Sequence[Piece] | None = None


UNKNOWN = Examined()


def examined(width: int, height: int, orientation: int, pieces: list[Piece] | None) -> Examined:
    """A picture with that size and orientation (1 to 8)."""
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        width = height = 0
    if orientation >= 5:  # the picture is shown on its side
        width, height = height, width
    return Examined(width, height, pieces)


class Pieces:
    """The parts of a file that are kept, in order."""

    def __init__(self) -> None:
        self.kept: list[Piece] = []
        self.changed = False

    def keep(self, start: int, end: int) -> None:
        last = self.kept[-1] if self.kept else None
        if isinstance(last, tuple) and last[1] == start:
            self.kept[-1] = (last[0], end)
        else:
            self.kept.append((start, end))

    def drop(self, data: Data, start: int, end: int, replacement: bytes = b"") -> None:
        """Leave this part of `data` out, in favour of `replacement`. It may be as large as the file, so it is
        not copied."""
        is_same = end - start == len(replacement) and bytes(data[start:end]) == replacement
        self.changed = self.changed or not is_same
        if replacement:
            self.kept.append(replacement)

    def end(self, data: Data, at: int) -> None:
        """The picture ends here. What follows is cut off: it may be another picture with its metadata."""
        self.changed = self.changed or at < len(data)

    @property
    def result(self) -> list[Piece] | None:
        return self.kept if self.changed else None


class Blank(msgspec.Struct, frozen=True, order=True):
    """The bytes from `start` to `end` become `content`, followed by zeros. So all other bytes stay where they
    are."""

    start: int
    end: int
    content: bytes = b""


_ZEROS = bytes(STEP)


def blanked(data: Data, blanks: Iterable[Blank]) -> list[Piece] | None:
    """The pieces of a file with these blanks; None if it has them already. Of blanks that overlap, the first
    one counts, and the rest of the others is zeros."""
    pieces, at = Pieces(), 0
    for blank in sorted(blanks):
        start, end = max(at, blank.start), min(blank.end, len(data))
        if start >= end:
            continue
        content = blank.content[: end - start] if start == blank.start else b""
        if at < start:
            pieces.keep(at, start)
        zeros = start + len(content)
        is_same = bytes(data[start:zeros]) == content and _is_zero(data, zeros, end)
        pieces.changed = pieces.changed or not is_same
        pieces.kept += [content] if content else []
        pieces.kept += _zeros(end - zeros)
        at = end
    pieces.keep(at, len(data))
    return pieces.result


def _zeros(size: int) -> Iterator[bytes]:
    """So many zeros. All large pieces share their memory."""
    for _ in range(size // STEP):
        yield _ZEROS
    if size % STEP:
        yield _ZEROS[: size % STEP]


def _is_zero(data: Data, start: int, end: int) -> bool:
    steps = range(start, end, STEP)
    return all(not bytes(data[at : min(at + STEP, end)]).strip(b"\0") for at in steps)
