"""A folder of stored files that several nodes of a realm share.

It is as in chatd.files.folder, except for what belongs to one node:

`incoming/` has the files that can be resumed, `<key>~<node>.part`: each node writes its own. A node that
resumes one copies what another node has received, and removes the other's part. So no node waits for another
one, and no two nodes write to one file. A node whose part is gone can't complete it.

`nodes/<node>/` has the other files of a node: those that arrive in one transfer, those of rooms, and probes.
`lock` in it is locked while the node runs. The start of any node removes the folders of those that do not.

At its start a node leaves alone what was written to in the last hour: it may belong to a message that another
node is about to store.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from chatd.base.attachments import StoredFile
from chatd.base.clocks import Wall
from chatd.base.counters import Counters
from chatd.files.claims import key_of_part
from chatd.files.file_names import from_disk
from chatd.files.folder import OWNER, Uploads
from chatd.files.partial_file import PartialFile, PartTakenOver
from chatd.files.store import ABOUT_TO_BE_STORED
from chatd.files.thumbnails import ThumbnailFolder

LOCK = "lock"


class SharedPart(PartialFile):
    """A part that this node writes. `others` finds those of the same key that other nodes have written."""

    def __init__(
        self,
        path: Path,
        name: str,
        size: int,
        keep: Callable[[Path, str, int | None], str],
        others: Callable[[], Iterator[Path]],
        digest: Any,
    ) -> None:
        super().__init__(path, name, size, keep, resumable=True, digest=digest)
        self._others = others

    def read_back(self) -> tuple[int, bool]:
        if self._file is None:
            self._take_over()
        return super().read_back()

    def _take_over(self) -> None:
        """Copy the bytes that another node has received, if it has more of them, and remove its part. A part
        with more than `size` bytes is another file."""
        others = {path: size for path in self._others() if (size := _size_of(path)) is not None}
        here = _size_of(self.path) or 0
        longer = [path for path, size in others.items() if here < size <= self.size]
        if longer:
            with suppress(FileNotFoundError):  # it was completed or removed meanwhile
                self._copy_from(max(longer, key=lambda path: others[path]))
        for path in others:
            path.unlink(missing_ok=True)

    def _copy_from(self, other: Path) -> None:
        with other.open("rb") as source:
            self.path.unlink(missing_ok=True)
            with open(self.path, "xb", opener=_private) as target:
                shutil.copyfileobj(source, target, 1 << 20)

    def complete(self, chunks: Any) -> StoredFile:
        try:
            stored = super().complete(chunks)
        except FileNotFoundError:
            raise PartTakenOver(f"another node continues the upload of {self.name!r}") from None
        for path in self._others():
            path.unlink(missing_ok=True)
        return stored


class ForgottenPart(PartialFile):
    """A part to discard, with those of all nodes that `parts` finds."""

    def __init__(self, path: Path, parts: Callable[[], Iterator[Path]]) -> None:
        super().__init__(path, path.name, 0, _keep_nothing, resumable=True)
        self._parts = parts

    def discard(self) -> None:
        for part in self._parts():
            part.unlink(missing_ok=True)


def _keep_nothing(path: Path, _name: str, _sent_at: int | None) -> str:
    raise AssertionError(f"{path} is to be discarded")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


class SharedFolder(Uploads):
    """An IFileStore in a folder that several nodes share. `random_bytes` names this one."""

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        counters: Counters | None = None,
        wall: Wall = time.time,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        super().__init__(reactor, folder, counters, wall)
        self._random_bytes = random_bytes
        self._nodes = folder / "nodes"
        self._own = self._nodes
        self._lock: int | None = None
        self.thumbnails = ThumbnailFolder(
            folder / "thumbnails", self._exists, self._is_left, random_bytes(8).hex()
        )

    @property
    def is_shared(self) -> bool:
        return True

    def start(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self._incoming, self._nodes):
            folder.mkdir(mode=0o700, exist_ok=True)
        while self._lock is None:
            self._join()
        for other in self._nodes.iterdir():
            if other != self._own:
                _remove_left(other)
        self.thumbnails.start()
        self._pool.start()

    def stop(self) -> Deferred[None]:
        return self.in_thread(self._leave).addBoth(lambda _: super(SharedFolder, self).stop())

    def _join(self) -> None:
        """Make the folder of this node, and lock it, unless another node has removed it meanwhile."""
        own = self._nodes / self._random_bytes(8).hex()
        own.mkdir(mode=0o700)
        with suppress(FileNotFoundError):
            lock = os.open(own / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            if _locked(lock, own / LOCK):
                self._own, self._lock = own, lock

    def _leave(self) -> None:
        """Remove the folder of this node."""
        lock, self._lock = self._lock, None
        shutil.rmtree(self._own, ignore_errors=True)
        if lock is not None:
            os.close(lock)

    # The start

    def _clean_incoming(self, oldest: float) -> None:
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):
                resumable = path.suffix == ".part"
                if path.stat().st_mtime < oldest if resumable else self._is_left(path):
                    path.unlink()

    def has_any(self, known: Collection[str]) -> bool:
        """Whether at least one of these files is in the folder."""
        return any(
            path.name in known or from_disk(path.name) in known for path in self.folder.iterdir()
        )

    def _is_left(self, path: Path) -> bool:
        """Whether an unknown file is too old to belong to a message that a node is about to store."""
        try:
            changed = path.stat().st_mtime
        except FileNotFoundError:  # another node has removed it
            return False
        return path.is_file() and changed < self._wall() - ABOUT_TO_BE_STORED

    # Files that arrive

    def _new_path(self) -> Path:
        return self._own / f"{next(self._counter)}"

    _temporary = _new_path

    def _part(self, key: str, name: str, size: int, digest: Any = None) -> SharedPart:
        path = self._incoming / f"{key}{OWNER}{self._own.name}.part"

        def others() -> Iterator[Path]:
            return (each for each in self._parts(key) if each != path)

        return SharedPart(path, name, size, self.keep, others, digest)

    def _parts(self, key: str) -> Iterator[Path]:
        """The parts of all nodes, and the one that was there before the folder was shared."""
        yield self._incoming / f"{key}.part"
        yield from self._incoming.glob(f"{key}{OWNER}*.part")

    def _forgotten(self, key: str) -> PartialFile:
        return ForgottenPart(self._incoming / f"{key}.part", partial(self._parts, key))

    def _remove_parts(self, key: str) -> None:
        for part in self._parts(key):
            part.unlink(missing_ok=True)

    def _remove(self, stored: str) -> None:
        key = key_of_part(stored)
        if key is None:
            super()._remove(stored)
        else:
            self._remove_parts(key)

    def keep(self, temporary: Path, name: str, sent_at: int | None) -> str:
        # All of its bytes may have come long ago, and it is not known before its message is stored.
        os.utime(temporary)
        return super().keep(temporary, name, sent_at)


def _locked(lock: int, path: Path) -> bool:
    """Lock an open file. Returns False, and closes it, if another process has locked or removed it. Raises
    OSError if the file system has no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), path.stat()):
            return True
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(lock)
        raise
    os.close(lock)
    return False


def _remove_left(node: Path) -> None:
    """Remove the folder of a node, unless it runs."""
    try:
        lock = os.open(node / LOCK, os.O_RDWR)
    except FileNotFoundError:
        with suppress(OSError):  # a node that is starting has put its lock there
            node.rmdir()
        return
    if _locked(lock, node / LOCK):
        shutil.rmtree(node, ignore_errors=True)
        os.close(lock)
