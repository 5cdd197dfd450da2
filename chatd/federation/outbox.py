"""What still has to reach other realms: kept with what it belongs to, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from chatd.base.timers import cancel
from chatd.service.realms import IRealms
from chatd.store import outbox as store
from chatd.store.database import Database
from chatd.store.outbox import Depth, NewParcel, OutboxWriter, Waiting

TIDY_AFTER = (
    0.05  # seconds that what has arrived may stay: taking it out costs less in large numbers
)
MAX_UNTIDY = 2000

log = Logger()


class Outbox:
    """Parcels on their way. `writer` numbers them, within the jobs of others, too."""

    def __init__(self, clock: Any, database: Database, realms: IRealms) -> None:
        self._clock = clock
        self._database = database
        self._realms = realms
        self.writer = OutboxWriter()
        database.on_rollback(self.writer.forget)
        self._arrived: defaultdict[str, list[int]] = defaultdict(list)
        self._tidying: Any = None

    def put(self, item: NewParcel) -> Deferred[int]:
        """Keep a parcel; fires with its number once it is on disk."""
        return self._database.batch(self.writer.store, item)

    def send(self, numbers: Sequence[int], items: Sequence[NewParcel]) -> None:
        """These are on disk now: let them go, where nobody waits for what becomes of them."""
        for number, item in zip(numbers, items, strict=True):
            self._realms.post(item.realm, number, item.parcel, item.attachment_id)

    # For who delivers

    def waiting(self, realm: str, after: int, limit: int) -> Deferred[list[Waiting]]:
        """What waits for a realm, numbered above `after`, in order."""
        return self._database.read(store.waiting, realm, after, limit)

    def get(self, realm: str, number: int) -> Deferred[Waiting | None]:
        """The parcel of that number that waits for a realm."""
        return self._database.read(store.get, realm, number)

    async def waits(self, realm: str, number: int) -> bool:
        """Whether a parcel has not been acknowledged yet."""
        self.tidy()
        return await self.get(realm, number) is not None

    async def depths(self) -> dict[str, Depth]:
        """What waits, by realm."""
        await self.tidy()
        return await self._database.read(store.depths)

    def skip(self, seen: int) -> Deferred[None]:
        """A realm has had this number from here: give no number up to it again."""
        return self._database.run(self.writer.skip, seen)

    def done(self, realm: str, numbers: Iterable[int]) -> None:
        """These have arrived. They are taken out soon; if that is lost, they are sent again and told
        apart."""
        arrived = self._arrived[realm]
        arrived.extend(numbers)
        if len(arrived) >= MAX_UNTIDY:
            self.tidy()
        elif self._tidying is None:
            self._tidying = self._clock.callLater(TIDY_AFTER, self.tidy)

    def tidy(self) -> Deferred[Any]:
        """Take out what has arrived; fires when that is done."""
        timer, self._tidying = self._tidying, None
        cancel(timer)
        arrived, self._arrived = self._arrived, defaultdict(list)
        tidied = []
        for realm, numbers in arrived.items():
            gone = self._database.run(store.done, realm, numbers)
            gone.addErrback(
                lambda failure: log.failure("the outbox was not tidied; it is sent again", failure)
            )
            tidied.append(gone)
        return DeferredList(tidied)
