"""The store of files in a bucket of an S3-compatible service, which all nodes of a realm use.

| object | what it is |
| --- | --- |
| `<stored>` | a stored file. Its name is as in chatd.files.folder, with random letters that make it unique |
| `incoming/<key>/…` | the pieces of a file that arrives and can be resumed (chatd.files.object_part) |
| `transfers/<id>/…` | the pieces of a file that arrives in one transfer |
| `rooms/<run>/<id>` | a file that does not outlive the daemon, such as that of a room |
| `thumbnails/<stored>` | the small version of a picture |
| `unclaimed/<stored>` | a complete file that no message carries |

No node waits for another one. What a killed node leaves in `transfers/` and `rooms/`, suspended files, and
multipart uploads that were never completed are removed after a week (`tidy`). The bucket should keep no old
versions of objects, or deleted files stay in it.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import suppress
from itertools import count, groupby, islice
from pathlib import Path
from typing import IO, Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.attachments import Attachment
from chatd.base.clocks import Wall
from chatd.base.counters import Counters
from chatd.base.thread_pools import DaemonPool, stop_pool
from chatd.files.bucket import THREADS, Bucket, ListedObject
from chatd.files.claims import PartClaims, checked, key_of_part
from chatd.files.file_names import UNCLAIMED, unique_name
from chatd.files.incoming import Incoming
from chatd.files.object_part import ObjectDigest, ObjectPart, ObjectPlace, chain_of
from chatd.files.object_reader import ObjectReader
from chatd.files.outgoing import Outgoing
from chatd.files.store import ABOUT_TO_BE_STORED, KEEP_PARTS
from chatd.files.thumbnails import is_whole
from chatd.files.verified_files import DamagedFile, Verified, VerifiedFiles

LOCAL_THREADS = 4
PAGE = 1000  # objects that are looked at at a time
MAX_REMOVED = 1000  # files of rooms that an orderly end removes
INCOMING, TRANSFERS, ROOMS, THUMBNAILS = "incoming/", "transfers/", "rooms/", "thumbnails/"

log = Logger()


class ObjectThreads:
    """The threads that wait for the service: an IFileThreads."""

    def __init__(self, reactor: Any, counters: Counters) -> None:
        self.counters = counters
        self.trouble: str | None = None
        self._reactor = reactor
        self._pool = DaemonPool(0, THREADS, name="objects")
        self.start = self._pool.start

    def stop(self) -> Deferred[None]:
        return stop_pool(self._reactor, self._pool)

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._pool, work, *args)


class ObjectStore:
    """An IFileStore in `bucket`. A file that arrives takes some MiB of the disk of `folder`, which only this
    node uses."""

    def __init__(
        self,
        reactor: Any,
        bucket: Bucket,
        folder: Path,
        counters: Counters | None = None,
        wall: Wall = time.time,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.counters = counters or Counters()
        self.folder = folder
        self._reactor = reactor
        self._bucket = bucket
        self._wall = wall
        self._random_bytes = random_bytes
        self._local = DaemonPool(0, LOCAL_THREADS, name="uploads")
        self._remote = ObjectThreads(reactor, self.counters)
        self._verified = VerifiedFiles(self._remote, self._open_intact)
        self._claims = PartClaims()
        self._counter = count(1)
        self._room = f"{ROOMS}{self._random_name()}/"  # of this run

    @property
    def where(self) -> str:
        """The address of the objects, for people."""
        return self._bucket.where

    @property
    def trouble(self) -> str | None:
        return self._remote.trouble

    @trouble.setter
    def trouble(self, trouble: str | None) -> None:
        self._remote.trouble = trouble

    @property
    def is_shared(self) -> bool:
        return True

    def start(self) -> None:
        """Begin to work. Whether the bucket can be used shows in the log, and at the health page."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if path.is_file():
                path.unlink()
        self._local.start()
        self._remote.start()
        self.probe().addErrback(self._not_usable)

    def _not_usable(self, failure: Failure) -> None:
        self.trouble = str(failure.value)
        log.error("files can't be stored in {where}: {error}", where=self.where, error=self.trouble)

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        with suppress(OSError):
            await self._remote.in_thread(self._remove_rooms)
        await self._remote.stop()
        await stop_pool(self._reactor, self._local)

    def _remove_rooms(self) -> None:
        """Remove files of rooms that this run has left, but not so many that the end takes long."""
        found = islice(self._bucket.list(self._room), MAX_REMOVED)
        self._remove_all(each.key for each in found)

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._local, work, *args)

    # Files that arrive

    def receive(self, name: str, size: int) -> Incoming:
        place = self._place(f"{TRANSFERS}{self._random_name()}/", self._new_name)
        return Incoming(self._remote, ObjectPart(place, name, size))

    def receive_temporary(self, name: str, size: int) -> Incoming:
        stored = self._room + self._random_name()
        place = self._place(f"{TRANSFERS}{self._random_name()}/", lambda _name, _at: stored)
        return Incoming(self._remote, ObjectPart(place, name, size))

    def _place(self, place: str, name_of: Callable[[str, int | None], str]) -> ObjectPlace:
        writer = self._random_name()
        return ObjectPlace(self._bucket, place, writer, self.open_nameless, name_of)

    def _random_name(self) -> str:
        return self._random_bytes(8).hex()

    def _new_name(self, name: str, sent_at: int | None) -> str:
        """The name of a new stored file."""
        at = int(self._wall() * 1000) if sent_at is None else sent_at
        return unique_name(name, at, self._random_bytes(6).hex())

    def resume(self, key: str, name: str, size: int) -> Deferred[Incoming]:
        def part(digest: object) -> ObjectPart:
            return self._part(key, name, size, digest)

        return Deferred.fromCoroutine(self._claims.resume(checked(key), self._remote, part))

    def forget(self, key: str) -> Deferred[None]:
        def part() -> ObjectPart:
            return self._part(key, key, 0)

        return Deferred.fromCoroutine(self._claims.forget(checked(key), self._remote, part))

    def _part(self, key: str, name: str, size: int, digest: object = None) -> ObjectPart:
        place = self._place(_place_of(key), self._new_name)
        known = digest if isinstance(digest, ObjectDigest) else None
        return ObjectPart(place, name, size, resumable=True, digest=known)

    def suspended(self, prefix: str) -> Deferred[dict[str, int]]:
        return self._remote.in_thread(self._find_parts, prefix, self.claimed(prefix))

    def _find_parts(self, prefix: str, but: Collection[str]) -> dict[str, int]:
        """In a thread: sizes by key, the oldest first."""
        places: dict[str, list[Any]] = {}
        for each in self._bucket.list(INCOMING + prefix):
            key = each.key.removeprefix(INCOMING).partition("/")[0]
            places.setdefault(key, []).append(each)
        found = []
        for key, pieces in places.items():
            chain = chain_of(pieces)
            if key not in but and chain:
                found.append((max(each.modified for each in pieces), key, chain[-1].end))
        return {key: size for _, key, size in sorted(found)}

    def claimed(self, prefix: str) -> set[str]:
        return self._claims.claimed(prefix)

    # Stored files

    def open(self, attachment: Attachment) -> Deferred[Outgoing]:
        return self._verified.open(attachment)

    def read_piece(self, attachment: Attachment, offset: int, size: int) -> Deferred[bytes]:
        return self._verified.read_piece(attachment, offset, size)

    async def is_whole(self, attachment: Attachment) -> bool:
        return await self._verified.is_whole(attachment)

    def _open_intact(
        self, attachment: Attachment, verified: Verified | None
    ) -> tuple[ObjectReader, Hashable]:
        """An OpenIntact."""
        state = self._bucket.head(attachment.stored)
        if verified is not None and verified[0] == state:
            intact = verified[1]
        else:
            intact = state.size == attachment.size and attachment.sha256 == self._hash(
                attachment.stored, state.size, state.etag
            )
        if not intact:
            raise DamagedFile(state)
        return ObjectReader(self._bucket, attachment.stored, state), state

    def _hash(self, stored: str, size: int, etag: str) -> str:
        digest = hashlib.sha256()
        for data in self._bucket.blocks(stored, size, etag):
            digest.update(data)
        return digest.hexdigest()

    def open_stored(self, stored: str) -> Deferred[IO[bytes]]:
        """As IFileStore.open_stored: a copy on this node's disk."""
        return self._remote.in_thread(self._download, stored)

    def _download(self, stored: str) -> IO[bytes]:
        state = self._bucket.head(stored)
        file = self.open_nameless()
        try:
            for data in self._bucket.blocks(stored, state.size, state.etag):
                file.write(data)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def open_nameless(self) -> IO[bytes]:
        path = self.folder / f"{os.getpid()}-{next(self._counter)}"
        file = path.open("x+b")
        path.unlink()
        return file

    def thumbnail(self, stored: str) -> Deferred[bytes | None]:
        return self._remote.in_thread(self._read_thumbnail, stored)

    def _read_thumbnail(self, stored: str) -> bytes | None:
        key = THUMBNAILS + stored
        try:
            state = self._bucket.head(key)
            body = self._bucket.get(key, 0, state.size, state.etag)
        except OSError:
            return None
        return body if is_whole(body) else None

    def keep_thumbnail(self, stored: str, body: bytes) -> Deferred[None]:
        return self._remote.in_thread(self._keep_thumbnail, stored, body)

    def _keep_thumbnail(self, stored: str, body: bytes) -> None:
        self._bucket.put(THUMBNAILS + stored, io.BytesIO(body))
        try:
            self._bucket.head(stored)
        except FileNotFoundError:
            self._bucket.delete(THUMBNAILS + stored)

    # Removing

    def remove(self, stored: str) -> Deferred[None]:
        return self._remote.in_thread(self._bucket.delete, stored)

    def erase(self, stored: Collection[str]) -> Deferred[None]:
        for name in stored:
            if (key := key_of_part(name)) is not None:
                self._claims.abort(key)
        return self._remote.in_thread(self._erase, stored)

    def _erase(self, stored: Collection[str]) -> None:
        for name in stored:
            if (key := key_of_part(name)) is not None:
                self._remove_all(each.key for each in self._bucket.list(_place_of(key)))
            else:
                self._remove_all((name, THUMBNAILS + name))

    def _remove_all(self, keys: Any) -> None:
        for key in keys:
            self._bucket.delete(key)

    # Whether files can be stored

    def probe(self) -> Deferred[None]:
        return self._remote.in_thread(self._probe).addCallback(self._probed)

    def _probe(self) -> None:
        key = f"{TRANSFERS}{self._random_name()}/probe"
        self._bucket.put(key, io.BytesIO(b"chatd"))
        self._bucket.delete(key)

    def _probed(self, _result: None) -> None:
        self.trouble = None

    # In the background (chatd.service.object_sweep)

    def stored_names(self, after: str) -> Deferred[tuple[list[str], str | None]]:
        """The next names of stored files, without those that may belong to a message that a node is about to
        store, and where the next page begins; None: this is the last one. Fails with OSError."""
        return self._remote.in_thread(self._page, "", after)

    def thumbnail_names(self, after: str) -> Deferred[tuple[list[str], str | None]]:
        """As `stored_names`, the names of the files that have thumbnails."""
        return self._remote.in_thread(self._page, THUMBNAILS, after)

    def _page(self, beginning: str, after: str) -> tuple[list[str], str | None]:
        oldest = self._wall() - ABOUT_TO_BE_STORED
        after = beginning + after if after else ""
        listed = list(islice(self._bucket.list(beginning, after=after, nested=False), PAGE))
        names = [
            each.key.removeprefix(beginning)
            for each in listed
            if each.modified < oldest and each.key != beginning
        ]
        more = listed[-1].key.removeprefix(beginning) if len(listed) == PAGE else None
        return names, more

    def set_aside(self, stored: Sequence[str]) -> Deferred[None]:
        """Move files that no message carries to `unclaimed/`; empty ones are removed. Fails with OSError."""
        return self._remote.in_thread(self._set_aside, stored)

    def _set_aside(self, stored: Sequence[str]) -> None:
        for name in stored:
            with suppress(FileNotFoundError):  # another node was faster
                if self._bucket.head(name).size:
                    self._bucket.move(name, f"{UNCLAIMED}/{name}")
                else:
                    self._bucket.delete(name)
            self._bucket.delete(THUMBNAILS + name)

    def drop_thumbnails(self, stored: Sequence[str]) -> Deferred[None]:
        """Remove the thumbnails of files that are gone. Fails with OSError."""
        return self._remote.in_thread(self._remove_all, [THUMBNAILS + name for name in stored])

    def tidy(self) -> Deferred[None]:
        """Remove what was left, and nothing was added to for a week: suspended files, interrupted transfers,
        files of rooms, and multipart uploads. Fails with OSError."""
        return self._remote.in_thread(self._tidy)

    def _tidy(self) -> None:
        oldest = self._wall() - KEEP_PARTS
        for beginning in (INCOMING, TRANSFERS):
            for _, group in groupby(self._bucket.list(beginning), _folder_of):
                pieces = list(group)
                if max(each.modified for each in pieces) < oldest:
                    self._remove_all(each.key for each in pieces)
        self._remove_all(each.key for each in self._bucket.list(ROOMS) if each.modified < oldest)
        if aborted := self._bucket.abort_uploads(oldest):
            log.info(
                "{count} multipart uploads that were never completed are aborted", count=aborted
            )


def _folder_of(piece: ListedObject) -> str:
    return piece.key.rpartition("/")[0]


def _place_of(key: str) -> str:
    return f"{INCOMING}{key}/"
