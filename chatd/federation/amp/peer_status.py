"""The list of peers that users and operators are shown: links, queues and errors."""

from __future__ import annotations

from collections.abc import Sequence

from chatd.base.realms import RealmInfo
from chatd.federation.amp.add_realm import NOT_REACHED
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.outbox import Outbox
from chatd.service.context import Context
from chatd.store.reputation import paused_realms


async def all_peers(
    context: Context, outbox: Outbox, peers: PeerTable, detailed: bool
) -> Sequence[RealmInfo]:
    """All peers, by name. Unless `detailed`, errors of unconfirmed peers are vague."""
    depths = await outbox.depths()
    paused = await context.database.read(paused_realms, context.now())
    found = []
    for key, peer in sorted(peers.by_key.items()):
        link = peer.link if peer.link is not None and peer.link.is_up else None
        depth = depths.get(key)
        error = peer.error
        if error is not None and not detailed and not peers.is_confirmed(peer):
            # Anybody may choose the address, and the error would tell what listens there.
            error = NOT_REACHED
        info = RealmInfo(
            peer.known.name,
            _state(peer),
            peer.since,
            None if link is None else "out" if link.dialled else "in",
            peer.address,
            depth.queued if depth else 0,
            depth.oldest if depth else None,
            error,
            None if link else _next_dial(context, peer),
            paused.get(key),
        )
        found.append(info)
    return found


def _state(peer: Peer) -> str:
    if peer.link is not None and peer.link.is_up:
        return "up"
    return "connecting" if peer.dialling else "resting" if peer.resting else "down"


def _next_dial(context: Context, peer: Peer) -> int | None:
    """When `peer` will be dialled, in ms since 1970 UTC; None if it will not."""
    if peer.timer is None or not peer.timer.active():
        return None
    left = peer.timer.getTime() - context.clock.seconds()
    return context.now() + int(left * 1000)
