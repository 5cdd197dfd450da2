"""Sending files: who may send how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base import errors
from chatd.base.attachments import Attachment, StoredFile
from chatd.base.model import Account, Sent
from chatd.base.names import Address
from chatd.files.file_names import safe_name
from chatd.files.incoming import Incoming
from chatd.service.arriving import ArrivingFile
from chatd.service.codes import with_new_code
from chatd.service.context import Context
from chatd.service.directs import Directs
from chatd.service.idempotent_sends import name_for, receipt_of
from chatd.service.messages import Messages
from chatd.service.presence import IListener
from chatd.service.publisher import Kept, collect
from chatd.service.quotas import LEAST, MessageQuotas
from chatd.service.targets import Target
from chatd.service.upload_limits import UnderWay, part_of
from chatd.store import files as store
from chatd.store import idempotent_sends as send_store
from chatd.store.files import Owner
from chatd.store.idempotent_sends import RecordedSend, SendKey

log = Logger()


class FileSend(msgspec.Struct, frozen=True):
    """A file that `sender` sends: its targets, and the refused addresses with the reasons. `key` is its
    idempotency key, and `origin` the connection that it comes from. `wait`: the reply waits for the outcome
    at other realms."""

    sender: Account
    targets: Sequence[Target]
    refused: Mapping[str, errors.ChatError]
    origin: IListener | None
    key: str | None = None
    wait: bool = True

    @property
    def names(self) -> list[SendKey | None]:
        """The identity of the send to each target."""
        key = self.key
        return [None if key is None else name_for(self.sender, key, each) for each in self.targets]


class Files:
    """The files that accounts send to people and groups."""

    def __init__(
        self,
        context: Context,
        directs: Directs,
        messages: Messages,
        quotas: MessageQuotas,
        under_way: UnderWay,
    ) -> None:
        self._context = context
        self._database = context.database
        self._directs = directs
        self._messages = messages
        self._quotas = quotas
        self._uploads = under_way.uploads
        self.under_way = under_way

    async def begin(
        self,
        sender: Account,
        to: Sequence[Address] | Address,
        name: str,
        size: int | None,
        origin: IListener | None,
        key: str | None = None,
        wait: bool = True,
    ) -> Upload:
        """Start an upload to people, or to the group named `to`. With a `key`, ask `answered` first. If
        the `size` is not known, the file is complete when it is finished.

        Raises BadFileName, FileTooLarge, QuotaExceeded, TooManyUploads, DiskFull, UnknownUser, UnknownRealm,
        UnknownGroup, NotMember.
        """
        known = size or 0
        safe, targets, refused = await self._admit(sender, to, name, known)
        allowed = await self.under_way.begin(sender, known)
        incoming = self._uploads.receive(safe, known)
        send = FileSend(sender, targets, refused, origin, key, wait)
        if size is None:
            return GrowingUpload(self, send, incoming, known, allowed)
        return Upload(self, send, incoming, known)

    async def resume(
        self,
        sender: Account,
        to: Sequence[Address] | Address,
        name: str,
        size: int,
        key: str,
        origin: IListener | None,
    ) -> Upload:
        """As `begin`, for a file that can be resumed under the sender's `key` after the transfer breaks off
        (see Upload.offset and Upload.suspend). Ask `answered` first. Also raises StorageFailed.

        If the sender has too many suspended files or too little room, the oldest of them are removed.
        """
        safe, targets, refused = await self._admit(sender, to, name, size)
        part = part_of(sender, key)
        await self.under_way.begin(sender, size, part)
        try:
            incoming = await self._uploads.resume(part, safe, size)
        except OSError as error:
            self.under_way.end(sender, size)
            log.error("an upload can't be resumed: {error}", error=str(error))
            raise errors.StorageFailed from None
        return Upload(self, FileSend(sender, targets, refused, origin, key), incoming, size)

    async def offset(self, sender: Account, key: str) -> int:
        """How many bytes have arrived of the upload that can be resumed under `key`. Raises StorageFailed."""
        return (await self.under_way.suspended(sender)).get(part_of(sender, key), 0)

    async def give_up(self, sender: Account, key: str) -> None:
        """Remove the upload that could be resumed under `key`."""
        await self._uploads.forget(part_of(sender, key))

    async def _admit(
        self, sender: Account, to: Sequence[Address] | Address, name: str, size: int
    ) -> tuple[str, Sequence[Target], Mapping[str, errors.ChatError]]:
        """The file's safe name, its targets, and the refused addresses with the reasons."""
        safe = safe_name(name)
        if size > self._context.config.limits.file:
            raise errors.FileTooLarge(size=size, limit=self._context.config.limits.file)
        targets, refused = await self._targets(sender, to)
        if not targets:
            raise errors.none_known(refused)
        return safe, targets, refused

    async def _targets(
        self, sender: Account, to: Sequence[Address] | Address
    ) -> tuple[Sequence[Target], Mapping[str, errors.ChatError]]:
        if isinstance(to, Address):
            target = await self._messages.groups.find(sender, to)
            self._messages.check_target(sender, target)
            return [target], {}
        return await self._directs.open(sender, to)

    async def answered(
        self, sender: Account, to: Sequence[Address] | Address, key: str, wait: bool = True
    ) -> tuple[Attachment, Sent] | None:
        """The result of an earlier file that the sender sent under `key` to all of these, or None. Waits for
        one that is being stored.

        Raises BadArgument if a message was sent under that key, and StorageFailed; with `wait`, also the
        reason if nobody gets the file.
        """
        looked: tuple[Sequence[Target], dict[str, errors.ChatError]] | None
        try:
            if isinstance(to, Address):
                looked = [await self._messages.groups.find(sender, to, member=False)], {}
            else:
                looked = await self._directs.look(sender, to)
        except errors.StorageFailed:
            raise
        except errors.ChatError:
            return None
        if looked is None:
            return None  # nothing was ever sent to one of the addresses
        targets, refused = looked
        names = {name_for(sender, key, target): target for target in targets}
        known = await self._messages.sends.answered(list(names))
        if not names or len(known) < len(names):
            return None
        file = await self._database.read(_file_of, list(known.values()))
        receipts = []
        for name, target in names.items():
            refusal = known[name].refusal
            if wait and refusal is not None:
                refused[target.name] = errors.kept_error(refusal.code, refusal.sentence)
            else:
                receipts.append(receipt_of(known[name], target))
        if not receipts:
            raise errors.none_known(refused)
        return file, Sent(tuple(receipts), refused)

    async def commit(
        self, send: FileSend, name: str, arrived: StoredFile
    ) -> tuple[Attachment, Sent]:
        """Store a file whose bytes are on disk, with the messages that carry it, and publish these. A
        repeated send gets its earlier result. Raises the reason if nobody gets the file; the sender keeps it.
        """
        names = [name for name in send.names if name is not None]
        async with self._messages.sends.turn(names):
            file, kept = await self._store(send, name, arrived)
            if file.stored != arrived.stored:
                await self._uploads.remove(arrived.stored)
            refused: dict[str, errors.ChatError] = {}
            waits = {
                target.name: self._messages.publisher.publish(
                    target, what, file, send.origin, identity, send.wait
                )
                for target, what, identity in zip(send.targets, kept, send.names, strict=True)
            }
            receipts = await collect(waits, refused)
            if not receipts:
                raise errors.none_known(refused)
            return file, Sent(tuple(receipts), refused)

    async def _store(
        self, send: FileSend, name: str, arrived: StoredFile
    ) -> tuple[Attachment, Sequence[Kept]]:
        """Store the file's row and its messages in one transaction, under a new code. Removes the bytes if
        that fails."""
        now = self._context.now()
        copies = sum(1 + len(target.realms) for target in send.targets)

        def keep(code: str) -> Deferred[tuple[Attachment, Sequence[Kept]]]:
            return self._database.run(self._store_once, send, code, name, arrived, now)

        try:
            with self._quotas.charged(send.sender.id, LEAST * copies, now):
                return await with_new_code(self._context.random_bytes, keep)
        except Exception:
            await self._uploads.remove(arrived.stored)
            raise

    def _store_once(
        self,
        connection: Connection,
        send: FileSend,
        code: str,
        name: str,
        arrived: StoredFile,
        now: int,
    ) -> tuple[Attachment, Sequence[Kept]]:
        """Store the file's row and its messages, or find those of an earlier send with that key. Runs in the
        writer's thread."""
        names = [name for name in send.names if name is not None]
        known = send_store.find(connection, names) if names else {}
        if len(known) == len(send.targets):
            return _file_of(connection, list(known.values())), [known[each] for each in names]
        owner, quota = Owner(send.sender.id), self._context.file_quotas.of(send.sender)
        file = store.add_attachment(connection, owner, code, name, arrived, now, quota)
        return file, [
            self._messages.maker.store_file(connection, send.sender, target, file, now, send.key)
            for target in send.targets
        ]


