"""The links to other realms, as the rest of federation sees them (chatd.federation.links.ILinks)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from chatd.base.background import in_background
from chatd.base.errors import UnknownRealm
from chatd.base.isolation import guarded
from chatd.base.model import Account
from chatd.base.names import Address, key_of
from chatd.base.realms import Added, RealmInfo
from chatd.cluster.lease_keeper import LeaseKeeper
from chatd.federation.amp.asking_links import AskingLinks
from chatd.federation.amp.delivery import Delivery
from chatd.federation.amp.dialer import Endpoint
from chatd.federation.amp.discovery import RealmDiscovery
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.link_manager import LinkManager
from chatd.federation.amp.link_sender import Destination, Suspects
from chatd.federation.amp.peer_calls import PeerCalls
from chatd.federation.amp.peer_status import all_peers
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.amp.place_finder import PlaceFinder
from chatd.federation.amp.unconfirmed import UnconfirmedRealms
from chatd.federation.capabilities import PRESENCE
from chatd.federation.federation import Federation
from chatd.federation.links import ILinks
from chatd.federation.outcome_waiters import OutcomeWaiters
from chatd.service.context import Context
from chatd.service.remote import (
    QUEUED,
    OnOutcome,
    Rescued,
    TheirState,
)
from chatd.store.outcomes import SentEntry
from chatd.store.peers import KnownPeer

if TYPE_CHECKING:
    from chatd.federation.amp.shared_links import SharedLinks

EXPIRE_EVERY = 60.0  # seconds
WAKE_SPREAD = 1.0  # seconds over which realms are dialled whose people are followed here
VISIT_EVERY = 86_400_000  # ms after which a realm is linked, although nothing is to be said
VISITS = 1440  # in one EXPIRE_EVERY, one out of that many realms is visited
# What a node leaves to the one that links with a realm
PAST, MOVE, WAKE, MEET, RENEW = "past", "move", "wake", "meet", "renew"

log = Logger()


@implementer(ILinks)
class AmpLinks(AskingLinks):
    """`attach` federation, load the known `peers`, then `start`. `endpoint` makes the connections, and
    `finder` finds realms."""

    def __init__(self, context: Context, endpoint: Endpoint, finder: PlaceFinder) -> None:
        self.peers = PeerTable(context, self._delivery_to)
        self._context = context
        self._endpoint = endpoint
        self._finder = finder
        self._expiring = LoopingCall(self._expire)
        self._expiring.clock = context.clock

    def attach(self, federation: Federation) -> None:
        context, peers = self._context, self.peers
        self._federation = federation
        self._unconfirmed = UnconfirmedRealms(context, federation, peers)
        self.manager = LinkManager(
            context, federation, peers, self._endpoint, self._unconfirmed, self._finder
        )
        self._shared: SharedLinks | None = None
        self._discovery = RealmDiscovery(context, peers, self.manager.dialer, self._unconfirmed)

    def share(self, keeper: LeaseKeeper, node: Callable[[], int]) -> None:
        """Share the links with the other nodes of this realm, before `start`. `node` returns the id of this
        one."""
        # A realm with one node has none of this in memory.
        from chatd.federation.amp.link_leases import LinkLeases
        from chatd.federation.amp.shared_links import SharedLinks

        parts = self._context, self._federation, self.manager, self.peers
        shared = self._shared = SharedLinks(*parts, LinkLeases(*parts, keeper, node))
        shared.does(PAST, self._begin_past)
        shared.does(MOVE, self._begin_move)
        shared.does(WAKE, self._wake)
        shared.does(MEET, self._federation.rescues.meet)
        shared.does(RENEW, self._renew)

    def _delivery_to(self, peer: Peer) -> Delivery:
        context, federation = self._context, self._federation
        return Delivery(
            Destination(
                peer.known.key,
                lambda: peer.known.name,
                context.clock,
                federation.outbox,
                federation.outcomes,
                OutcomeWaiters(context.clock),
                Suspects(),
                federation.restores,
                federation.guests,
            )
        )

    def start(self) -> None:
        """Begin to dial, and to look for what has waited for too long."""
        self._dial_spread(self.peers.by_key.values())
        in_background("realms for which something waits were not dialled", self._dial_waiting())
        self._expiring.start(EXPIRE_EVERY, now=False)
        if self._shared is not None:
            self._shared.start()

    async def _dial_waiting(self) -> None:
        waiting = [self.peers.get(realm) for realm in await self._federation.outbox.realms()]
        found = [peer for peer in waiting if peer is not None and peer.link is None and peer.owned]
        for peer in found:
            peer.wanted, peer.resting = True, False
        self._dial_spread(found)

    def _dial_spread(self, peers: Iterable[Peer]) -> None:
        """Dial these realms, if they should be, at moments that are spread so that there is no rush."""
        dialled = list(peers)
        for peer in dialled:
            self.manager.dialer.soon(peer, self.manager.dialer.spread(len(dialled)))

    async def stop(self) -> None:
        """Close all links. What is under way goes over the next ones."""
        if self._expiring.running:
            self._expiring.stop()
        if self._shared is not None:
            await self._shared.stop()
        await self.manager.stop()
        self._federation.forwarder.posts.stop()
        self._federation.outbox.stop()
        self._federation.standings.stop()
        self._federation.reached.stop()
        self._federation.rosters.stop()
        self._federation.rescues.stop()
        self._federation.pasts.stop()
        self._federation.mover.stop()
        await self._federation.arrivals.stop()

    async def _expire(self) -> None:
        expire = self._context.config.peers.expire * 1000
        before = self._context.now() - expire
        federation = self._federation
        works: tuple[tuple[str, Callable[[], Coroutine[Any, Any, None]]], ...] = (
            (
                "expired parcels could not be returned to their senders",
                partial(self._return, before),
            ),
            ("moves of groups could not be ended", federation.mover.expire),
            (
                "files that do not come could not be given up",
                partial(federation.arrivals.expire, expire),
            ),
            ("unused realms could not be forgotten", self._unconfirmed.forget_idle),
        )
        for failure, work in works:
            await in_background(failure, work())
        guarded("realms that rest were not visited", self._visit)

    async def _return(self, before: int) -> None:
        """Return all parcels that were stored before `before` (ms since 1970 UTC) to their senders."""
        while await self._federation.outcomes.expire(before):
            pass

    def _visit(self) -> None:
        """Link with a few of the realms that have rested for a day."""
        before = self._context.now() - VISIT_EVERY
        resting = [peer for peer in self.peers.by_key.values() if peer.resting and peer.known.host]
        due = [peer for peer in resting if (peer.known.linked_at or 0) < before]
        due.sort(key=lambda peer: peer.failures)  # one that is gone does not hold up the others
        for peer in due[: -(-len(resting) // VISITS)]:
            self.manager.dialer.wake(peer, 0.0)

    # ILinks: parcels

    def dispatch(
        self,
        realm: str,
        number: int,
        parcel: bytes,
        file: int | None,
        entry: SentEntry | None,
        on_outcome: OnOutcome,
    ) -> None:
        peer = self.peers.by_key.get(realm)
        if peer is None:
            on_outcome(QUEUED)
            return
        if self._shared is not None and self._shared.has(peer):
            self._shared.parcels.dispatch(peer, number, on_outcome)
            return
        soon = peer.link is None and self.manager.dialer.want(peer)
        try:
            peer.delivery.dispatch(number, parcel, file, entry, on_outcome, soon)
        except Exception:
            _drop_link(peer)

    def post(
        self,
        realm: str,
        number: int,
        parcel: bytes,
        file: int | None,
        entry: SentEntry | None = None,
    ) -> bool:
        peer = self.peers.by_key.get(realm)
        if peer is None:
            return False
        if self._shared is not None and self._shared.has(peer):
            self._shared.parcels.post(realm, number)
            return self._shared.linked(peer) is not None
        if peer.link is None:
            self.manager.dialer.want(peer)
        try:
            return peer.delivery.post(number, parcel, file, entry)
        except Exception:
            _drop_link(peer)
            return False

    def blanked(self, realm: str, number: int, parcel: bytes) -> None:
        peer = self.peers.by_key.get(realm)
        if peer is not None:
            peer.delivery.blanked(number, parcel)
            if self._shared is not None and self._shared.has(peer):
                self._shared.parcels.blanked(realm, number, parcel)

    def file_taken(self, realm: str, number: int) -> None:
        peer = self.peers.by_key.get(realm)
        if peer is not None:
            peer.delivery.file_taken(number)

    # AskingLinks

    def _up(self, realm: str) -> PeerLink | None:
        """The link of this node with the realm, if it is up."""
        peer = self.peers.get(realm)
        link = None if peer is None else peer.link
        return link if link is not None and link.is_up else None

    def _linked(self, realm: str) -> PeerCalls | None:
        link = self._up(realm)
        if link is not None or self._shared is None:
            return link
        peer = self.peers.get(realm)
        return None if peer is None or not self._shared.has(peer) else self._shared.linked(peer)

    async def _reach(self, peer: Peer) -> PeerCalls:
        link = self._up(peer.known.key)
        if link is not None:
            return link
        if self._shared is not None and self._shared.has(peer):
            return self._shared.reach(peer)
        return await self.manager.dialer.linked(peer)

    # ILinks: who is online

    def hears_presence(self, realm: str) -> bool:
        if self._up(realm) is None or self.lacks(realm, PRESENCE):
            return False
        return self.is_welcome(realm)

    def presence_changed(self, realm: str, states: Sequence[TheirState]) -> None:
        if (link := self._up(realm)) is not None:
            link.presence_changed(states)

    def is_kept(self, realm: str) -> bool:
        peer = self.peers.get(realm)
        return peer is not None and peer.owned

    def wake(self, realms: Iterable[str]) -> None:
        for realm in realms:
            if not self._leave(realm, WAKE):
                self._wake(realm)

    def _wake(self, realm: str) -> None:
        peer = self.peers.get(realm)
        if peer is not None:
            part = self._context.random_bytes(1)[0] / 256
            self.manager.dialer.wake(peer, part * WAKE_SPREAD)

    # ILinks: work in the background

    def _leave(self, realm: str, work: str) -> bool:
        """Leave work to the node that links with the realm, unless that is this one."""
        return self._shared is not None and self._shared.leave(realm, work)

    def renew(self) -> None:
        if self._shared is not None:
            self._shared.tell_all(RENEW)
        for link in list(self.manager.links):
            guarded("a link was not ended", link.abort)

    def _renew(self, realm: str) -> None:
        if (link := self._up(realm)) is not None:
            link.abort()

    def begin_move(self, realm: str) -> None:
        if not self._leave(realm, MOVE):
            self._begin_move(realm)

    def _begin_move(self, realm: str) -> None:
        self._federation.mover.begin(realm)

    def rescue_group(self, account: Account, group: Address) -> Deferred[Rescued]:
        return Deferred.fromCoroutine(self._rescue(account, group))

    async def _rescue(self, account: Account, group: Address) -> Rescued:
        rescued = await self._federation.rescues.found(account, group)
        if self._shared is not None:
            self._shared.tell_all(MEET)
        return rescued

    def begin_past(self, realm: str) -> None:
        if not self._leave(realm, PAST):
            self._begin_past(realm)

    def _begin_past(self, realm: str) -> None:
        self._federation.pasts.begin(realm)
        self._federation.arrivals.added(realm)  # files that had been lost

    def fetch_past(self, conversation: int) -> Deferred[None]:
        if self._shared is None:
            return self._federation.pasts.fetch(conversation)
        return Deferred.fromCoroutine(self._shared.fetch_past(conversation))

    # ILinks: the realms

    def name_of(self, realm: str) -> str:
        return self.peers.find(realm).known.name

    def is_added(self, realm: str) -> bool:
        return self.peers.is_added(realm)

    def is_welcome(self, realm: str) -> bool:
        return self.peers.is_welcome(realm)

    def source_of(self, realm: str) -> str:
        peer = self.peers.get(realm)
        return "" if peer is None else peer.source

    def look_up(self, realm: str, account: int) -> Deferred[None]:
        return Deferred.fromCoroutine(self._discovery.meet(account, realm))

    def add(self, realm: str, host: str, port: int, by_operator: bool) -> Deferred[Added]:
        return Deferred.fromCoroutine(self._add(realm, host, port, by_operator))

    async def _add(self, realm: str, host: str, port: int, by_operator: bool) -> Added:
        added = await self.manager.adder.add(realm, host, port, by_operator)
        self._federation.requests.settle(key_of(realm))
        return added

    def forget(self, realm: str) -> Deferred[int]:
        if self.peers.get(realm) is None:
            return fail(UnknownRealm(realm=realm))
        return Deferred.fromCoroutine(self._forget(realm))

    async def _forget(self, realm: str) -> int:
        await self.peers.forget(realm)
        self._federation.standings.forget((realm,))
        await self._federation.keys.forget((realm,))
        if realm in self._context.config.peers.known:
            # The configuration still names it.
            self.manager.dialer.soon(self.peers.add(KnownPeer(realm, realm)))
        depths = await self._federation.outbox.depths()
        return depths[realm].queued if realm in depths else 0

    def all(self, detailed: bool = True) -> Deferred[Sequence[RealmInfo]]:
        outbox, shared = self._federation.outbox, self._shared
        elsewhere = (lambda _realm: None) if shared is None else shared.states.get
        found = all_peers(self._context, outbox, self.peers, detailed, elsewhere)
        return Deferred.fromCoroutine(found)


def _drop_link(peer: Peer) -> None:
    """Within `except`: drop the link, because handing it a parcel failed. The next link sends all parcels,
    which are on disk; waiting senders are told that theirs are queued."""
    log.failure("a parcel was not handed to the link with {realm}", realm=peer.known.name)
    if peer.link is not None:
        guarded("the link was not dropped", peer.link.abort)
