"""Remembers where realms are, and where none was found; and bounds the lookups that are under way.

Others choose what is looked up: people by the addresses that they write to, and realms by the names with
which they link. So each of these causes may start a number of lookups in an hour.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from chatd.base.cache import Cache
from chatd.base.errors import Busy, ChatError, RealmNotFound, TooManyLookups
from chatd.base.shared_calls import SharedCalls
from chatd.base.throttle import Quota
from chatd.federation.amp.lookup import DialPlace, NotFound
from chatd.service.node_limits import share_quota
from chatd.service.node_news import NodeNews

PER_HOUR = 20  # lookups that one cause may start in an hour
CAUSES = 10_000  # whose lookups are counted
MAX_UNDER_WAY = 32
REMEMBERED = 1000  # realms
FOUND_FOR = 300.0  # seconds for which places are remembered
FAILED_FOR = 600.0  # seconds for which it is remembered that a realm was not found

#: Finds the places of the realm with a key. Fails with NotFound.
Find = Callable[[str], Deferred[list[DialPlace]]]


class _Found(msgspec.Struct, frozen=True):
    """The places of a realm, or why there are none, and until when that holds."""

    until: float
    places: list[DialPlace]
    error: ChatError | None = None


class PlaceFinder:
    """Finds the places of realms with `find`."""

    def __init__(self, clock: IReactorTime, find: Find) -> None:
        self._clock = clock
        self._find = find
        self._found: Cache[str, _Found] = Cache(REMEMBERED)
        self._lookups: SharedCalls[list[DialPlace]] = SharedCalls()
        self._quota = Quota(PER_HOUR, CAUSES)

    def share(self, news: NodeNews) -> None:
        """Count lookups on all nodes of the realm."""
        share_quota(self._quota, news, self._clock, "lookups")

    def stop(self) -> None:
        """Give up all lookups."""
        self._lookups.cancel()

    def places(self, realm: str, cause: str) -> Deferred[list[DialPlace]]:
        """The places of the realm with that key. A lookup that is started counts for `cause`. Fails with
        RealmNotFound or the error of `failed`; TooManyLookups, Busy."""
        known = self._found.get(realm)
        now = self._clock.seconds()
        if known is not None and known.until > now:
            return succeed(known.places) if known.error is None else fail(known.error)
        if realm not in self._lookups:
            if len(self._lookups) >= MAX_UNDER_WAY:
                return fail(Busy())
            pause = self._quota.take(cause, now)
            if pause:
                minutes = math.ceil(pause / 60)
                return fail(TooManyLookups(limit=PER_HOUR, realm=realm, minutes=minutes))
        return self._lookups.run(realm, lambda: self._look(realm))

    async def _look(self, realm: str) -> list[DialPlace]:
        """Raises RealmNotFound."""
        try:
            places = await self._find(realm)
        except NotFound as error:
            refused = RealmNotFound(realm=realm, reason=str(error))
            self.failed(realm, refused)
            raise refused from None
        self._found[realm] = _Found(self._clock.seconds() + FOUND_FOR, places)
        return places

    def failed(self, realm: str, error: ChatError) -> None:
        """The realm was not found, or what was found is not that realm: answer with `error` for a while."""
        self._found[realm] = _Found(self._clock.seconds() + FAILED_FOR, [], error)

    def forget(self, realm: str) -> None:
        """Look the realm up again when it is needed next: its places do not answer, or it has linked on its
        own."""
        self._found.pop(realm)
