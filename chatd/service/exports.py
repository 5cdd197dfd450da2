"""Exports: everything that an account has here, as a ZIP archive with JSON.

`profile.json` has the account, its contacts, blocks and choices. `conversations/` has a file for each
conversation, with the messages that the account sees. `files/` has the files that it has sent.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

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
from chatd.files.folder import Uploads
from chatd.files.outgoing import Outgoing
from chatd.service.context import Context
from chatd.service.downloads import Download
from chatd.service.log_sync import LogSync
from chatd.service.reading import Reading
from chatd.store import exports as store
from chatd.store.sides import side_of
from chatd.store.windows import Window

PER_HOUR = 2  # exports of an account
MAX_WAITING = 10  # one is made at a time
PAGE = 200  # messages that are read at a time
CHUNK = 256 << 10  # bytes of a file that are copied at a time
# An archive takes space on the disk until its client has read it, for which it has this time.
READ_TIME = 600  # seconds
READ_RATE = 32 << 10  # bytes for which it has another second

Check = Callable[[], None]

log = Logger()


class Exports:
    """Makes the archives, one at a time. Each account has one at most, until its client has fetched it."""

    def __init__(
        self,
        context: Context,
        uploads: Uploads,
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
        self._turn = DeferredLock()
        # Accounts whose archives are being made or wait for that, and archives that clients may still read
        self._making: set[int] = set()
        self._open: WeakValueDictionary[int, Outgoing] = WeakValueDictionary()

    async def make(self, account: Account, is_gone: Callable[[], bool]) -> Download:
        """The archive of an account, open for reading, unless its client `is_gone` before it is complete.
        Raises TooManyExports, ExportUnfinished, Busy, DiskFull, StorageFailed, TransferBroken."""
        self._admit(account)
        self._making.add(account.id)
        try:
            await self._turn.acquire()
            try:
                download = await self._make(account, is_gone)
            finally:
                self._turn.release()
        except OSError as error:
            self._quota.give_back(account.key)
            log.error("an export was not written: {error}", error=str(error))
            raise StorageFailed from None
        except TransferBroken:
            raise  # it counts, or clients that go could have one made after the other
        except ChatError:
            self._quota.give_back(account.key)
            raise
        finally:
            self._making.discard(account.id)
        self._open[account.id] = download.file
        return download

    def _admit(self, account: Account) -> None:
        """Count an export of the account. Raises TooManyExports, ExportUnfinished, Busy."""
        before = self._open.get(account.id)
        if account.id in self._making or (before is not None and not before.is_closed):
            raise ExportUnfinished
        if len(self._turn.waiting) >= MAX_WAITING:
            raise Busy
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
            await archive.add("profile.json", self._profile(account))
            for place in await self._places(account):
                name = f"conversations/{place}.json"
                await archive.add(name, self._conversation(account, place, check))
            for file in await self._database.read(store.sent_files, account.id):
                await self._add_file(archive, file, check)
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
        facts = await self._database.read(store.profile_of, account)
        yield _encode({"realm": self._context.config.realm, **facts})

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
        side = await self._database.read(side_of, account.id, place)
        group = None if side is None else side.group
        head = {"conversation": place, "group": group, "user": side and side.peer}
        yield _encode(head)[:-1] + b',"messages":['
        before, seq = b"", 0
        # The account may leave the group meanwhile.
        with suppress(NotMember, UnknownConversation, UnknownGroup):
            while True:
                check()
                page = await self._reading.history(account, place, PAGE, Window(after=seq))
                for message in page.messages:
                    yield before + _encode(_facts(message))
                    before = b","
                if not page.messages or not page.later:
                    break
                seq = page.messages[-1].seq
        yield b"]}"

    async def _add_file(self, archive: Archive, file: Attachment, check: Check) -> None:
        """Add a file that the account has sent. One that is lost is left out."""
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
    return f"files/{file.code}-{file.name}"


def _facts(message: Message) -> dict[str, Any]:
    """A message, without what is empty."""
    file = message.file
    found = {
        "seq": message.seq,
        "at": timestamp(message.at),
        "from": message.sender,
        "to": message.to,
        "text": message.text,
        "file": file and {"path": _path_of(file), "size": file.size, "sha256": file.sha256},
        "edited": None if message.edited is None else timestamp(message.edited),
        "deleted": message.deleted,
        "reply": message.reply,
        "forwarded": message.forwarded,
        "mentions": message.mentions,
        "reactions": {each.emoji: each.people for each in message.reactions},
        "opaque": message.opaque and {"type": message.opaque.media, "body": message.opaque.body},
    }
    return {key: value for key, value in found.items() if value or key == "seq"}


_encode = msgspec.json.Encoder().encode
