"""What users and operators are shown of the peers: links, queues and errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatd.base.model import RealmInfo
from chatd.federation.amp.add_realm import NOT_REACHED
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.outbox import Outbox
from chatd.service.chat_service import ChatService


class PeerStatus:
    def __init__(
        self, clock: Any, service: ChatService, outbox: Outbox, registry: PeerTable
    ) -> None:
        self._clock = clock
        self._service = service
        self._outbox = outbox
        self._registry = registry

    async def all(self, detailed: bool) -> Sequence[RealmInfo]:
        """All peers, by name. Unless `detailed`, errors of peers that no operator added are vague."""
        depths = await self._outbox.depths()
        peers = self._registry.peers
        return tuple(self._info(peers[key], depths.get(key), detailed) for key in sorted(peers))

    def _info(self, peer: Peer, depth: Any, detailed: bool) -> RealmInfo:
        link = peer.link if peer.link is not None and peer.link.is_up else None
        error = peer.error
        if error is not None and not detailed and not self._registry.is_vouched(peer):
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
        """When `peer` will be dialled, in ms since 1970 UTC; None if it won't."""
        if peer.timer is None or not peer.timer.active():
            return None
        left: float = peer.timer.getTime() - self._clock.seconds()
        return self._service.context.now() + int(left * 1000)
