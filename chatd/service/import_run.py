"""One import, from the first message of an archive to the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import DeferredLock
from twisted.internet.task import deferLater

from chatd.base.account_archive import ArchivedConversation, ArchivedFile, ArchivedMessage
from chatd.base.errors import StorageFailed
from chatd.base.model import Account, FormerHome
from chatd.files.archive_reader import ArchiveReader
from chatd.files.store import IFileStore
from chatd.service.codes import CODE_TRIES, new_code
from chatd.service.context import Context
from chatd.service.import_files import ImportFiles
from chatd.service.import_profile import ProfileImport, groups_in
from chatd.service.import_reading import NOT_IN_ARCHIVE, ImportReader
from chatd.service.quotas import LEAST, MessageQuotas, cost
from chatd.service.remote import ISignedEntries
from chatd.store.files import Owner, used_bytes
from chatd.store.groups import group_at, homes_of
from chatd.store.import_places import ImportPlace, ImportSource, open_place
from chatd.store.imported_messages import (
    ImportFile,
    ImportItem,
    ImportJobs,
    known_keys,
    seen_of_group,
)
from chatd.store.imports import AccountImport, ImportProgress, is_running, keep_progress
from chatd.store.jobs import CodeTaken
from chatd.store.preferences import prefer

MAX_AT_ONCE = 16  # signed messages that are checked before other work gets its turn


class OpenedConversation(NamedTuple):
    """A conversation of an archive, and the place of its messages here, if they have one. `homes` are those
    that a group has had, and `group` its conversation here, if this realm knows it."""

    head: ArchivedConversation
    place: ImportPlace | None
    homes: Sequence[FormerHome]
    group: int | None


class ImportStopped(Exception):
    """The import was cancelled, or the daemon stops."""


@dataclass(frozen=True)
class ImportTools:
    """What all imports share. They take turns, a piece at a time. `tell` tells the account how far its import
    has come."""

    context: Context
    uploads: IFileStore
    quotas: MessageQuotas
    profile: ProfileImport
    files: ImportFiles
    jobs: ImportJobs
    turn: DeferredLock
    signed: Callable[[], ISignedEntries]
    tell: Callable[[ImportRun], object]


class ImportRun:
    """The import that has `begun`. Set `is_stopped` to end it after the piece under way."""

    def __init__(self, tools: ImportTools, account: Account, begun: AccountImport) -> None:
        self.account = account
        self.begun = begun
        self.progress = begun.progress
        self.is_stopped = False
        self._tools = tools
        self._database = tools.context.database

    async def run(self) -> None:
        """Import what has not been imported. Raises ImportStopped, ChatError, OSError."""
        in_thread = self._tools.uploads.in_thread
        stored = self.begun.stored
        assert stored is not None  # noqa: S101 - it is there until the import has ended
        file = await self._tools.uploads.open_stored(stored)
        try:
            reader: ArchiveReader = await in_thread(ArchiveReader, file)
            await self._read(reader)
        finally:
            await in_thread(file.close)

    async def _read(self, reader: ArchiveReader) -> None:
        in_thread, tools = self._tools.uploads.in_thread, self._tools
        profile = await in_thread(reader.profile)
        names: list[str] = await in_thread(reader.conversations)
        reading = ImportReader(tools.context, self.account, profile, tools.signed())
        if not self.progress.started:
            added = await tools.profile.take(self.account, profile, reading)
            self.progress = msgspec.structs.replace(
                self.progress,
                started=True,
                of=len(names),
                contacts=added,
                groups=groups_in(reading, profile),
            )
            await self._keep(self.progress, str(reading.old))
        tools.tell(self)
        for name in names[self.progress.conversations :]:
            await self._conversation(reader, reading, name)

    async def _conversation(self, reader: ArchiveReader, reading: ImportReader, name: str) -> None:
        """Import what is left of a conversation."""
        in_thread = self._tools.uploads.in_thread
        head: ArchivedConversation = await in_thread(reader.begin, name)
        before = self.progress.read  # by a run that was interrupted
        where = await self._open(reading, head)
        while page := await in_thread(reader.page):
            if before >= len(page):
                before -= len(page)
                continue
            await self._tools.turn.acquire()
            try:
                self._check()
                await self._page(reader, reading, where, page)
            finally:
                self._tools.turn.release()
            self._tools.tell(self)
        done = msgspec.structs.replace(
            self.progress, conversations=self.progress.conversations + 1, read=0
        )
        await self._keep(done)
        self.progress = done

    def _check(self) -> None:
        """Raises ImportStopped."""
        if self.is_stopped:
            raise ImportStopped

    def _check_stored(self, connection: Connection) -> None:
        """As `_check`, within a transaction: this import was not cancelled before it."""
        if not is_running(connection, self.account.id, self.begun.stored):
            raise ImportStopped

    async def _keep(self, progress: ImportProgress, source: str | None = None) -> None:
        """Store what has been done. Raises ImportStopped, StorageFailed."""

        def job(connection: Connection) -> None:
            self._check_stored(connection)
            keep_progress(connection, self.account.id, progress, source)

        await self._database.run(job)

    async def _open(self, reading: ImportReader, head: ArchivedConversation) -> OpenedConversation:
        """Begin with a conversation."""
        own, group = self._tools.context.realm_key, None
        if head.group is not None and head.home is not None and head.home_id is not None:
            group = await self._database.read(group_at, head.home, head.home_id, own)
        homes = reading.homes(head, () if group is None else homes_of(group, own))
        place = await self._place(head, reading.source(head, homes))
        return OpenedConversation(head, place, homes, None if group is None else group.id)

    async def _place(
        self, head: ArchivedConversation, source: ImportSource | None
    ) -> ImportPlace | None:
        """Where the messages of a conversation are here; None if they have no place."""
        if source is None:
            return None
        account, now = self.account, self._tools.context.now()

        def job(connection: Connection) -> ImportPlace:
            self._check_stored(connection)
            place, is_new = open_place(connection, account, source, now)
            chosen: dict[str, object] = {}
            if head.notify in ("mentions", "none"):
                chosen["notify"] = head.notify
            if head.archived:
                chosen["archived"] = True
            if is_new and chosen:
                prefer(connection, account.id, place.conversation, chosen)
            return place

        return await self._database.run(job)

    async def _page(
        self,
        reader: ArchiveReader,
        reading: ImportReader,
        where: OpenedConversation,
        page: Sequence[ArchivedMessage],
    ) -> None:
        """Import a page of messages, in one transaction. Raises ChatError."""
        place = where.place
        wanted = [] if place is None else await self._unknown(reading, where, page)
        items: list[ImportItem] = []
        left = await self._room(wanted)
        try:
            for number, message in enumerate(wanted, 1):
                item = reading.item(where.head, message, where.homes)
                if message.file is not None and not message.deleted:
                    item = await self._with_file(reader, item, message.file, left)
                    left -= 0 if item.file is None else item.file.stored.size
                items.append(item)
                if number % MAX_AT_ONCE == 0 and message.signed is not None:
                    await deferLater(self._tools.context.clock, 0.0)
            fresh = await self._store(place, items, len(page))
        except BaseException:
            await self._remove(items, ())
            raise
        await self._remove(items, fresh)

    async def _unknown(
        self,
        reading: ImportReader,
        where: OpenedConversation,
        page: Sequence[ArchivedMessage],
    ) -> list[ArchivedMessage]:
        """The messages of a page that the account does not have."""
        keys = [reading.key(where.head, each) for each in page]
        known = await self._database.read(known_keys, self.account.id, keys)
        seen: set[int] = set()
        if where.group is not None:
            seqs = [each.seq for each in page]
            seen = await self._database.read(seen_of_group, self.account.id, where.group, seqs)
        return [
            each
            for key, each in zip(keys, page, strict=True)
            if key not in known and each.seq not in seen
        ]

    async def _room(self, wanted: Sequence[ArchivedMessage]) -> int:
        """The bytes that the files of these messages may have; 0 if there are none."""
        if all(each.file is None for each in wanted):
            return 0
        used = await self._database.read(used_bytes, Owner(self.account.id))
        return self._tools.files.quota(self.account) - used

    async def _with_file(
        self, reader: ArchiveReader, item: ImportItem, file: ArchivedFile, left: int
    ) -> ImportItem:
        """The message with its file, of at most `left` bytes. One that is not in the archive leaves its name.
        Raises QuotaExceeded."""
        files = self._tools.files
        name = files.name_of(file)
        stored = await files.take(self.account, reader, file, item.at, left)
        if stored is None:
            text = NOT_IN_ARCHIVE.format(name=name)
            return msgspec.structs.replace(item, text=text, verified=False)
        same = file.sha256 in (stored.sha256, stored.received)
        return msgspec.structs.replace(
            item, file=ImportFile("", name, stored), verified=item.verified and same
        )

    async def _store(
        self, place: ImportPlace | None, items: Sequence[ImportItem], read: int
    ) -> Sequence[ImportItem]:
        """Store messages, of which `read` were read. Returns those that are new. Raises ChatError, and
        StorageFailed also if no code is free."""
        context, account = self._tools.context, self.account
        now, quota = context.now(), context.file_quotas.of(account)
        size = sum(map(_cost, items))
        with self._tools.quotas.charged(account.id, size, now):
            for _ in range(CODE_TRIES):
                coded = [_with_code(each, context.random_bytes) for each in items]

                def job(
                    connection: Connection, coded: Sequence[ImportItem] = coded
                ) -> tuple[Sequence[ImportItem], ImportProgress]:
                    self._check_stored(connection)
                    fresh: Sequence[ImportItem] = ()
                    if place is not None and coded:
                        fresh = self._tools.jobs.add(connection, account, place, coded, now, quota)
                    progress = _advanced(self.progress, fresh, read)
                    keep_progress(connection, account.id, progress)
                    return fresh, progress

                try:
                    fresh, self.progress = await self._database.run(job)
                    break
                except CodeTaken:
                    continue
            else:
                raise StorageFailed
        self._tools.quotas.give_back(account.id, size - sum(map(_cost, fresh)))
        return fresh

    async def _remove(self, items: Sequence[ImportItem], kept: Sequence[ImportItem]) -> None:
        """Remove the files of messages that were not stored."""
        stored = {each.file.stored.stored for each in kept if each.file is not None}
        for item in items:
            if item.file is not None and item.file.stored.stored not in stored:
                await self._tools.files.remove(item.file.stored)


def _advanced(progress: ImportProgress, fresh: Sequence[ImportItem], read: int) -> ImportProgress:
    """The progress after a page of which these messages were new."""
    return msgspec.structs.replace(
        progress,
        read=progress.read + read,
        messages=progress.messages + len(fresh),
        known=progress.known + read - len(fresh),
        files=progress.files + sum(each.file is not None for each in fresh),
    )


def _with_code(item: ImportItem, random_bytes: Callable[[int], bytes]) -> ImportItem:
    """The message, its file with a new code."""
    if item.file is None:
        return item
    file = msgspec.structs.replace(item.file, code=new_code(random_bytes))
    return msgspec.structs.replace(item, file=file)


def _cost(item: ImportItem) -> int:
    """The bytes that a message counts of the daily quota."""
    return max(cost(item.text or ""), len(item.body or b""), LEAST)
