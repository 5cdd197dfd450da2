"""The list of peers that users and operators are shown: links, queues and errors."""

from __future__ import annotations

from collections.abc import Sequence

from chatd.base.model import RealmInfo
from chatd.federation.amp.add_realm import NOT_REACHED
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.outbox import Outbox
from chatd.service.context import Context
from chatd.store.outbox import Depth


class PeerStatus:
    def __init__(self, context: Context, outbox: Outbox, peers: PeerTable) -> None:
        self._context = context
        self._outbox = outbox
        self._peers = peers

    async def all(self, detailed: bool) -> Sequence[RealmInfo]:
        """All peers, by name. Unless `detailed`, errors of unconfirmed peers are vague."""
        depths = await self._outbox.depths()
        peers = self._peers.by_key
        return tuple(self._info(peers[key], depths.get(key), detailed) for key in sorted(peers))

    def _info(self, peer: Peer, depth: Depth | None, detailed: bool) -> RealmInfo:
        link = peer.link if peer.link is not None and peer.link.is_up else None
        error = peer.error
        if error is not None and not detailed and not self._peers.is_confirmed(peer):
            # Anybody may choose the address, and the error would tell what listens there.
            error = NOT_REACHED
        return RealmInfo(
            peer.known.name,
            "up" if link else "connecting" if peer.dialling else "down",
            peer.since,
            None if link is None else "out" if link.dialled else "in",
            peer.address,
            depth.queued if depth else 0,
            depth.oldest if depth else None,
            error,
            None if link else self._next_dial(peer),
        )

    def _next_dial(self, peer: Peer) -> int | None:
        """When `peer` will be dialled, in ms since 1970 UTC; None if it will not."""
        if peer.timer is None or not peer.timer.active():
            return None
        left = peer.timer.getTime() - self._context.clock.seconds()
        return self._context.now() + int(left * 1000)
