"""The files of a state folder besides the database, and what is left of them when the power fails.

The bytes of a file are on the disk as of its last fsync, and the names in a folder as of the last fsync of
that. Newer names of a folder are all there after a power failure, or none: a file system with a journal keeps
their order, and chatd makes few at a time.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from random import Random

OTHERS = (
    "chatd.db",
    "lock",
)  # beginnings of names: the database, whose VFS does this, and the lock


class StateFiles:
    """Those of the folder `state`. `kept` is a folder that keeps files whose removal is not on the disk."""

    def __init__(self, state: Path, kept: Path) -> None:
        self._state = state
        self._kept = kept
        kept.mkdir(parents=True)
        self._contents: dict[int, bytes] = {}  # by inode, as of the last fsync
        self._names: dict[str, dict[str, int]] = {}  # by folder, likewise

    def settle(self) -> None:
        """Everything that is there is on the disk."""
        shutil.rmtree(self._kept, ignore_errors=True)
        self._kept.mkdir()
        self._contents.clear()
        self._names.clear()
        for folder in self._folders():
            for path in _files(folder):
                self._sync_file(path, path.stat().st_ino)
            self._names[str(folder)] = _names(folder)

    def synced(self, descriptor: int, path: str) -> None:
        """A file or a folder was synced."""
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            folder = Path(path)
            self._names[path] = _names(folder)
            for each in _files(folder):
                self._keep(each, each.stat().st_ino)
        elif Path(path).exists():
            self._sync_file(Path(path), found.st_ino)

    def lose_power(self, random: Random) -> int:
        """Rebuild the files. Returns how many of them have changed."""
        changed = 0
        for folder in self._folders():
            now = {path.name: path for path in _files(folder)}
            names = _names(folder)
            if random.random() < 0.5:
                names = self._names.get(str(folder), {})
            new = {name: self._survivor(inode, random) for name, inode in sorted(names.items())}
            for name, path in now.items():
                if name not in new:
                    path.unlink()
                    changed += 1
            for name, data in new.items():
                path = folder / name
                if name not in now or path.read_bytes() != data:
                    path.unlink(missing_ok=True)
                    path.write_bytes(data)
                    path.chmod(0o600)
                    changed += 1
        self.settle()
        return changed

    def _survivor(self, inode: int, random: Random) -> bytes:
        """What is left of a file."""
        synced = self._contents.get(inode)
        kept = self._kept / str(inode)
        written = kept.read_bytes() if kept.exists() else self._find(inode)
        if synced == written or random.random() < 0.3:
            return written
        if synced is None or random.random() < 0.5:
            return written[: random.randint(0, len(written))]
        return synced

    def _find(self, inode: int) -> bytes:
        for folder in self._folders():
            for path in _files(folder):
                if path.stat().st_ino == inode:
                    return path.read_bytes()
        return b""

    def _folders(self) -> list[Path]:
        return [self._state, *sorted(path for path in self._state.rglob("*") if path.is_dir())]

    def _sync_file(self, path: Path, inode: int) -> None:
        if not path.name.startswith(OTHERS):
            self._contents[inode] = path.read_bytes()
            self._keep(path, inode)

    def _keep(self, path: Path, inode: int) -> None:
        """Keep the file, so that no other gets its inode."""
        kept = self._kept / str(inode)
        if not kept.exists():
            kept.hardlink_to(path)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(OTHERS):
            yield path


def _names(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in _files(folder)}
