"""Parcels that a node has stored for a realm with which another node is linked.

The other node is told their numbers, reads them from the outbox, and tells the outcome if the sender waits
for it. If either is lost, the parcel is found a moment later, and the sender is told that it is queued.
"""

from __future__ import annotations

from functools import partial

import msgspec

from chatd.base.cache import Cache
from chatd.federation.amp.link_leases import LinkLeases
from chatd.federation.amp.link_states import LinkStates
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.outcome_waiters import PATIENCE
from chatd.federation.parcels import Verdict
from chatd.federation.refusals import refusal, verdict_of
from chatd.federation.returning_posts import ReturningPosts
from chatd.service.context import Context
from chatd.service.remote import QUEUED, DeliveryOutcome, OnOutcome

MARGIN = 1.0  # seconds that the outcome may take over the bus
MAX_WAITING = 10_000  # parcels of other nodes for which senders wait


class StoredElsewhere(msgspec.Struct, frozen=True, array_like=True):
    """A parcel for a realm is stored. If it is `blanked`, that takes the place of what it was. `waits`: its
    sender waits for the outcome."""

    realm: str
    number: int
    blanked: bytes | None = None
    waits: bool = False


class KnownOutcome(msgspec.Struct, frozen=True, array_like=True):
    """What became of a parcel of the node that is told."""

    realm: str
    number: int
    verdict: Verdict | None = None  # if it was refused
    seq: int = 0
    queued: bool = False
    requested: bool = False


class NodeParcels:
    """What the nodes tell each other of parcels."""

    def __init__(
        self,
        context: Context,
        peers: PeerTable,
        leases: LinkLeases,
        states: LinkStates,
        posts: ReturningPosts,
    ) -> None:
        self._peers = peers
        self._leases = leases
        self._states = states
        news = context.news
        self._tell = news.direct_topic("parcel", StoredElsewhere, self._stored)
        self._answer = news.direct_topic("outcome", KnownOutcome, self._known)
        # The nodes whose senders wait, by the numbers of their parcels
        self._waiting: Cache[int, str] = Cache(MAX_WAITING)
        self._tell_returned = news.direct_topic(
            "returned", tuple[int, int, int], lambda _node, post: posts.returned_elsewhere(*post)
        )
        posts.on_elsewhere = self._returned

    def dispatch(self, peer: Peer, number: int, on_outcome: OnOutcome) -> None:
        """Let the node that is linked send a parcel. `on_outcome` is called as with ILinks.dispatch: at once,
        if no node is known to have the lease."""
        if self._states.told_owner(peer.known.key) is None:
            on_outcome(QUEUED)
            return
        # The other node tells what it knows after PATIENCE: perhaps that only the file is missing.
        peer.delivery.waiters.add(number, on_outcome, PATIENCE + MARGIN)
        self._tell_owner(StoredElsewhere(peer.known.key, number, waits=True))

    def post(self, realm: str, number: int) -> None:
        """As `dispatch`, without waiting for the outcome."""
        self._tell_owner(StoredElsewhere(realm, number))

    def blanked(self, realm: str, number: int, parcel: bytes) -> None:
        """A parcel has lost its content."""
        self._tell_owner(StoredElsewhere(realm, number, parcel))

    def _tell_owner(self, stored: StoredElsewhere) -> None:
        """Tell the node that has the lease. If none is known, the next one finds the parcel."""
        if (node := self._states.told_owner(stored.realm)) is not None:
            self._tell(node, stored)

    def _stored(self, node: str, stored: StoredElsewhere) -> None:
        peer = self._peers.get(stored.realm)
        if peer is None or not peer.owned:
            return
        if stored.blanked is not None:
            peer.delivery.blanked(stored.number, stored.blanked)
            return
        soon = peer.link is None and self._leases.want_link(peer)
        if stored.waits:
            self._waiting[stored.number] = node
            told = partial(self._tell_outcome, node, stored)
            peer.delivery.dispatch_elsewhere(stored.number, told, soon)
        else:
            peer.delivery.look(stored.number)

    def _returned(self, number: int, conversation: int, seq: int) -> None:
        """A message that another node has sent to a group of another realm has come back."""
        if (node := self._waiting.pop(number)) is not None:
            self._tell_returned(node, (number, conversation, seq))

    def _tell_outcome(self, node: str, stored: StoredElsewhere, outcome: DeliveryOutcome) -> None:
        error = outcome.error
        self._answer(
            node,
            KnownOutcome(
                stored.realm,
                stored.number,
                None if error is None else verdict_of(error),
                outcome.seq,
                outcome.queued,
                outcome.requested,
            ),
        )

    def _known(self, _node: str, known: KnownOutcome) -> None:
        peer = self._peers.get(known.realm)
        if peer is None:
            return
        error = None
        if known.verdict is not None:
            error = refusal(known.verdict, peer.known.name)
        outcome = DeliveryOutcome(error, known.queued, known.seq, known.requested)
        peer.delivery.waiters.settle((known.number,), outcome)
