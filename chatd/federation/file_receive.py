"""Receives files from other realms, in chunks, before the messages that carry them.

Each file belongs to a parcel that describes it. When the link or this realm goes down, the part that has
arrived is kept, and the transfer is resumed.
"""

from __future__ import annotations

import re
from hashlib import sha256

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.config import Config
from chatd.base.errors import FileTooLarge, QuotaExceeded, StorageFailed
from chatd.base.model import Attachment, StoredFile
from chatd.federation.parcel_fields import FileNote
from chatd.files.disk_space import DiskSpace
from chatd.files.file_names import safe_name
from chatd.files.folder import Uploads
from chatd.files.incoming import Incoming
from chatd.files.partial_file import ChangedBytes
from chatd.store import files as store
from chatd.store.database import Database
from chatd.store.files import Owner

MAX_ARRIVING = 8  # files of one realm at a time
MAX_PARTS = 32  # incomplete files of one realm that are kept

log = Logger()


class FileIncomplete(Exception):
    """The file has to be sent first, or again."""


class Offer(msgspec.Struct, frozen=True):
    """A file that was announced and is being prepared for."""

    note: FileNote
    owner: Owner


class Arrival(msgspec.Struct):
    """A file that is arriving."""

    note: FileNote
    owner: Owner
    incoming: Incoming


