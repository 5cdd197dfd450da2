"""Removes the files of messages that were deleted or dismissed."""

from __future__ import annotations

from collections.abc import Sequence

from chatd.base.background import in_background
from chatd.files.store import IFileStore
from chatd.service.context import Context
from chatd.store import content as store


class ErasedFiles:
    """The database has the names of such files until they are removed from the disk."""

    def __init__(self, context: Context, uploads: IFileStore) -> None:
        self._database = context.database
        self._uploads = uploads

    def remove(self, stored: Sequence[str]) -> None:
        """Remove files with these names from the uploads folder. Those that can't be removed now are removed
        at the next start."""
        if not stored:
            return
        in_background("the file of a deleted message stays", self._remove(stored))

    async def _remove(self, stored: Sequence[str]) -> None:
        await self._uploads.erase(stored)
        await self._database.run(store.files_erased, stored)
