"""The outbox: parcels that other realms have not acknowledged yet.

A parcel is stored in the transaction of the message or change that it carries, and is removed after the other
realm has acknowledged it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection
from twisted.internet import defer
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.background import log_unexpected
from chatd.base.model import DELIVERED, REFUSED, Message
from chatd.base.timers import Signal, Timer
from chatd.service.context import Context
from chatd.service.remote import ISettled
from chatd.store import outbox as store
from chatd.store import outcomes as outcome_store
from chatd.store.leases import LeaseLost
from chatd.store.outbox import Depth, NewParcel, QueuedParcel
from chatd.store.outcomes import Acknowledged

# Seconds for which a delivered parcel may stay: removing many at once is cheaper.
TIDY_AFTER = 0.05
MAX_UNTIDY = 2000  # delivered parcels of one realm that may stay
LOOK_EVERY = 0.25  # seconds after which a parcel is looked for that another node may have settled
TRY_AGAIN = 10.0  # seconds until parcels are removed that the disk has kept
MAX_KEPT = 100_000  # of these, for one realm; more are sent again over its next link


@implementer(ISettled)
class Settled:
    """Parcels that are settled, but that a read of the database may still find waiting: those that had not
    been removed from it when the watch began, and those that were settled since."""

    def __init__(self, delivered: list[tuple[str, Sequence[int]]]) -> None:
        self._delivered = delivered
        self._refused: dict[tuple[str, int], str] = {}
        self._numbers: dict[str, set[int]] = {}

    def delivered(self, realm: str, numbers: Sequence[int]) -> None:
        self._delivered.append((realm, numbers))

    def refused(self, realm: str, number: int, reason: str) -> None:
        self._refused[realm, number] = reason

    def fresh(self, message: Message) -> Message:
        """The message, with the state that is known by now."""
        if message.waits is None:
            return message
        realm, number = message.waits
        reason = self._refused.get(message.waits)
        if reason is not None:
            return msgspec.structs.replace(message, state=REFUSED, reason=reason, waits=None)
        if realm not in self._numbers:
            chunks = [numbers for other, numbers in self._delivered if other == realm]
            self._numbers[realm] = {each for numbers in chunks for each in numbers}
        if number in self._numbers[realm]:
            return msgspec.structs.replace(message, state=DELIVERED, waits=None)
        return message


class Outbox:
    """The parcels for all other realms."""

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._database = context.database
        self.writer = context.writers.parcels
        self._versions = context.writers.versions
        self._delivered: defaultdict[str, Acknowledged] = defaultdict(Acknowledged)
        self._leaving: list[tuple[str, Acknowledged]] = []  # delivered, and being removed
        self._watches: list[Settled] = []
        # Checks in a transaction that this node may still settle parcels of a realm
        self._guard: Callable[[str], Callable[[Connection], None]] | None = None
        self._failed = False  # the last parcels could not be removed
        self._stopped = False
        self._tidying = Timer(context.clock, self.tidy)
        # (realm, number) -> told when that parcel is gone
        self._watched: defaultdict[tuple[str, int], Signal] = defaultdict(Signal)

    def share(self, guard: Callable[[str], Callable[[Connection], None]]) -> None:
        """Share the outbox with other nodes. `guard` returns, for the key of a realm, a check which raises
        LeaseLost in a transaction if another node delivers to that realm by now."""
        self._guard = guard

    @property
    def is_shared(self) -> bool:
        """Whether other nodes store parcels, too."""
        return self._guard is not None

    def check(self, realm: str) -> Callable[[Connection], None]:
        """Return what checks in a transaction that this node may settle parcels of a realm. It raises
        LeaseLost."""
        return _unchecked if self._guard is None else self._guard(realm)

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

    async def waits(self, realm: str) -> bool:
        """Whether parcels wait for a realm."""
        await self.tidy()
        return await self._database.read(store.waiting_span, realm) is not None

    def realms(self) -> Deferred[list[str]]:
        """The realms for which parcels wait."""
        return self._database.read(store.waiting_realms)

    async def until_gone(self, realm: str, number: int, seconds: float) -> bool:
        """Wait at most `seconds` until a parcel was acknowledged or given up. Returns whether it was."""
        until = self._clock.seconds() + seconds
        while not await self._is_gone(realm, number, until):
            if not self.is_shared or self._clock.seconds() >= until:
                return False
            # Another node may settle it, and tells nobody.
        return True

    async def _is_gone(self, realm: str, number: int, until: float) -> bool:
        """Whether a parcel was acknowledged or given up. Waits for that until that time by the clock, or for
        LOOK_EVERY if other nodes may settle it."""
        # It may go while the database is read.
        gone = self._watched[realm, number].wait()
        try:
            self.tidy()
            # It may have been acknowledged a moment ago. The writer removes those first; a reader would not.
            if await self._database.run(store.get, realm, number) is None:
                return True
            left = max(until - self._clock.seconds(), 0.0)
            await gone.addTimeout(min(left, LOOK_EVERY) if self.is_shared else left, self._clock)
        except defer.TimeoutError:
            return False
        finally:
            gone.addErrback(lambda _failure: None).cancel()
            if not self._watched[realm, number]:
                del self._watched[realm, number]
        return True

    @contextmanager
    def watch(self) -> Iterator[Settled]:
        """A context in which to read messages. It yields the outcomes of their parcels that are not on disk
        yet."""
        acknowledged = [*self._leaving, *self._delivered.items()]
        watch = Settled([(realm, [*parcels.numbers]) for realm, parcels in acknowledged])
        self._watches.append(watch)
        try:
            yield watch
        finally:
            self._watches.remove(watch)

    def done(self, realm: str, parcels: Acknowledged) -> None:
        """Note that the realm has acknowledged these. They are removed soon; if a crash prevents that, they
        are sent again, and the realm ignores them."""
        delivered, numbers = self._delivered[realm], parcels.numbers
        delivered.add(parcels)
        for watch in self._watches:
            watch.delivered(realm, numbers)
        if self._watched:
            self._tell(realm, numbers)
        if len(delivered.numbers) >= MAX_UNTIDY and not self._failed:
            self.tidy()
        else:
            self._tidying.start(TIDY_AFTER)

    def removed(self, realm: str, number: int, reason: str) -> None:
        """Note that a parcel was given up for `reason`, and removed from the database."""
        for watch in self._watches:
            watch.refused(realm, number, reason)
        self._tell(realm, (number,))

    def _tell(self, realm: str, numbers: Collection[int]) -> None:
        for number in numbers:
            if (realm, number) in self._watched:
                self._watched[realm, number].notify()

    def stop(self) -> Deferred[list[tuple[bool, None]]]:
        """As `tidy`, for the last time."""
        self._stopped = True
        return self.tidy()

    def tidy(self) -> Deferred[list[tuple[bool, None]]]:
        """Remove delivered parcels from the database. Fires when that is done, or has failed."""
        self._tidying.cancel()
        delivered, self._delivered = self._delivered, defaultdict(Acknowledged)
        return DeferredList([self._remove(*each) for each in delivered.items() if each[1].numbers])

    def _remove(self, realm: str, parcels: Acknowledged) -> Deferred[None]:
        """Remove delivered parcels of one realm from the database."""
        leaving = realm, parcels
        self._leaving.append(leaving)
        removing = self._database.run(self._remove_checked, self.check(realm), realm, parcels)
        removing.addCallbacks(self._removed, self._not_removed, errbackArgs=leaving)
        removing.addBoth(lambda _: self._leaving.remove(leaving))
        return removing

    def _remove_checked(
        self,
        connection: Connection,
        check: Callable[[Connection], None],
        realm: str,
        parcels: Acknowledged,
    ) -> None:
        """A job: remove delivered parcels, unless another node delivers to the realm by now."""
        check(connection)
        outcome_store.delivered(connection, self._versions, realm, parcels)

    def _removed(self, _result: None) -> None:
        self._failed = False

    def _not_removed(self, failure: Failure, realm: str, parcels: Acknowledged) -> None:
        """Try again later. If there is no later, they are sent again, and the realm ignores them."""
        if failure.check(LeaseLost) is not None:
            return  # by the node that delivers now
        log_unexpected("delivered parcels were not removed from the outbox", failure)
        if self._stopped:
            return
        self._failed = True
        kept = self._delivered[realm]
        if len(kept.numbers) + len(parcels.numbers) <= MAX_KEPT:
            kept.add(parcels)
        self._tidying.start(TRY_AGAIN)


def _unchecked(_connection: Connection) -> None:
    """There are no other nodes."""
