"""Saves the file that follows a reply."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from chatd.ctl.exits import NotReached, WrongUsage

STDOUT = "-"
CHUNK = 64 << 10  # bytes


class Saving:
    """Where the file goes: to the path `wanted`, to the standard output for `-`, or for None to a file in the
    current folder with the name that the reply says. No file is replaced."""

    def __init__(self, wanted: str | None) -> None:
        """Raises WrongUsage if the path is taken."""
        self._wanted = wanted
        if wanted is not None and wanted != STDOUT:
            _check_free(Path(wanted))

    @property
    def to_stdout(self) -> bool:
        return self._wanted == STDOUT

    @contextmanager
    def open(self, reply: Mapping[str, Any]) -> Iterator[SavedFile]:
        """The file to write to. It is removed if its bytes are not those that the reply announces. Raises
        WrongUsage, NotReached."""
        if self.to_stdout:
            saved = SavedFile(sys.stdout.buffer)
            yield saved
            saved.check(reply)
            return
        # Only the last part, which no realm can make a path elsewhere
        path = Path(self._wanted or Path(str(reply["name"])).name)
        _check_free(path)
        try:
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                try:
                    saved = SavedFile(file)
                    yield saved
                    saved.check(reply)
                except BaseException:
                    path.unlink()
                    raise
        except OSError as error:
            raise WrongUsage(f"{path} can't be written: {error.strerror or error}") from None
        sys.stderr.write(f"chatctl: saved as {path}\n")


class SavedFile:
    """A file that is being written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def check(self, reply: Mapping[str, Any]) -> None:
        """Raises NotReached if these are not the bytes that the reply announces."""
        self._file.flush()
        if self.size != reply["size"] or self._hash.hexdigest() != reply["sha256"]:
            raise NotReached(f"only a part of the file has arrived, {self.size} bytes; try again")


def _check_free(path: Path) -> None:
    """Raises WrongUsage if there is something at the path."""
    if os.path.lexists(path):
        raise WrongUsage(f"{path} exists; choose another path with --output")
