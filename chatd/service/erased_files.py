"""Removes the files of messages that were deleted or dismissed."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.files.folder import Uploads
from chatd.service.context import Context
from chatd.store import content as store

log = Logger()


class ErasedFiles:
    """The database has the names of such files until they are removed from the disk."""

    def __init__(self, context: Context, uploads: Uploads) -> None:
        self._database = context.database
        self._uploads = uploads

    def remove(self, stored: Sequence[str]) -> None:
        """Remove files with these names from the uploads folder. Those that can't be removed now are removed
        at the next start."""
        if not stored:
            return
        removing = Deferred.fromCoroutine(self._remove(stored))
        removing.addErrback(
            lambda failure: log.failure("the file of a deleted message stays", failure)
        )

    async def _remove(self, stored: Sequence[str]) -> None:
        await self._uploads.erase(stored)
        await self._database.run(store.files_erased, stored)
