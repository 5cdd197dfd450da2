"""Which of the nodes of this realm links with which other realm.

Each node wants a lease for each peer. The node that has it dials that realm, and delivers what waits for it.
A link that comes in may arrive at any node, through a proxy. A node without the lease asks for it, and the
node that has it hands it over, unless it has a link that is to be kept.

A node whose lease is taken over sends nothing more, and removes nothing from the outbox any more: that is
checked in the transaction (`guard`). The next node may send its last parcels again. The other realm
recognises them by their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base.background import EXPECTED, in_background
from chatd.base.isolation import guarded
from chatd.base.recurring_work import RecurringWork
from chatd.base.timers import Signal, cancel
from chatd.cluster.lease_keeper import KeptLease, LeaseKeeper
from chatd.federation.amp.link_manager import LinkManager
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.federation import Federation
from chatd.service.context import Context
from chatd.service.node_caches import NodeTable
from chatd.store import peers as store
from chatd.store.leases import check_lease
from chatd.store.peers import KnownPeer

OBTAIN_TIME = 5.0  # seconds that a link waits for the lease
LOOK_EVERY = 2.0  # seconds after which a parcel is found of which this node was not told
LEASES = "link:"  # the beginning of the names of these leases
TRY_AGAIN = 1.0  # seconds after which a node that has got a lease tries again to read the marks of the realm

log = Logger()


class LinkWanted(msgspec.Struct, frozen=True, array_like=True):
    """The node with the id `node` has a new link with a realm, whose start has that `instance`. `dialled`:
    the node has dialled it."""

    realm: str
    node: int
    instance: bytes
    dialled: bool


class LinkLeases:
    """The leases of this node. `node` returns its id. A lease that is held has an epoch; `Peer.owned` is true
    once the marks of the realm were read, too."""

    def __init__(
        self,
        context: Context,
        federation: Federation,
        manager: LinkManager,
        peers: PeerTable,
        keeper: LeaseKeeper,
        node: Callable[[], int],
    ) -> None:
        self._context = context
        self._federation = federation
        self._manager = manager
        self._peers = peers
        self._keeper = keeper
        self._node = node
        self._leases: dict[str, KeptLease] = {}
        self._epochs: dict[str, int] = {}  # under which this node has acted last
        self._obtained: dict[str, Signal] = {}
        # Told of a realm whose lease this node has got or lost
        self.on_owned: Callable[[str], object] = lambda _realm: None
        topic = context.news.topic
        self._tell_wanted = topic("link wanted", LinkWanted, self._asked, lambda: None)
        self._tell_given = topic("link given", str, lambda _realm: keeper.look(), lambda: None)
        self._table: NodeTable[str, list[KnownPeer]] = NodeTable(
            context, "realms", str, _read_peers, self._peers_changed
        )
        self._looking = RecurringWork(
            context.clock, self._look, LOOK_EVERY, "parcels of other nodes were not looked for"
        )
        federation.outbox.share(self.guard)
        manager.obtain = self.obtain
        peers.on_added, peers.on_removed, peers.on_stored = self.want, self.drop, self._table.tell
        for peer in peers.by_key.values():
            self.want(peer)

    @property
    def node(self) -> int:
        """The id of this node."""
        return self._node()

    def want_link(self, peer: Peer) -> bool:
        """Something waits for a realm of this node. Returns whether a link is expected in a moment."""
        return self._manager.dialer.want(peer)

    def start(self) -> None:
        self._looking.start(LOOK_EVERY)

    def stop(self) -> Deferred[None]:
        """Look for nothing any more. The leases are given back with all others of this node."""
        return self._looking.stop()

    def want(self, peer: Peer) -> None:
        """A realm is known from now on."""
        key, peer.owned = peer.known.key, False
        self._leases[key] = self._keeper.want(
            lease_of(key), partial(self._gained, peer), partial(self._lost, peer)
        )

    def drop(self, peer: Peer) -> None:
        """A realm is forgotten. Its link is closed already."""
        key, peer.owned = peer.known.key, False
        self.on_owned(key)
        self._epochs.pop(key, None)
        if (lease := self._leases.pop(key, None)) is not None:
            lease.release()

    def may_act(self, peer: Peer) -> bool:
        """Whether this node has the lease of a realm, also if it was stopped until now."""
        lease = self._leases.get(peer.known.key)
        return peer.owned and lease is not None and lease.epoch is not None

    def epoch(self, realm: str) -> int | None:
        """The epoch under which this node has acted last for a realm; None if it never did."""
        return self._epochs.get(realm)

    def guard(self, realm: str) -> Callable[[Connection], None]:
        """Return a check for a transaction, which raises LeaseLost if another node has taken the lease since
        this one has acted under it."""
        epoch = self._epochs.get(realm)
        if epoch is None:
            return lambda _connection: None
        return lambda connection: check_lease(connection, lease_of(realm), epoch)

    # Gaining and losing

    def _gained(self, peer: Peer, epoch: int) -> None:
        in_background("a node does not link with a realm", self._take(peer, epoch))

    async def _take(self, peer: Peer, epoch: int) -> None:
        """Read what the other nodes have learnt of the realm, and then act for it."""
        key = peer.known.key
        try:
            await self._federation.standings.reload(key)
        except EXPECTED:
            self._context.clock.callLater(TRY_AGAIN, self._take_again, peer, epoch)
            return
        lease = self._leases.get(key)
        if lease is None or lease.epoch != epoch or self._peers.get(key) is not peer:
            return
        self._epochs[key], peer.owned = epoch, True
        self.on_owned(key)
        log.info("this node links with {realm}", realm=peer.known.name)
        if (signal := self._obtained.pop(key, None)) is not None:
            self._manager.dialer.soon(peer, OBTAIN_TIME)  # the link may be lost before it is up
            signal.notify()
        elif peer.link is None:
            self._manager.dialer.soon(peer, self._manager.dialer.spread(len(self._peers.by_key)))
            if await self._federation.outbox.waits(key) and peer.owned and peer.link is None:
                self._manager.dialer.want(peer)

    def _take_again(self, peer: Peer, epoch: int) -> None:
        lease = self._leases.get(peer.known.key)
        if lease is not None and lease.epoch == epoch:
            self._gained(peer, epoch)

    def _lost(self, peer: Peer) -> None:
        """Stop to act for the realm. Another node may do so now."""
        peer.owned = False
        self.on_owned(peer.known.key)
        cancel(peer.timer)
        if (link := peer.link) is not None:
            guarded("a delivery was not ended", peer.delivery.link_down)
            guarded("a link was not ended", link.abort)

    # Links that come in

    async def obtain(self, peer: Peer, instance: bytes, dialled: bool) -> bool:
        """Get the lease for a new link, which has not said hello yet. Returns whether this node has it."""
        if peer.owned:
            return True
        key = peer.known.key
        self._keeper.look()
        self._tell_wanted(LinkWanted(key, self._node(), instance, dialled))
        signal = self._obtained.setdefault(key, Signal())
        await signal.wait_at_most(OBTAIN_TIME, self._context.clock)
        if not signal and self._obtained.get(key) is signal:
            del self._obtained[key]
        return peer.owned

    def _asked(self, wanted: LinkWanted) -> None:
        """Another node has a link with a realm."""
        peer, lease = self._peers.get(wanted.realm), self._leases.get(wanted.realm)
        if peer is None or lease is None or lease.epoch is None:
            return
        if not self._manager.keeps(peer, wanted.instance, wanted.dialled):
            in_background("a lease was not handed over", self.hand_over(peer, wanted.node))

    async def hand_over(self, peer: Peer, node: int) -> None:
        """Give the lease of a realm to the node with that id, if this one has it. Raises StorageFailed."""
        lease = self._leases.get(peer.known.key)
        if lease is None:
            return
        if peer.link is not None:
            # The next node sends again what is not noted as delivered.
            await self._federation.outbox.tidy()
            await self._federation.standings.store()
        await self._keeper.hand_over(lease, node)
        self._tell_given(peer.known.key)

    # The realms that are known

    def _peers_changed(self, realms: Sequence[str] | None, rows: Sequence[KnownPeer]) -> None:
        """Other nodes have stored or removed these realms. None: they may have changed anything, also leases,
        and what waits for realms."""
        known = {each.key: each for each in rows}
        if realms is None:
            self._keeper.look()
            self._looking.wake()
            saved = (key for key, peer in self._peers.by_key.items() if peer.saved)
            realms = [*{*known, *saved}]
        for key in realms:
            guarded("a realm is not known here", self._peers.told, key, known.get(key))

    # Parcels of other nodes

    async def _look(self) -> float:
        """Find parcels that wait for the realms of this node, in case that it was not told."""
        if any(peer.owned for peer in self._peers.by_key.values()):
            for realm in await self._federation.outbox.realms():
                peer = self._peers.get(realm)
                if peer is not None and peer.owned:
                    self.found(peer)
        return LOOK_EVERY

    def found(self, peer: Peer) -> None:
        """Parcels wait for a realm of this node."""
        if peer.link is None:
            self._manager.dialer.want(peer)
        else:
            peer.delivery.look()


def _read_peers(connection: Connection, realms: Sequence[str] | None) -> list[KnownPeer]:
    if realms is None:
        return store.all_peers(connection)
    found = (store.get(connection, realm) for realm in realms)
    return [each for each in found if each is not None]


def lease_of(realm: str) -> str:
    """The name of the lease for a realm."""
    return f"{LEASES}{realm}"
