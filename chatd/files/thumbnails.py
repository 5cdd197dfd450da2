"""Small versions of stored pictures, in `thumbnails/` under the name of the picture. Any of them may be
missing: it is made again when it is asked for.

Everything here blocks, so it runs in a thread.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import count
from pathlib import Path

from chatd.files.file_names import from_disk, to_disk

MAX_FILES = 10_000  # of at most MAX_THUMBNAIL bytes (chatd.service.thumbnails)
KEPT = 0.9  # of MAX_FILES, when those that were not used for the longest time are removed


class ThumbnailFolder:
    """The folder. `exists` tells whether a stored file is there, and `is_left` whether a file in the folder
    was left by an earlier run. `mark` is in the names of files that are being written, so that the nodes that
    share the folder do not use the same ones."""

    def __init__(
        self,
        folder: Path,
        exists: Callable[[str], bool],
        is_left: Callable[[Path], bool] = Path.is_file,
        mark: str = "",
    ) -> None:
        self._folder = folder
        self._exists = exists
        self._is_left = is_left
        self._unfinished = f".new-{mark}"
        self._counter = count(1)
        self._files = 0

    def start(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def clean(self, known: Collection[str]) -> None:
        """Remove the thumbnails of files that are not `known`, and what a crash left unfinished."""
        for path in self._folder.iterdir():
            unknown = path.name not in known and from_disk(path.name) not in known
            if unknown and self._is_left(path):
                path.unlink(missing_ok=True)
            else:
                self._files += 1

    def read(self, stored: str) -> bytes | None:
        """The thumbnail of a stored file; None if there is none, or a damaged one."""
        path = self._path(stored)
        try:
            body = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return body if is_whole(body) else None

    def write(self, stored: str, body: bytes) -> None:
        """Keep a thumbnail, unless its file was removed meanwhile. Raises OSError."""
        new, path = self._folder / f"{self._unfinished}{next(self._counter)}", self._path(stored)
        try:
            with new.open("wb") as file:
                os.chmod(new, 0o600)  # noqa: PTH101
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        self._files += 1
        if not self._exists(stored):
            self.remove(stored)
        if self._files > MAX_FILES:
            self._make_room()

    def remove(self, stored: str) -> None:
        """Remove the thumbnail of a file that is already removed."""
        self._path(stored).unlink(missing_ok=True)

    def _path(self, stored: str) -> Path:
        return self._folder / to_disk(stored)

    def _make_room(self) -> None:
        """Remove the thumbnails that were not used for the longest time."""
        found: list[tuple[float, str]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found.append((entry.stat().st_mtime, entry.path))
        found.sort()
        kept = int(MAX_FILES * KEPT)
        for _, path in found[: max(0, len(found) - kept)]:
            Path(path).unlink(missing_ok=True)
        self._files = min(len(found), kept)


def is_whole(body: bytes) -> bool:
    """Whether a WebP has the size that it says."""
    return body[:4] == b"RIFF" and body[4:8] == struct.pack("<I", len(body) - 8)
