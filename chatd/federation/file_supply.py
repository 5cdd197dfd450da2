"""Gives other realms the bytes of files whose messages they have got, piece by piece."""

from __future__ import annotations

from sqlalchemy import Connection

from chatd.base.attachments import Attachment
from chatd.base.background import in_background
from chatd.base.errors import FileArriving, FileLost, StorageFailed, UnknownFile
from chatd.federation.links import ILinks
from chatd.files.store import IFileStore
from chatd.service.context import Context
from chatd.store import arrivals, sent_files
from chatd.store.origins import Origin

MAX_PIECE = 32 << 10  # bytes


class FileSupply:
    """Looks up each piece anew, so that a file stops when its message is deleted."""

    def __init__(self, context: Context, uploads: IFileStore, links: ILinks) -> None:
        self._database = context.database
        self._own = context.realm_key
        self._uploads = uploads
        self._links = links

    async def read(self, asker: str, realm: str, number: int, offset: int, size: int) -> bytes:
        """The bytes of the file of the entry `number` of `realm` (its key), for the realm `asker`: at most
        MAX_PIECE. None at the end; then `asker` has the file.

        Raises UnknownFile, FileArriving, FileLost, FileMissing, FileDamaged, StorageFailed.
        """
        origin = None if realm == self._own else realm
        file = await self._database.read(_find, asker, (origin, number))
        if file is None or not 0 <= offset <= file.size:
            raise UnknownFile(name=number)
        if file.arrival:
            raise FileLost(name=file.name, reason=file.reason or "")
        if file.arrival is not None:
            raise FileArriving(name=file.name)
        if offset == file.size:
            if origin is None:
                self._taken(asker, number)
            return b""
        try:
            return await self._uploads.read_piece(file, offset, max(1, min(size, MAX_PIECE)))
        except OSError:
            raise StorageFailed from None

    def _taken(self, asker: str, number: int) -> None:
        self._links.file_taken(asker, number)
        noting = self._database.run(sent_files.fetched, asker, number)
        in_background("the file of a post is kept", noting)


def _find(connection: Connection, asker: str, entry: Origin) -> Attachment | None:
    found = arrivals.requested(connection, asker, entry)
    if found is None and entry[0] is None:
        found = sent_files.posted(connection, asker, entry[1])
    return found
