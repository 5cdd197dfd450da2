"""The stored files of a realm, in a folder or in a bucket, as a check of the state sees them. Everything here
blocks."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chatd.files.copying import Stopped, hash_file
from chatd.files.file_names import UNCLAIMED, free_path, from_disk, stored_path

if TYPE_CHECKING:
    from chatd.files.bucket import Bucket


class IStoredFiles(Protocol):
    """Stored files by their names. All methods may raise OSError, and FileNotFoundError for one that is
    gone."""

    @property
    def where(self) -> str:
        """Where they are, for people."""
        ...

    def size_of(self, stored: str) -> int: ...

    def hash(self, stored: str, is_stopped: Callable[[], bool]) -> str:
        """The SHA-256 of a file. Raises Stopped."""
        ...

    def older_than(self, oldest: float) -> Iterator[str]:
        """The names of all files that were last changed before `oldest`, in seconds since 1970 UTC."""
        ...

    def set_aside(self, stored: str) -> str:
        """Move a file to `unclaimed/`. Returns where it is then."""
        ...


class FilesInFolder:
    """An IStoredFiles: those in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def where(self) -> str:
        return str(self._folder)

    def size_of(self, stored: str) -> int:
        return stored_path(self._folder, stored).stat().st_size

    def hash(self, stored: str, is_stopped: Callable[[], bool]) -> str:
        return hash_file(stored_path(self._folder, stored), is_stopped)

    def older_than(self, oldest: float) -> Iterator[str]:
        for path in sorted(self._folder.iterdir()):
            with suppress(FileNotFoundError):  # it was deleted meanwhile
                found = path.stat()
                if stat.S_ISREG(found.st_mode) and found.st_mtime <= oldest:
                    yield from_disk(path.name)

    def set_aside(self, stored: str) -> str:
        aside = self._folder / UNCLAIMED
        aside.mkdir(mode=0o700, exist_ok=True)
        path = stored_path(self._folder, stored)
        target = free_path(aside / path.name)
        path.replace(target)
        return str(target)


class FilesInBucket:
    """An IStoredFiles: those in `bucket`."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    @property
    def where(self) -> str:
        return self._bucket.where

    def size_of(self, stored: str) -> int:
        return self._bucket.head(stored).size

    def hash(self, stored: str, is_stopped: Callable[[], bool]) -> str:
        state = self._bucket.head(stored)
        digest = hashlib.sha256()
        for data in self._bucket.blocks(stored, state.size, state.etag):
            if is_stopped():
                raise Stopped
            digest.update(data)
        return digest.hexdigest()

    def older_than(self, oldest: float) -> Iterator[str]:
        for each in self._bucket.list("", nested=False):
            if each.modified <= oldest:
                yield each.key

    def set_aside(self, stored: str) -> str:
        target = f"{UNCLAIMED}/{stored}"
        self._bucket.move(stored, target)
        return self._bucket.where + target
