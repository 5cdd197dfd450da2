"""Finding and fetching files: who may fetch which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from sqlalchemy import Connection

from chatd.base import errors
from chatd.base.attachments import ARRIVING, LOST, Attachment
from chatd.base.entries import Right
from chatd.base.model import Account
from chatd.base.names import Place, printable
from chatd.base.replies import FileInfo
from chatd.files.outgoing import Outgoing
from chatd.files.store import IFileStore
from chatd.service.context import Context
from chatd.service.file_states import FileStates
from chatd.service.reading import Reading
from chatd.store import files as store

MAX_LISTED = 1000
PATIENCE = 5.0  # seconds to wait for the bytes of a file that arrives


class Download(msgspec.Struct, frozen=True):
    """A file that the account may fetch, open for reading."""

    attachment: Attachment
    file: Outgoing


class Downloads:
    """The files that an account may fetch: those that it has sent, and those of its conversations."""

    def __init__(
        self, context: Context, uploads: IFileStore, reading: Reading, states: FileStates
    ) -> None:
        self._database = context.database
        self._uploads = uploads
        self._reading = reading
        self._states = states

    async def fetch(self, account: Account, name: str) -> Download:
        """Find and open a file. Raises as `find` and `open`."""
        return await self.open(await self.find(account, name))

    async def open(self, attachment: Attachment) -> Download:
        """Open a file that was found. Raises FileMissing, FileDamaged, StorageFailed."""
        try:
            file = await self._uploads.open(attachment)
        except OSError:
            raise errors.StorageFailed from None
        return Download(attachment, file)

    async def find(
        self,
        account: Account,
        name: str,
        by_code: bool = False,
        stamped: tuple[str, int] | None = None,
        place: Place | None = None,
    ) -> Attachment:
        """The file of that code or name that the account may fetch (see commands.GetFile). Waits a few
        seconds for one that arrives.

        Raises UnknownFile, FileArriving, FileLost, and with a place what Reading.conversation_of does.
        """
        conversation = None
        if place is not None:
            # Nothing was said there yet. No conversation has the id 0.
            conversation = await self._reading.conversation_of(account, place) or 0
        find = partial(
            store.find_file,
            account_id=account.id,
            name=name,
            by_code=by_code,
            stamped=stamped,
            conversation=conversation,
        )
        attachment = await self._find(find)
        if attachment is None:
            raise errors.UnknownFile(name=printable(name))
        if attachment.state == ARRIVING:
            raise errors.FileArriving(name=attachment.name)
        if attachment.state == LOST:
            raise errors.FileLost(name=attachment.name, reason=attachment.reason or "")
        return attachment

    async def _find(self, find: Callable[[Connection], Attachment | None]) -> Attachment | None:
        """Find a file. If it arrives, wait for it a few seconds."""
        found = await self._database.read(find)
        if found is None or found.state != ARRIVING:
            return found
        await self._states.until_settled(found.id, PATIENCE)
        return await self._database.read(find)

    async def list(
        self, account: Account, place: Place | int | None = None
    ) -> tuple[FileInfo, ...]:
        """The newest files that the account may fetch, of all conversations or of one. Raises as
        Reading.find."""
        if place is None:
            return tuple(await self._database.read(store.files_of, account.id, MAX_LISTED))
        conversation = await self._reading.find(account, place)
        if conversation is None:
            return ()
        found = await self._database.read(store.files_in, account.id, conversation, MAX_LISTED)
        return tuple(found)

    async def sent_with(
        self, account: Account, code: str, after: int = 0
    ) -> Sequence[tuple[int, int, int]]:
        """The first messages of the account with ids above `after` that carry its file with that code:
        conversations, seqs and ids. If there is none at all, raises NotYours for a file of somebody else that
        the account may fetch, and UnknownFile for others."""
        found = await self._database.read(store.sent_with, account.id, code, after, MAX_LISTED)
        if not found and not after:
            seq = await self._database.read(store.seen_with, account.id, code)
            if seq is not None:
                raise errors.NotYours(seq=seq, who=Right.AUTHOR.value)
            raise errors.UnknownFile(name=printable(code))
        return found
