"""Bounds the number of remembered realms that no operator has confirmed, and forgets unused ones.

A client can invent any number of realm names. So a realm without a conversation here makes room for new ones,
and is forgotten after a day without a link. A realm whose people have written to a person here or joined a
group is kept longer, but makes room when there is no other room. A realm that was found and has never linked
counts as unused once nothing waits for it, but not in its first hour, because the message for which it was
looked up may not be stored yet. The number of such realms is limited (chatd.federation.amp.discovery).
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.errors import RealmNotAllowed
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.federation import Federation
from chatd.service.context import Context
from chatd.store import peers as store
from chatd.store.peers import Use

MAX_UNCONFIRMED = 1000  # realms
EVICTED_PART = 20  # a twentieth of them is forgotten at a time, so that there are few queries
IDLE = 86_400_000  # ms without a link after which an unused realm is forgotten
NEW = 3_600_000  # ms for which a realm that was found may have no link and no message
CHECK_EVERY = 3600.0  # seconds

log = Logger()


class UnconfirmedRealms:
    def __init__(self, context: Context, federation: Federation, peers: PeerTable) -> None:
        self._context = context
        self._federation = federation
        self._peers = peers
        self._clock = context.clock
        self._turn = DeferredLock()
        self._checked = self._clock.seconds()

    @property
    def _is_full(self) -> bool:
        return sum(1 for _ in self._peers.unconfirmed()) >= MAX_UNCONFIRMED

    async def make_room(self, realm: str) -> None:
        """Make room for one more realm. Raises RealmNotAllowed."""
        if not self._is_full:
            return
        await self._turn.run(lambda: Deferred.fromCoroutine(self._evict()))
        if self._is_full:
            raise RealmNotAllowed(
                realm=realm, where=self._peers.own_name, reason="it knows too many already"
            )

    async def _evict(self) -> None:
        if not self._is_full:
            return  # an earlier caller has made room
        unconfirmed = list(self._peers.unconfirmed())
        uses = await self._uses(unconfirmed)
        await self._forget(_to_evict(unconfirmed, uses, max(1, MAX_UNCONFIRMED // EVICTED_PART)))

    async def forget_idle(self) -> None:
        """Forget the unused realms of this node after a day without a link. Looks once an hour."""
        now = self._clock.seconds()
        if now - self._checked < CHECK_EVERY:
            return
        self._checked = now
        idle = [
            peer
            for peer in self._peers.unconfirmed()
            if peer.owned and peer.link is None and self._is_idle(peer)
        ]
        uses = await self._uses(idle)
        await self._forget([peer for peer in idle if uses[peer.known.key] is Use.NONE])

    def _is_idle(self, peer: Peer) -> bool:
        """Whether a realm without a link may be forgotten if it is unused."""
        linked_at, now = peer.known.linked_at, self._context.now()
        return peer.since < now - NEW if linked_at is None else linked_at <= now - IDLE

    async def _uses(self, peers: list[Peer]) -> dict[str, Use]:
        keys = [peer.known.key for peer in peers]
        if not keys:
            return {}
        uses = await self._context.database.read(store.uses, keys)
        waiting = await self._federation.outbox.realms()
        before = self._context.now() - NEW
        for peer in peers:
            if peer.known.linked_at is None and peer.known.key not in waiting:
                uses[peer.known.key] = Use.NONE if peer.since < before else Use.BY_US
        return uses

    async def _forget(self, peers: list[Peer]) -> None:
        # Some may have been forgotten or added since the query.
        keys = [peer.known.key for peer in peers if self._peers.get(peer.known.key) is peer]
        if not keys:
            return
        log.info("{count} unused realms are forgotten", count=len(keys))
        await self._peers.forget(*keys)
        self._federation.standings.forget(keys)
        await self._federation.keys.forget(keys)
        for key in keys:
            self._federation.receiver.lost(key)
            failure = "the files of {realm} that arrive were not given up"
            await in_background(failure, self._federation.arrivals.forget(key), realm=key)


def _to_evict(unconfirmed: list[Peer], uses: dict[str, Use], count: int) -> list[Peer]:
    """The realms to forget: of the source with the most realms, the one with the least use, then the one
    without a link, then the one whose last link is the oldest. Realms that people here use are kept."""

    def rank(peer: Peer) -> Any:
        return uses[peer.known.key].value, peer.link is not None, peer.known.linked_at or 0

    by_source: dict[str, deque[Peer]] = defaultdict(deque)
    for peer in sorted(unconfirmed, key=rank):
        if uses[peer.known.key] is not Use.BY_US:
            by_source[peer.source].append(peer)
    sizes = Counter(peer.source for peer in unconfirmed)
    found: list[Peer] = []
    while by_source and len(found) < count:
        source = max(by_source, key=lambda each: sizes[each])
        found.append(by_source[source].popleft())
        sizes[source] -= 1
        if not by_source[source]:
            del by_source[source]
    return found
