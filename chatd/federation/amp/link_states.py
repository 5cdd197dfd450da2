"""Which node of this realm links with which other realm, and what that realm takes, as the nodes tell each
other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from chatd.federation.amp.link_leases import LinkLeases, lease_of
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.service.context import Context
from chatd.service.soft_state import CopyChange, SoftState, StatePage, StateSource
from chatd.store.leases import find_owner


class OwnedLink(msgspec.Struct, frozen=True, array_like=True):
    """A node has the lease of a realm, in that `epoch`. `lacks` are the capabilities that the realm lacks;
    None: there is no link. `since` is when it came up or was lost, in ms since 1970 UTC."""

    epoch: int
    since: int
    lacks: tuple[str, ...] | None = None
    dialled: bool = False

    @property
    def is_up(self) -> bool:
        return self.lacks is not None


class LinkStates:
    """The links of the other nodes. `on_change(realm, before, after)` is told of each change."""

    def __init__(
        self,
        context: Context,
        peers: PeerTable,
        leases: LinkLeases,
        on_change: Callable[[str, OwnedLink | None, OwnedLink | None], object],
    ) -> None:
        self._context = context
        self._peers = peers
        self._leases = leases
        self._on_change = on_change
        # By the keys of realms: the names of nodes, and what they have told. Read in any thread.
        self._owners: dict[str, tuple[str, OwnedLink]] = {}
        source = StateSource(self._realms, self._own)
        self._state = SoftState[str, OwnedLink](
            context.news, context.clock, "links", StatePage[str, OwnedLink], source, self._told
        )

    def stop(self) -> None:
        """Tell nothing any more."""
        self._state.stop()

    def changed(self, realm: str) -> None:
        """This node has got or lost a lease or a link."""
        self._state.changed(realm)

    def get(self, realm: str) -> OwnedLink | None:
        """What another node tells of its link with a realm; None if none has told that it has the lease. May
        be called in any thread."""
        found = self._owners.get(realm)
        return None if found is None else found[1]

    async def owner(self, realm: str) -> str | None:
        """The name of the other node that has the lease of a realm; None if there is none, or if it is this
        one."""
        found = self._owners.get(realm)
        return await self.look_up(realm) if found is None else found[0]

    async def look_up(self, realm: str) -> str | None:
        """As `owner`, as the database has it."""
        read, now = self._context.database.read, self._context.now()
        found: str | None = await read(find_owner, lease_of(realm), now)
        return None if found == self._context.news.name else found

    def told_owner(self, realm: str) -> str | None:
        """As `owner`, as far as the nodes have told."""
        found = self._owners.get(realm)
        return None if found is None else found[0]

    def may_act(self, peer: Peer) -> bool:
        """Whether this node has the lease of a realm."""
        return self._leases.may_act(peer)

    # What this node has

    def _realms(self) -> Iterable[str]:
        return [key for key, peer in self._peers.by_key.items() if peer.owned]

    def _own(self, realm: str) -> OwnedLink | None:
        peer, epoch = self._peers.get(realm), self._leases.epoch(realm)
        if peer is None or not peer.owned or epoch is None:
            return None
        link = peer.link
        if link is None or not link.is_up:
            return OwnedLink(epoch, peer.since)
        return OwnedLink(epoch, peer.since, tuple(sorted(link.lacks)), link.dialled)

    # What the others have

    def _told(
        self, realm: str, _before: OwnedLink | None, _after: OwnedLink | None, _how: CopyChange
    ) -> None:
        """Of two nodes that both say that they have the lease, the one that got it last has it."""
        found = [
            (node, known)
            for node, entries in self._state.copies.items()
            if (known := entries.get(realm)) is not None
        ]
        before = self.get(realm)
        if found:
            self._owners[realm] = max(found, key=lambda each: each[1].epoch)
        else:
            self._owners.pop(realm, None)
        after = self.get(realm)
        if before != after:
            self._on_change(realm, before, after)
