"""The list of peers that users and operators are shown: links, queues and errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from chatd.base.realms import RealmInfo
from chatd.federation.amp.add_realm import NOT_REACHED
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.outbox import Outbox
from chatd.service.context import Context
from chatd.store.reputation import paused_realms

if TYPE_CHECKING:
    from chatd.federation.amp.link_states import OwnedLink


async def all_peers(
    context: Context,
    outbox: Outbox,
    peers: PeerTable,
    detailed: bool,
    elsewhere: Callable[[str], OwnedLink | None],
) -> Sequence[RealmInfo]:
    """All peers, by name. Unless `detailed`, errors of unconfirmed peers are vague. `elsewhere` returns what
    is known of the link of another node with a realm."""
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
            None if link is None else _direction(link.dialled),
            peer.address,
            depth.queued if depth else 0,
            depth.oldest if depth else None,
            error,
            None if link else _next_dial(context, peer),
            paused.get(key),
        )
        known = None if peer.owned else elsewhere(key)
        if known is not None and known.is_up:
            info = _linked_elsewhere(info, known)
        found.append(info)
    return found


def _linked_elsewhere(info: RealmInfo, known: OwnedLink) -> RealmInfo:
    """As `info`, for a peer that another node of this realm is linked with."""
    return msgspec.structs.replace(
        info,
        state="up",
        since=known.since,
        direction=_direction(known.dialled),
        error=None,
        next_try=None,
    )


def _direction(dialled: bool) -> str:
    return "out" if dialled else "in"


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
