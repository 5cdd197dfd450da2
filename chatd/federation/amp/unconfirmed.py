"""Realms that no operator has added: how many are remembered, and which are forgotten.

Anybody can invent names, so realms that nobody here talks with make room for new ones, and are forgotten
after a day without a link. What a realm did by itself (writing to somebody, joining a group) keeps it for
longer, but not when there is no room.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from chatd.base.errors import RealmNotAllowed
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.federation import Federation
from chatd.service.chat_service import ChatService
from chatd.store import peers as store
from chatd.store.peers import Use

MAX_UNCONFIRMED = 1000  # realms that no operator has added
AT_ONCE = (
    20  # the part of them that is forgotten at a time, so that the database is not asked for each
)
IDLE = 86_400_000  # ms without a link after which a realm that nobody talks with is forgotten
CHECK_EVERY = 3600.0  # seconds

log = Logger()


class UnconfirmedRealms:
    def __init__(self, service: ChatService, federation: Federation, registry: PeerTable) -> None:
        self._service = service
        self._federation = federation
        self._registry = registry
        self._clock = service.clock
        self._turn = DeferredLock()
        self._checked = self._clock.seconds()

    @property
    def _is_full(self) -> bool:
        return sum(1 for _ in self._registry.unvouched()) >= MAX_UNCONFIRMED

    async def make_room(self, realm: str) -> None:
        """Make room for one more stranger. Raises RealmNotAllowed."""
        if not self._is_full:
            return
        await self._turn.run(lambda: Deferred.fromCoroutine(self._evict()))
        if self._is_full:
            raise RealmNotAllowed(
                realm=realm, where=self._registry.own_name, reason="it knows too many already"
            )

    async def _evict(self) -> None:
        if not self._is_full:
            return  # an earlier caller has made room
        strangers = list(self._registry.unvouched())
        uses = await self._uses(strangers)
        await self._forget(_to_evict(strangers, uses, max(1, MAX_UNCONFIRMED // AT_ONCE)))

    async def forget_idle(self) -> None:
        """Forget the strangers that nobody talks with, after a day without a link. Looks once an hour."""
        now = self._clock.seconds()
        if now - self._checked < CHECK_EVERY:
            return
        self._checked = now
        latest = self._service.context.now() - IDLE
        idle = [
            peer
            for peer in self._registry.unvouched()
            if peer.link is None and (peer.known.linked_at or 0) <= latest
        ]
        uses = await self._uses(idle)
        await self._forget([peer for peer in idle if uses[peer.known.key] is Use.NONE])

    async def _uses(self, peers: list[Peer]) -> dict[str, Use]:
        keys = [peer.known.key for peer in peers]
        return await self._service.database.read(store.uses, keys) if keys else {}

    async def _forget(self, peers: list[Peer]) -> None:
        # They may have been used since the database was asked.
        keys = [peer.known.key for peer in peers if self._registry.get(peer.known.key) is peer]
        if not keys:
            return
        log.info("{count} realms that nobody talks with are forgotten", count=len(keys))
        await self._registry.forget(*keys)
        for key in keys:
            try:
                await self._federation.receiver.forget(key)
            except OSError:
                log.failure("the half files of {realm} could not be removed", realm=key)


def _to_evict(strangers: list[Peer], uses: dict[str, Use], count: int) -> list[Peer]:
    """The realms to forget: from the source with the most, those with the least use, then without a link,
    then with the oldest last link."""

    def rank(peer: Peer) -> Any:
        return uses[peer.known.key].value, peer.link is not None, peer.known.linked_at or 0

    by_source: dict[str, deque[Peer]] = defaultdict(deque)
    for peer in sorted(strangers, key=rank):
        if uses[peer.known.key] is not Use.BY_US:
            by_source[peer.source].append(peer)
    sizes = Counter(peer.source for peer in strangers)
    found: list[Peer] = []
    while by_source and len(found) < count:
        source = max(by_source, key=lambda each: sizes[each])
        found.append(by_source[source].popleft())
        sizes[source] -= 1
        if not by_source[source]:
            del by_source[source]
    return found
