"""Keeps the index for searching up to date, in the background."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from chatd.base.errors import StorageFailed
from chatd.service.context import Context
from chatd.store.search.interface import IndexMoved, SearchIndex

# Seconds between two looks for new messages, unless there are many. The more there are, the less each of them
# costs. Searches read what the index lacks.
EVERY = 40.0
AFTER_FAILURE = 60.0  # seconds
# After some pieces it rests for so many times as long as they took, so that others have the processor.
REST = 2.0
MIN_REST, MAX_REST = 0.002, 1.0  # seconds

LEASE = "search-index"

log = Logger()


class Indexing:
    """Adds to `index` what it lacks, a piece at a time. A new message is in it after some 40 seconds, and a
    deleted one is out of it.

    Of several nodes one does that, the one with the lease LEASE. Pieces of another one would be refused.
    """

    def __init__(self, context: Context, index: SearchIndex) -> None:
        self._clock = context.clock
        self._database = context.database
        self._index = index
        self._timer: IDelayedCall | None = None
        self._working: Deferred[None] | None = None
        self._stopped = True
        self._ended = False
        self._suspended = False  # since the last piece, another node may have added some
        self._idle = False  # it had everything
        context.database.on_settled(self._settled)

    def start(self) -> None:
        """Begin, or begin again after `suspend`. After `stop` it does nothing."""
        if self._ended:
            return
        self._stopped = False
        if self._working is None and self._timer is None:
            self._wait(0.0)

    def suspend(self) -> None:
        """Add nothing more until the next `start`, which continues after what another node may have added
        meanwhile."""
        self._stopped = self._suspended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> Deferred[None]:
        """Fires when the piece that is being added is stored. The next process continues after it."""
        self._ended = True
        self.suspend()
        return succeed(None) if self._working is None else self._working

    def _settled(self) -> None:
        """Something was stored: begin early if the index is far behind."""
        if self._idle and self._timer is not None and self._index.is_behind:
            self._idle = False
            self._timer.reset(0.0)

    def _wait(self, delay: float) -> None:
        if not self._stopped:
            self._timer = self._clock.callLater(delay, self._begin)

    def _begin(self) -> None:
        self._timer = None
        working: Deferred[Any] = Deferred.fromCoroutine(self._add_pieces())
        self._working = working
        working.addCallback(self._worked)

    def _worked(self, delay: float) -> None:
        self._working = None
        self._wait(delay)

    async def _add_pieces(self) -> float:
        """Add the next pieces. Returns the seconds to wait after them."""
        began = self._clock.seconds()
        if self._suspended:
            self._suspended = False
            self._index.forget()
        try:
            pieces = await self._database.read(self._index.prepare)
            self._idle = not pieces
            if not pieces:
                return EVERY
            for piece in pieces:
                if self._stopped:
                    break
                await self._database.run(self._index.store, piece)
        except IndexMoved:
            # The lease of this node has ended in between, and another node adds to the index.
            self._index.forget()
            return EVERY
        except StorageFailed:  # which the database has logged
            return self._failed()
        except Exception:
            log.failure("the search index was not updated")
            return self._failed()
        took = self._clock.seconds() - began
        return min(max(REST * took, MIN_REST), MAX_REST)

    def _failed(self) -> float:
        """Searches read what the index lacks. Returns the seconds to wait."""
        self._index.forget()
        return AFTER_FAILURE