class FileReceiver:
    """The files that are arriving, by realm and parcel number. `offer` each, `take` its bytes, then
    `finish`."""

    def __init__(
        self, config: Config, database: Database, uploads: Uploads, disk: DiskSpace
    ) -> None:
        self._disk = disk
        self._limits = config.limits
        self._realm_quota = config.peers.files
        self.quota = config.limits.account_files  # bytes of one sender's files
        self._database = database
        self._uploads = uploads
        self._arriving: dict[tuple[str, int], Arrival] = {}
        # The newest offer of each file that is being prepared for
        self._opening: dict[tuple[str, int], Offer] = {}

    async def offer(self, realm: str, number: int, note: FileNote, owner: Owner) -> int:
        """Prepare for a file. Returns the offset to send it from.

        Raises BadFileName, FileTooLarge, QuotaExceeded, StorageFailed; FileIncomplete if it was dropped
        meanwhile.
        """
        name = safe_name(note.name)
        if note.size > self._limits.file:
            raise FileTooLarge(size=note.size, limit=self._limits.file)
        if await self.known(note, owner) is not None:
            return note.size
        await self.drop(realm, number)
        # During the waits below the link may go down and another offer may arrive.
        offer = self._opening[realm, number] = Offer(note, owner)
        try:
            await self._check_room(realm, number, note, owner)
            await self._drop_oldest_parts(realm, number, note.size)
            incoming = await self._uploads.resume(_key(realm, number), name, note.size)
            if self._opening.get((realm, number)) is not offer:
                await incoming.suspend()
                raise FileIncomplete
            self._arriving[realm, number] = Arrival(note, owner, incoming)
        except OSError:
            raise StorageFailed from None
        finally:
            if self._opening.get((realm, number)) is offer:
                del self._opening[realm, number]
        return incoming.offset

    async def _check_room(self, realm: str, number: int, note: FileNote, owner: Owner) -> None:
        """Check that there is room for a file. Files that are arriving, were offered earlier or can be
        resumed count as if they were stored. Raises QuotaExceeded, StorageFailed."""
        waiting = self._waiting(realm, number)
        if len(waiting) >= MAX_ARRIVING:
            raise StorageFailed
        used, by_realm = await self._database.read(_used, owner, realm)
        counted = {_key(realm, number), *(_key(realm, each) for each in waiting)}
        by_realm += await self._uploads.kept(_keys(realm), counted)
        for other in waiting.values():
            by_realm += other.note.size
            used += other.note.size if other.owner == owner else 0
        for limit, taken in ((self.quota, used), (self._realm_quota, by_realm)):
            if note.size > limit - taken:
                raise QuotaExceeded(limit=limit, left=max(0, limit - taken))
        arriving = sum(arrival.note.size for arrival in self._arriving.values())
        if self._disk.room() < note.size + arriving:
            raise StorageFailed

    def _waiting(self, realm: str, number: int) -> dict[int, Offer | Arrival]:
        """The files of a realm that have room reserved: those that are arriving, and earlier offers than this
        one."""
        found: dict[int, Offer | Arrival] = {}
        for (origin, other), offer in self._opening.items():
            if (origin, other) == (realm, number):
                break
            if origin == realm:
                found[other] = offer
        for (origin, other), arrival in self._arriving.items():
            if origin == realm and other != number:
                found[other] = arrival
        return found

    async def _drop_oldest_parts(self, realm: str, number: int, size: int) -> None:
        """Limit the parts of a realm to MAX_PARTS, and to the bytes of MAX_ARRIVING files, by removing the
        oldest ones that are not arriving."""
        parts = await self._uploads.suspended(_keys(realm))
        parts.pop(_key(realm, number), None)
        count, taken = len(parts), sum(parts.values())
        for key, part in parts.items():
            if count < MAX_PARTS and taken + size <= MAX_ARRIVING * self._limits.file:
                return
            await self._uploads.forget(key)
            count, taken = count - 1, taken - part

    async def known(self, note: FileNote, owner: Owner) -> Attachment | None:
        """The stored, undamaged file with that name and content from the same sender, or None. Raises
        BadFileName."""
        found = await self._database.read(
            store.same_file, owner, safe_name(note.name), note.sha256, note.size
        )
        if found is not None and await self._uploads.is_whole(found):
            return found
        return None

    async def take(self, realm: str, number: int, offset: int, data: bytes) -> None:
        """Take the next bytes. Returns when there is room for more. Raises StorageFailed, and FileIncomplete
        if `offset` is not the end of what has arrived."""
        arrival = self._arriving.get((realm, number))
        if arrival is None:
            raise FileIncomplete
        incoming = arrival.incoming
        if incoming.error is not None:
            raise StorageFailed
        if offset != arrival.note.size - incoming.missing or len(data) > incoming.missing:
            raise FileIncomplete
        if not incoming.write(data):
            await incoming.room()

    async def finish(self, realm: str, number: int, sent_at: int | None = None) -> StoredFile:
        """Store the complete file, which was sent at `sent_at`. Raises FileIncomplete, StorageFailed."""
        arrival = self._arriving.get((realm, number))
        if arrival is None or arrival.incoming.missing:
            raise FileIncomplete
        del self._arriving[realm, number]
        try:
            return await arrival.incoming.finish(arrival.note.sha256, sent_at)
        except ChangedBytes:
            raise FileIncomplete from None
        except OSError:
            raise StorageFailed from None

    async def discard(self, stored: StoredFile) -> None:
        """Remove a file that `finish` returned and no message carries."""
        await self._uploads.remove(stored.stored)

    async def drop(self, realm: str, number: int) -> None:
        """Suspend a file and keep its part, because the link is gone or the sender starts again."""
        self._opening.pop((realm, number), None)
        arrival = self._arriving.pop((realm, number), None)
        if arrival is not None:
            await arrival.incoming.suspend()

    async def forget(self, realm: str, number: int) -> None:
        """Remove the part of a file, because its message is stored or refused."""
        await self.drop(realm, number)
        await self._uploads.forget(_key(realm, number))

    async def forget_all(self, realm: str) -> None:
        """Remove the parts of all files of a realm."""
        await self.drop_all(realm)
        for key in await self._uploads.suspended(_keys(realm)):
            await self._uploads.forget(key)

    async def drop_all(self, realm: str | None = None) -> None:
        """As `drop`, for all files of a realm, or of all realms."""
        for origin, number in [*self._opening, *self._arriving]:
            if realm in (origin, None):
                try:
                    await self.drop(origin, number)
                except Exception:
                    log.failure("the part of a file from another realm was not kept")


def _used(connection: Connection, owner: Owner, realm: str) -> tuple[int, int]:
    return store.used_bytes(connection, owner), store.used_by_realm(connection, realm)


def _key(realm: str, number: int) -> str:
    """The key under which the part of a file is kept (`Uploads.resume`)."""
    return f"{_owner(realm)}.{number}"


def _keys(realm: str) -> re.Pattern[str]:
    """All keys of a realm's files."""
    return re.compile(rf"{re.escape(_owner(realm))}\.-?[0-9]+")


def _owner(realm: str) -> str:
    """The prefix of the names of a realm's parts: unique to the realm, and of the same length for all."""
    return f"realm-{sha256(realm.encode()).hexdigest()[:32]}"
