"""What decides about commands and is kept in memory, read again before the commands of a node that does not
hear the others: one that was paused, or has lost the bus, must not act on bans and mutes of before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from chatd.base.errors import StorageFailed
from chatd.base.timers import Signal
from chatd.service.node_news import NodeNews

Read = Callable[[], Awaitable[object]]


class Rechecks:
    """Reads that are done together. One run is under way at a time, for all who wait for it."""

    def __init__(self, news: NodeNews) -> None:
        self._news = news
        self._reads: list[Read] = []
        # The numbers of the last run that has begun, that is done, and that has failed
        self._begun = self._done = self._failed = 0
        self._is_running = False
        self._ended = Signal()

    @property
    def are_due(self) -> bool:
        """Whether this node does not hear all others."""
        return self._news.is_quiet

    def add(self, read: Read) -> None:
        """Add a read. It raises StorageFailed."""
        self._reads.append(read)

    async def run(self) -> None:
        """Return once all was read that was committed before the call. Raises StorageFailed, for all who wait
        for the same run: if each tried it, the last ones would wait for all attempts."""
        wanted = self._begun + 1  # a run under way may have read before
        while self._done < wanted:
            if self._failed >= wanted:
                raise StorageFailed
            if self._is_running:
                await self._ended.wait()
            else:
                await self._run()

    async def _run(self) -> None:
        self._is_running = True
        self._begun += 1
        try:
            for read in self._reads:
                await read()
            self._done = self._begun
        finally:
            if self._done < self._begun:
                self._failed = self._begun
            self._is_running = False
            self._ended.notify()
