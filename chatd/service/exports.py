"""Exports: everything that an account has here, as a ZIP archive with JSON.

`profile.json` has the account, its contacts, blocks, groups and choices. `conversations/` has a file for each
conversation, with the messages that the account sees. `files/` has the files that it has sent, and the newest
ones that it has received. Another realm can import it: chatd.base.account_archive has the format.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from weakref import WeakValueDictionary

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from chatd.base.account_archive import (
    CONVERSATIONS,
    FILES,
    MESSAGES_BEGIN,
    MESSAGES_END,
    PROFILE,
    ArchivedFile,
    ArchivedMessage,
    ArchivedOpaque,
)
from chatd.base.attachments import Attachment
from chatd.base.errors import (
    Busy,
    ChatError,
    ExportUnfinished,
    FileDamaged,
    FileMissing,
    NotMember,
    StorageFailed,
    TooManyExports,
    TransferBroken,
    UnknownConversation,
    UnknownGroup,
)
from chatd.base.model import Account, Message
from chatd.base.throttle import Quota
from chatd.base.timestamps import timestamp
from chatd.files.archive import Archive
from chatd.files.disk_space import DiskSpace
from chatd.files.outgoing import Outgoing
from chatd.files.store import IFileStore
from chatd.service.context import Context
from chatd.service.downloads import Download
from chatd.service.log_sync import LogSync
from chatd.service.node_limits import share_quota
from chatd.service.reading import Reading
from chatd.store import exports as store
from chatd.store.exports import Provenance
from chatd.store.windows import Window

PER_HOUR = 2  # exports of an account
MAX_WAITING = 10  # one is made at a time
PAGE = 200  # messages that are read at a time
CHUNK = 256 << 10  # bytes of a file that are copied at a time
FILES_PAGE = 50  # files that are looked up at a time
# An archive takes space on the disk until its client has read it, for which it has this time.
READ_TIME = 600  # seconds
READ_RATE = 32 << 10  # bytes for which it has another second

MAX_ID = 1 << 62
UNKNOWN = Provenance()

Check = Callable[[], None]

log = Logger()


class Exports:
    """Makes the archives, one at a time. Each account has one at most, until its client has fetched it."""

    def __init__(
        self,
        context: Context,
        uploads: IFileStore,
        disk: DiskSpace,
        reading: Reading,
        sync: LogSync,
    ) -> None:
        self._context = context
        self._database = context.database
        self._uploads = uploads
        self._disk = disk
        self._reading = reading
        self._sync = sync
        self._quota = Quota(PER_HOUR)
        share_quota(self._quota, context.news, context.clock, "exports")
        self._turn = DeferredLock()
        # Accounts whose archives are being made or wait for that, and archives that clients may still read
        self._making: set[int] = set()
        self._open: WeakValueDictionary[int, Outgoing] = WeakValueDictionary()

    async def make(
        self, account: Account, is_gone: Callable[[], bool], counted: bool = True
    ) -> Download:
        """The archive of an account, open for reading, unless its client `is_gone` before it is complete.
        `counted`: among those that the account may make in an hour. Raises TooManyExports, ExportUnfinished,
        Busy, DiskFull, StorageFailed, TransferBroken."""
        self._admit(account, counted)
        self._making.add(account.id)
        try:
            await self._turn.acquire()
            try:
                download = await self._make(account, is_gone)
            finally:
                self._turn.release()
        except OSError as error:
            self._give_back(account, counted)
            log.error("an export was not written: {error}", error=str(error))
            raise StorageFailed from None
        except TransferBroken:
            raise  # it counts, or clients that go could have one made after the other
        except ChatError:
            self._give_back(account, counted)
            raise
        finally:
            self._making.discard(account.id)
        self._open[account.id] = download.file
        return download

    def _give_back(self, account: Account, counted: bool) -> None:
        if counted:
            self._quota.give_back(account.key)

    def _admit(self, account: Account, counted: bool) -> None:
        """Count an export of the account, if it is `counted`. Raises TooManyExports, ExportUnfinished,
        Busy."""
        before = self._open.get(account.id)
        if account.id in self._making or (before is not None and not before.is_closed):
            raise ExportUnfinished
        if len(self._turn.waiting) >= MAX_WAITING:
            raise Busy
        if not counted:
            return
        wait = self._quota.take(account.key, self._context.clock.seconds())
        if wait:
            raise TooManyExports(limit=PER_HOUR, minutes=math.ceil(wait / 60))

    async def _make(self, account: Account, is_gone: Callable[[], bool]) -> Download:
        def check() -> None:
            if is_gone():
                raise TransferBroken
            self._disk.check()

        check()
        archive = Archive(self._uploads)
        await archive.begin()
        try:
            await archive.add(PROFILE, self._profile(account))
            for place in await self._places(account):
                name = f"{CONVERSATIONS}{place}.json"
                await archive.add(name, self._conversation(account, place, check))
            await self._add_sent(archive, account, check)
            await self._add_received(archive, account, check)
            check()
            found, digest = await archive.finish(self._lateness)
        except BaseException:
            await archive.abandon()
            raise
        now = self._context.now()
        name = f"{account.name}-{timestamp(now)[:10]}.zip"
        shown = Attachment(0, "", name, found.size, digest, "application/zip", "", now)
        return Download(shown, found)

    def _lateness(self, size: int) -> Callable[[], bool]:
        """Tells whether the client of an archive of that size, which is complete now, has read too slowly."""
        clock = self._context.clock
        end = clock.seconds() + READ_TIME + size / READ_RATE
        return lambda: clock.seconds() > end

    async def _profile(self, account: Account) -> AsyncIterator[bytes]:
        realm = self._context.config.realm
        yield _encode(await self._database.read(store.profile_of, account, realm))

    async def _places(self, account: Account) -> list[int]:
        """The conversations of the account."""
        places: list[int] = []
        more = True
        while more:
            page, more = await self._sync.all(account, places[-1] if places else 0)
            places += [each.conversation for each in page]
        return places

    async def _conversation(
        self, account: Account, place: int, check: Check
    ) -> AsyncIterator[bytes]:
        """The messages of a conversation that the account sees, oldest first."""
        realm = self._context.realm_key
        head = await self._database.read(store.conversation_head, account.id, place, realm)
        yield _encode(head)[:-1] + MESSAGES_BEGIN
        before, seq = b"\n", min(head.first, 1) - 1  # imported messages have negative seqs
        # The account may leave the group meanwhile.
        with suppress(NotMember, UnknownConversation, UnknownGroup):
            while True:
                check()
                page = await self._reading.history(account, place, PAGE, Window(after=seq))
                seqs = [each.seq for each in page.messages]
                known = await self._database.read(store.provenances, place, seqs, realm)
                for message in page.messages:
                    yield before + _encode(_archived(message, known.get(message.seq, UNKNOWN)))
                    before = b",\n"
                if not page.messages or not page.later:
                    break
                seq = page.messages[-1].seq
        yield b"\n" + MESSAGES_END

    async def _add_sent(self, archive: Archive, account: Account, check: Check) -> None:
        """Add the files that the account has sent."""
        last = 0
        while page := await self._database.read(store.sent_files, account.id, last, FILES_PAGE):
            for file in page:
                await self._add_file(archive, file, check)
            last = page[-1].id

    async def _add_received(self, archive: Archive, account: Account, check: Check) -> None:
        """Add the newest files that the account has received, as many bytes as its own may have."""
        room = self._context.file_quotas.of(account)
        first = MAX_ID
        while page := await self._database.read(
            store.received_files, account.id, first, FILES_PAGE
        ):
            for file in page:
                room -= file.size if file.arrival is None else 0
                if room < 0:
                    return
                await self._add_file(archive, file, check)
            first = page[-1].id

    async def _add_file(self, archive: Archive, file: Attachment, check: Check) -> None:
        """Add a file. One that is lost, or that has not come yet, is left out."""
        if file.arrival is not None:
            return
        self._disk.check(file.size)
        try:
            found = await self._uploads.open(file)
        except (FileMissing, FileDamaged):
            return
        try:
            await archive.add(_path_of(file), _pieces(found, check), packed=False)
        finally:
            await found.close()


async def _pieces(file: Outgoing, check: Check) -> AsyncIterator[bytes]:
    while piece := await file.read(CHUNK):
        check()
        yield piece


def _path_of(file: Attachment) -> str:
    """The name of a file in the archive."""
    return f"{FILES}{file.code}-{file.name}"


def _archived(message: Message, known: Provenance) -> ArchivedMessage:
    """A message, without what is empty."""
    file, opaque = message.file, message.opaque
    return ArchivedMessage(
        message.seq,
        timestamp(message.at),
        message.sender,
        message.to,
        message.text,
        None if file is None else ArchivedFile(_path_of(file), file.size, file.sha256, file.name),
        None if message.edited is None else timestamp(message.edited),
        message.deleted,
        message.reply,
        message.forwarded,
        message.mentions,
        {each.emoji: each.people for each in message.reactions},
        None if opaque is None else ArchivedOpaque(opaque.media, opaque.body),
        known.origin,
        # What is not shown has a sentence in place of its content.
        None if message.withheld else known.signed,
        message.imported,
        known.key,
    )


_encode = msgspec.json.Encoder().encode
