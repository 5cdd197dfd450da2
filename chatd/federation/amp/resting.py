"""Closes links over which nothing was said for ten minutes, if both realms agree.

Such a link *rests*: it is dialled again when a parcel, a question or news is to be sent. Until then it costs
neither side a connection or a timer.

The side that has dialled asks (`Rest`), and the other one agrees if nothing waits there either and if it can
dial, too: otherwise what it has to say later would wait for the first side. To know that, it dials once,
which makes the new link take the place of the old one. A link that only one side can dial stays open, and is
dialled again whenever it is lost.

No link rests as long as somebody at either end follows who is online at the other one. Who begins to follow
asks, which dials.

After a start, realms that rested are not dialled. One that this realm can dial is linked at least once a day,
so that a restore of either side, or a new address, is noticed.
"""

from __future__ import annotations

import msgspec

from chatd.base.background import in_background
from chatd.base.errors import RealmDown
from chatd.federation.amp import wire
from chatd.federation.amp.dialer import Dialer
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.amp.wire import Refused
from chatd.federation.capabilities import REST
from chatd.federation.federation import Federation
from chatd.service.context import Context

IDLE_TIME = 600.0  # seconds without a request, other than pings, after which a link may rest


class Resting:
    """Decides whether links rest."""

    def __init__(
        self, context: Context, federation: Federation, peers: PeerTable, dialer: Dialer
    ) -> None:
        self._clock = context.clock
        self._federation = federation
        self._peers = peers
        self._dialer = dialer

    def check(self, link: PeerLink) -> None:
        """Called from time to time for each link that is up."""
        if not link.dialled or REST in link.other.lacks or not self._is_idle(link, IDLE_TIME):
            return
        peer = self._peers.get(link.realm)
        if peer is not None and peer.link is link and not peer.asks_to_rest:
            in_background(
                "a link was not closed, although nothing goes over it", self._ask(link, peer)
            )

    def _is_idle(self, link: PeerLink, seconds: float) -> bool:
        return self._clock.seconds() - link.used_at >= seconds

    async def _ask(self, link: PeerLink, peer: Peer) -> None:
        """Ask the other side whether the link may be closed, and close it."""
        peer.asks_to_rest = True
        try:
            agreed = await self._may_rest(peer) and await self._agrees(link)
        finally:
            peer.asks_to_rest = False
        if peer.link is not link or not self._is_idle(link, IDLE_TIME):
            return
        if not agreed:
            link.used_at = self._clock.seconds()  # ask again later
            return
        await self._begin(peer)
        if peer.link is link and peer.resting:
            link.close()

    async def _agrees(self, link: PeerLink) -> bool:
        try:
            return bool((await link.call(wire.RestCommand))["agreed"])
        except (RealmDown, Refused):
            return False

    async def asked(self, link: PeerLink) -> bool:
        """The other side asks whether the link may be closed. If so, it closes it."""
        peer = self._peers.get(link.realm)
        if peer is None or peer.link is not link or not self._is_idle(link, IDLE_TIME / 2):
            return False
        if not peer.reached:
            self._dialer.probe(peer)
            return False
        if not await self._may_rest(peer) or peer.link is not link:
            return False
        await self._begin(peer)
        return peer.resting

    async def _may_rest(self, peer: Peer) -> bool:
        """Whether this side needs no link."""
        realm = peer.known.key
        if self._federation.arrivals.are_under_way(realm) or await self._federation.outbox.waits(
            realm
        ):
            return False
        return not await self._federation.presence.is_followed(realm)

    async def _begin(self, peer: Peer) -> None:
        """Note that the link rests once it is closed, unless something is sent over it before."""
        peer.resting = True
        if not peer.known.rests:
            await self._peers.remember(peer, msgspec.structs.replace(peer.known, rests=True))
