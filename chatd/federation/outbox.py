"""The outbox: parcels that other realms have not acknowledged yet.

A parcel is stored in the transaction of the message or change that it carries, and is removed after the other
realm has acknowledged it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from twisted.internet import defer
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.timers import Signal, Timer
from chatd.service.context import Context
from chatd.store import outbox as store
from chatd.store.outbox import Depth, NewParcel, QueuedParcel

# Seconds for which a delivered parcel may stay: removing many at once is cheaper.
TIDY_AFTER = 0.05
MAX_UNTIDY = 2000  # delivered parcels of one realm that may stay

log = Logger()


class Outbox:
    """The parcels for all other realms."""

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._database = context.database
        self.writer = context.writers.parcels
        self._delivered: defaultdict[str, list[int]] = defaultdict(list)
        self._tidying = Timer(context.clock, self.tidy)
        # (realm, number) -> told when that parcel is gone
        self._watched: defaultdict[tuple[str, int], Signal] = defaultdict(Signal)

    def put(self, parcel: NewParcel) -> Deferred[int]:
        """Store a parcel. Fires with its number once it is on disk."""
        return self._database.batch(self.writer.store, parcel)

    def waiting(self, realm: str, after: int, limit: int) -> Deferred[list[QueuedParcel]]:
        """The first parcels for a realm with numbers above `after`, in order."""
        return self._database.read(store.waiting, realm, after, limit)

    def get(self, realm: str, number: int) -> Deferred[QueuedParcel | None]:
        return self._database.read(store.get, realm, number)

    async def depths(self) -> dict[str, Depth]:
        """How much waits, by realm."""
        await self.tidy()
        return await self._database.read(store.depths)

    async def until_gone(self, realm: str, number: int, seconds: float) -> bool:
        """Wait at most `seconds` until a parcel was acknowledged or given up. Returns whether it was."""
        # It may go while the database is read.
        gone = self._watched[realm, number].wait()
        try:
            self.tidy()
            # It may have been acknowledged a moment ago. The writer removes those first; a reader would not.
            if await self._database.run(store.get, realm, number) is None:
                return True
            await gone.addTimeout(seconds, self._clock)
        except defer.TimeoutError:
            return False
        finally:
            gone.addErrback(lambda _failure: None).cancel()
            if not self._watched[realm, number]:
                del self._watched[realm, number]
        return True

    def done(self, realm: str, numbers: Collection[int]) -> None:
        """Note that the realm has acknowledged these. They are removed soon; if a crash prevents that, they
        are sent again, and the realm ignores them."""
        delivered = self._delivered[realm]
        delivered.extend(numbers)
        if self._watched:
            self._tell(realm, numbers)
        if len(delivered) >= MAX_UNTIDY:
            self.tidy()
        else:
            self._tidying.start(TIDY_AFTER)

    def removed(self, realm: str, number: int) -> None:
        """Note that a parcel was given up, and removed from the database."""
        self._tell(realm, (number,))

    def _tell(self, realm: str, numbers: Collection[int]) -> None:
        for number in numbers:
            if (realm, number) in self._watched:
                self._watched[realm, number].notify()

    def tidy(self) -> Deferred[list[tuple[bool, None]]]:
        """Remove delivered parcels from the database. Fires when that is done, or has failed."""
        self._tidying.cancel()
        delivered, self._delivered = self._delivered, defaultdict(list)
        return DeferredList(
            [
                self._database.run(store.done, realm, numbers).addErrback(_not_tidied)
                for realm, numbers in delivered.items()
            ]
        )


def _not_tidied(failure: Failure) -> None:
    log.failure(
        "delivered parcels were not removed from the outbox, and will be sent again", failure
    )
