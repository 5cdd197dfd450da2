"""Looks through a store of objects in the background: removes what deleted messages have left, and sets aside
what no message carries. A folder is looked through at the start of the realm instead."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base.recurring_work import RecurringWork
from chatd.service.context import Context
from chatd.store import content
from chatd.store import files as store
from chatd.store.database import Database

FIRST = 60.0  # seconds after the start
EVERY = 24 * 3600.0  # seconds until it is looked through again
ERASE = 3600.0  # seconds until files are erased that could not be when their messages were deleted
RETRY = 600.0  # seconds after which it begins again if the store or the database fails

KIND = "files in the store"

Page = tuple[list[str], str | None]

log = Logger()


class ISweptStore(Protocol):
    """What is asked of the store (chatd.files.object_store)."""

    def erase(self, stored: Sequence[str]) -> Deferred[None]: ...
    def stored_names(self, after: str) -> Deferred[Page]: ...
    def thumbnail_names(self, after: str) -> Deferred[Page]: ...
    def set_aside(self, stored: Sequence[str]) -> Deferred[None]: ...
    def drop_thumbnails(self, stored: Sequence[str]) -> Deferred[None]: ...
    def tidy(self) -> Deferred[None]: ...


class ObjectSweep:
    """Looks through the store once a day, and erases each hour what is left to erase, while this node does
    the work (chatd.service.node_work). Several nodes may do so at once. `is_lossy`: the database has lost
    something, so that files that it does not know may be all that is left of their messages."""

    def __init__(self, context: Context, files: ISweptStore, is_lossy: bool) -> None:
        self._database: Database = context.database
        self._files = files
        self._is_lossy = is_lossy
        self._clock = context.clock
        self._due = -math.inf  # when it is looked through again, by the clock
        self._work = RecurringWork(
            context.clock, self.sweep, RETRY, "the store of files was not looked through"
        )
        context.work.add_recurring(KIND, self._work, FIRST)

    def stop(self) -> Deferred[None]:
        return self._work.stop()

    @property
    def is_complete(self) -> bool:
        """Whether the store was looked through, and it is not time to do so again."""
        return self._clock.seconds() < self._due

    async def sweep(self) -> float:
        """Erase files, and look through the store if that is due. Returns the seconds until the next time."""
        try:
            await self._erase()
            if self._clock.seconds() >= self._due:
                await self._look_through()
                if self._work.is_interrupted:
                    return RETRY
                self._due = self._clock.seconds() + EVERY
        except OSError as error:
            log.error("the store of files was not looked through: {error}", error=str(error))
            return RETRY
        return ERASE

    async def _erase(self) -> None:
        """Raises OSError, StorageFailed."""
        erased = await self._database.read(content.files_to_erase)
        if erased:
            await self._work.step(self._files.erase(erased))
            await self._database.run(content.files_erased, erased)

    async def _look_through(self) -> None:
        """Raises OSError, StorageFailed."""
        await self._work.step(self._files.tidy())
        if self._is_lossy:
            return
        moved = await self._each(self._files.stored_names, self._files.set_aside)
        if moved:
            log.warn("files that no message carries, now in unclaimed/: {count}", count=moved)
        await self._each(self._files.thumbnail_names, self._files.drop_thumbnails)

    async def _each(
        self,
        page_after: Callable[[str], Awaitable[Page]],
        drop: Callable[[Sequence[str]], Awaitable[None]],
    ) -> int:
        """Drop the names that no message has, page by page. Returns their number."""
        after: str | None = ""
        dropped = 0
        while after is not None and not self._work.is_interrupted:
            names, after = await self._work.step(page_after(after))
            unclaimed = await self._database.read(store.unclaimed, names) if names else []
            if unclaimed:
                await self._work.step(drop(unclaimed))
                dropped += len(unclaimed)
        return dropped