def _file_of(connection: Connection, known: Sequence[RecordedSend]) -> Attachment:
    """The file of an earlier send. Raises BadArgument if that was a message, and MessageDeleted or the reason
    of the refusal if the file was removed with its message."""
    first = next((each for each in known if each.attachment_id is not None), None)
    if first is None or first.attachment_id is None:
        expected = "a new one for each message or file"
        raise errors.BadArgument(argument="key", found="that of a message", expected=expected)
    file = store.get_attachment(connection, first.attachment_id)
    if file is None and first.refusal is not None:
        raise errors.kept_error(first.refusal.code, first.refusal.sentence)
    if file is None:
        raise errors.MessageDeleted(seq=first.seq)
    return file


class Upload(ArrivingFile):
    """A file of `size` bytes for people or a group. `write` all of them, then `finish`. To break off,
    `abort`, or `suspend` if it can be resumed."""

    def __init__(self, files: Files, send: FileSend, incoming: Incoming, size: int) -> None:
        super().__init__(incoming)
        self._files = files
        self._send = send
        self._size = size

    @property
    def offset(self) -> int:
        """How many bytes had arrived when it was resumed."""
        return self._incoming.offset

    async def finish(self) -> tuple[Attachment, Sent]:
        """Store the file and send the messages that carry it. Raises StorageFailed; then nothing is
        stored."""
        try:
            arrived = await self._incoming.finish()
            file, sent = await self._files.commit(self._send, self._incoming.name, arrived)
        except OSError as error:
            log.error("an upload could not be stored: {error}", error=str(error))
            raise errors.StorageFailed from None
        finally:
            self._end()
        return file, Sent(sent.receipts, {**self._send.refused, **sent.refused})

    async def suspend(self) -> None:
        """Keep what has arrived, to be resumed."""
        await self._incoming.suspend()
        self._end()

    def _release(self) -> None:
        self._files.under_way.end(self._send.sender, self._size)


class GrowingUpload(Upload):
    """A file whose size is not known before its end. `allowed` as in UnderWay.grow."""

    def __init__(
        self, files: Files, send: FileSend, incoming: Incoming, size: int, allowed: int
    ) -> None:
        super().__init__(files, send, incoming, size)
        self._allowed = allowed

    def write(self, data: bytes) -> bool:
        """Take the next bytes. Returns False to ask for a pause until `room` fires. Raises FileTooLarge,
        QuotaExceeded, DiskFull; then `abort`."""
        size = len(data)
        self._files.under_way.grow(self._send.sender, self._size, size, self._allowed)
        self._size += size
        self._incoming.expect(size)
        return super().write(data)
