"""The files of imported messages: from the archive into the uploads folder."""

from __future__ import annotations

from collections.abc import Iterator

from chatd.base.account_archive import ArchivedFile
from chatd.base.attachments import StoredFile
from chatd.base.errors import BadArchive, BadFileName, QuotaExceeded, StorageFailed
from chatd.base.model import Account
from chatd.files.archive_reader import ArchiveReader
from chatd.files.disk_space import DiskSpace
from chatd.files.file_names import safe_name
from chatd.files.incoming import Incoming
from chatd.files.store import IFileStore
from chatd.service.context import Context


class ImportFiles:
    def __init__(self, context: Context, uploads: IFileStore, disk: DiskSpace) -> None:
        self._context = context
        self._uploads = uploads
        self._disk = disk

    def quota(self, account: Account) -> int:
        """The bytes that the files of an account may have."""
        return self._context.file_quotas.of(account)

    def name_of(self, file: ArchivedFile) -> str:
        """The safe name of a file. Older archives have it in the path only, after its code."""
        name = file.name or file.path.rpartition("/")[2].partition("-")[2]
        try:
            return safe_name(name)
        except BadFileName:
            return "file"

    async def take(
        self, account: Account, reader: ArchiveReader, file: ArchivedFile, at: int, left: int
    ) -> StoredFile | None:
        """Store a file that was sent at `at` (ms since 1970 UTC), if it has at most the `left` bytes of the
        account's quota. Returns None if the archive does not have it, or if it is larger than files may be
        here. Raises BadArchive, DiskFull, QuotaExceeded, StorageFailed."""
        size = reader.size_of(file.path)
        if size is None or size != file.size or size > self._context.config.limits.file:
            return None
        if size > left:
            raise QuotaExceeded(limit=self.quota(account), left=max(0, left))
        self._disk.expect(size)
        try:
            incoming = self._uploads.receive(self.name_of(file), size)
            try:
                await self._copy(reader.pieces(file.path), incoming)
            except BaseException:
                incoming.abort()
                raise
            try:
                return await incoming.finish(None, at)
            except OSError:
                raise StorageFailed from None
        finally:
            self._disk.arrived(size)

    async def _copy(self, pieces: Iterator[bytes], incoming: Incoming) -> None:
        while piece := await self._uploads.in_thread(next, pieces, b""):
            if not incoming.write(piece):
                await incoming.room()
            if incoming.error is not None:
                raise StorageFailed
        if incoming.missing:
            raise BadArchive(reason="a file is cut off")

    async def remove(self, stored: StoredFile) -> None:
        """Remove a file that no message has got."""
        await self._uploads.remove(stored.stored)
