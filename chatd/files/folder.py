"""The folder of stored files. All access to the disk happens in its own threads.

A stored file is `YYYY_MM_DD_HH_MM_SS_<safe name>` (UTC, when it was sent). If that name is taken, it has the
next second that is free, or a number before its ending. Files of older releases keep their names.

`thumbnails/` has small versions of pictures (chatd.files.thumbnails).

`incoming/` has the files that are still arriving. The next start removes them, except resumable ones
(`<key>.part`), which come from other realms and over HTTP. `rooms/` has files that do not outlive the daemon,
such as those of rooms; the next start removes those that a killed one left.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Hashable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO, Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from chatd.base.attachments import Attachment
from chatd.base.clocks import Wall
from chatd.base.counters import Counters
from chatd.base.private_files import sync_folder
from chatd.base.thread_pools import DaemonPool, stop_pool
from chatd.files.claims import PartClaims, checked, key_of_part
from chatd.files.file_names import UNCLAIMED, free_path, from_disk, stored_names, stored_path
from chatd.files.incoming import Incoming
from chatd.files.outgoing import Outgoing
from chatd.files.partial_file import FileInPlace, PartialFile, state_of
from chatd.files.store import KEEP_PARTS
from chatd.files.thumbnails import ThumbnailFolder
from chatd.files.verified_files import DamagedFile, Verified, VerifiedFiles

THREADS = 4
OWNER = "~"  # between the key of a part and its node in a shared folder; keys do not have it
PROBE = 64 << 10  # bytes that are written to test whether files can be stored


class Uploads:
    """An IFileStore in a folder of this node. Threads report to `reactor`; `wall` dates the files. Call
    `erase_now` and `clean` at the start of a realm."""

    def __init__(
        self, reactor: Any, folder: Path, counters: Counters | None = None, wall: Wall = time.time
    ) -> None:
        self.counters = counters or Counters()
        self.trouble: str | None = None
        self.folder = folder
        self._reactor = reactor
        self._wall = wall
        self._incoming = folder / "incoming"
        self._rooms = folder / "rooms"
        self.thumbnails = ThumbnailFolder(folder / "thumbnails", self._exists)
        self._pool = DaemonPool(0, THREADS, name="uploads")
        self._counter = count(1)
        self._verified = VerifiedFiles(self, self._open_intact)
        self._claims = PartClaims()

    @property
    def is_shared(self) -> bool:
        return False

    def start(self) -> None:
        for folder in (self.folder, self._incoming, self._rooms):
            folder.mkdir(mode=0o700, exist_ok=True)
        for path in self._rooms.iterdir():
            if path.is_file():
                path.unlink()
        self.thumbnails.start()
        self._pool.start()

    def stop(self) -> Deferred[None]:
        return stop_pool(self._reactor, self._pool)

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._pool, work, *args)

    # The start

    def clean(self, known: Collection[str], keep_parts: float = KEEP_PARTS) -> int:
        """Remove interrupted uploads, and move files that are not `known` to `unclaimed/`. Returns how many
        were moved. Call it at the start only, before any upload.

        Resumable parts that were written to in the last `keep_parts` seconds stay. An unknown file is
        complete: a crash came before its message was stored, or an older database was restored. If it is
        empty, it is removed: it is the name of a file that a crash kept from getting it, or of an empty one.
        """
        self._clean_incoming(self._wall() - keep_parts)
        known = set(known)
        self.thumbnails.clean(known)
        unclaimed = [
            path
            for path in self.folder.iterdir()
            if path.name not in known and from_disk(path.name) not in known and self._is_left(path)
        ]
        aside = self.folder / UNCLAIMED
        moved = 0
        for path in unclaimed:
            with suppress(FileNotFoundError):  # another node has moved it
                if not path.stat().st_size:
                    path.unlink()
                    continue
                aside.mkdir(mode=0o700, exist_ok=True)
                path.replace(free_path(aside / path.name))
                moved += 1
        return moved

    def _clean_incoming(self, oldest: float) -> None:
        """Remove interrupted uploads, but not those that can be resumed and were written to after
        `oldest`."""
        for path in self._incoming.iterdir():
            if path.is_file() and (path.suffix != ".part" or path.stat().st_mtime < oldest):
                path.unlink()

    def _is_left(self, path: Path) -> bool:
        """Whether an unknown file in the folder was left by an earlier run."""
        return path.is_file()

    # Removing

    def erase(self, stored: Collection[str]) -> Deferred[None]:
        for name in stored:
            if (key := key_of_part(name)) is not None:
                self._claims.abort(key)
        return self.in_thread(self.erase_now, stored)

    def erase_now(self, stored: Collection[str]) -> None:
        """As `erase`, in this thread."""
        for name in stored:
            self._remove(name)
            self.thumbnails.remove(Path(name).name)  # of a part of a file it has no folder
        if stored:
            sync_folder(self.folder)

    def remove(self, stored: str) -> Deferred[None]:
        return self.in_thread(self._remove, stored)

    def _remove(self, stored: str) -> None:
        """Remove a file, or the part of a file that arrives."""
        self._path(stored).unlink(missing_ok=True)

    # Files that arrive

    def receive(self, name: str, size: int) -> Incoming:
        return Incoming(self, PartialFile(self._new_path(), name, size, self.keep))

    def receive_temporary(self, name: str, size: int) -> Incoming:
        """As IFileStore.receive_temporary. Its name on disk is a number."""
        return Incoming(self, FileInPlace(self._temporary(), name, size, self._name_of))

    def open_nameless(self) -> IO[bytes]:
        path = self._temporary()
        file = path.open("x+b")
        path.unlink()
        return file

    def _new_path(self) -> Path:
        """The path of a file that arrives in one transfer."""
        return self._incoming / f"{os.getpid()}-{next(self._counter)}"

    def _temporary(self) -> Path:
        """The path of a new file that does not outlive the daemon."""
        return self._rooms / f"{os.getpid()}-{next(self._counter)}"

    def _name_of(self, path: Path, _name: str, _sent_at: int | None) -> str:
        """The name in the folder of a file that stays at its path."""
        return path.relative_to(self.folder).as_posix()

    def resume(self, key: str, name: str, size: int) -> Deferred[Incoming]:
        def part(digest: object) -> PartialFile:
            return self._part(key, name, size, digest)

        return Deferred.fromCoroutine(self._claims.resume(checked(key), self, part))

    def forget(self, key: str) -> Deferred[None]:
        def part() -> PartialFile:
            return self._forgotten(key)

        return Deferred.fromCoroutine(self._claims.forget(checked(key), self, part))

    def _part(self, key: str, name: str, size: int, digest: Any = None) -> PartialFile:
        path = self._incoming / f"{key}.part"
        return PartialFile(path, name, size, self.keep, resumable=True, digest=digest)

    def _forgotten(self, key: str) -> PartialFile:
        """A part to discard, with all that has arrived under its key."""
        return self._part(key, key, 0)

    def suspended(self, prefix: str) -> Deferred[dict[str, int]]:
        return self.in_thread(self._find_parts, prefix, self.claimed(prefix))

    def _find_parts(self, prefix: str, but: Collection[str]) -> dict[str, int]:
        """In a thread: sizes by key, the oldest first."""
        found = []
        for part in self._incoming.glob(f"{prefix}*.part"):
            key = part.stem.partition(OWNER)[0]
            if key not in but:
                with suppress(FileNotFoundError):  # it has just been finished or removed
                    is_now = part.stat()
                    found.append((is_now.st_mtime_ns, is_now.st_size, key))
        sizes: dict[str, int] = {}
        for _, size, key in sorted(found):
            sizes[key] = max(size, sizes.pop(key, 0))
        return sizes

    def claimed(self, prefix: str) -> set[str]:
        return self._claims.claimed(prefix)

    def keep(self, temporary: Path, name: str, sent_at: int | None) -> str:
        """In a thread: give a complete file its final name, and sync the folder. Returns the name.

        `sent_at` (ms since 1970 UTC) is when it was sent; None means now.
        """
        for stored in stored_names(name, self._now() if sent_at is None else sent_at):
            target = self._path(stored)
            try:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                continue
            try:
                temporary.replace(target)
                sync_folder(self.folder)
            except OSError:
                with suppress(OSError):
                    target.unlink()
                raise
            return stored
        raise AssertionError("there is always another number")

    def _now(self) -> int:
        """The time in ms since 1970 UTC."""
        return int(self._wall() * 1000)

    # Stored files

    def open(self, attachment: Attachment) -> Deferred[Outgoing]:
        return self._verified.open(attachment)

    def read_piece(self, attachment: Attachment, offset: int, size: int) -> Deferred[bytes]:
        return self._verified.read_piece(attachment, offset, size)

    async def is_whole(self, attachment: Attachment) -> bool:
        return await self._verified.is_whole(attachment)

    def _open_intact(
        self, attachment: Attachment, verified: Verified | None
    ) -> tuple[IO[bytes], Hashable]:
        """An OpenIntact."""
        file = self._path(attachment.stored).open("rb")
        try:
            state = state_of(file.fileno())
            if verified is not None and verified[0] == state:
                intact = verified[1]
            else:
                intact = (
                    state[1] == attachment.size
                    and hashlib.file_digest(file, "sha256").hexdigest() == attachment.sha256
                )
                file.seek(0)
            if not intact:
                raise DamagedFile(state)
        except BaseException:
            file.close()
            raise
        return file, state

    def open_stored(self, stored: str) -> Deferred[IO[bytes]]:
        return self.in_thread(self._path(stored).open, "rb")

    def thumbnail(self, stored: str) -> Deferred[bytes | None]:
        return self.in_thread(self.thumbnails.read, stored)

    def keep_thumbnail(self, stored: str, body: bytes) -> Deferred[None]:
        return self.in_thread(self.thumbnails.write, stored, body)

    def _exists(self, stored: str) -> bool:
        return self._path(stored).exists()

    def _path(self, stored: str) -> Path:
        return stored_path(self.folder, stored)

    # Whether files can be stored

    def probe(self) -> Deferred[None]:
        return self.in_thread(self._probe).addCallback(self._probed)

    def _probe(self) -> None:
        path = self._new_path()
        try:
            with path.open("wb") as file:
                file.write(bytes(PROBE))
                file.flush()
                os.fsync(file.fileno())
        finally:
            path.unlink(missing_ok=True)

    def _probed(self, _result: None) -> None:
        self.trouble = None
