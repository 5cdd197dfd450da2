"""Gives links to nodes that have few: a node that joins gets its share, a few realms at a time.

Only the node with the most leases gives some away, and only if it has at least two more than the one with the
least, so that no lease goes back and forth. Realms without a link go first, since that costs nothing. A link
that this realm has dialled is made anew by the next node, one in each round. A link that has come in stays:
the other realm dials again through a proxy, which may lead it anywhere, and its lease follows it.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred

from chatd.base.recurring_work import RecurringWork
from chatd.federation.amp.link_leases import LEASES, LinkLeases
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.service.context import Context
from chatd.store.leases import count_of_living

EVERY = 10.0  # seconds between two rounds
MAX_GIVEN = 20  # leases in one round
MIN_AGE = 60_000  # ms for which a link has been up before it may be given away


class LinkBalance:
    """Looks every few seconds whether this node has more leases for links than others."""

    def __init__(self, context: Context, peers: PeerTable, leases: LinkLeases) -> None:
        self._context = context
        self._peers = peers
        self._leases = leases
        self._work = RecurringWork(
            context.clock, self._balance, EVERY, "links were not shared among the nodes"
        )

    def start(self) -> None:
        part = self._context.random_bytes(1)[0] / 256  # nodes that start together look one by one
        self._work.start(EVERY * (1 + part))

    def stop(self) -> Deferred[None]:
        return self._work.stop()

    async def _balance(self) -> float:
        read, now = self._context.database.read, self._context.now()
        counts: dict[int, int] = await read(count_of_living, now, LEASES)
        to, count = surplus(counts, self._leases.node)
        for peer in self._movable()[:count]:
            await self._leases.hand_over(peer, to)
        return EVERY

    def _movable(self) -> list[Peer]:
        """The realms of this node that another one may have: those without a link, and at most one with a
        link."""
        owned = [peer for peer in self._peers.by_key.values() if peer.owned]
        idle = [peer for peer in owned if peer.link is None and not peer.dialling]
        before = self._context.now() - MIN_AGE
        linked = [
            peer
            for peer in owned
            if (link := peer.link) is not None
            and link.is_up
            and link.dialled
            and peer.since <= before
        ]
        return [*idle, *linked[:1]]


def surplus(counts: Mapping[int, int], node: int) -> tuple[int, int]:
    """To which node a node gives leases in a round, and how many. `counts` are the leases of all nodes, by
    their ids."""
    if node not in counts:
        return node, 0
    least = min(counts, key=lambda each: (counts[each], each))
    most = max(counts, key=lambda each: (counts[each], -each))
    excess = (counts[node] - counts[least]) // 2
    if most != node or excess < 1:
        return node, 0
    return least, min(MAX_GIVEN, max(1, excess // 4))
