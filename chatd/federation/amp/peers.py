"""The other realms that this one knows, in memory and in the database: addresses, certificates, links."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import msgspec
from cryptography.x509 import load_pem_x509_certificate
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from chatd.base.config import WELCOME, PeersConfig
from chatd.base.errors import RealmNotAllowed, UnknownRealm
from chatd.base.names import check_new_name
from chatd.base.timers import cancel
from chatd.base.uts39 import skeleton
from chatd.federation.amp.addresses import place_of
from chatd.federation.amp.delivery import Delivery
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.trust import TrustRecord, fingerprint
from chatd.service.context import Context
from chatd.store import peers as store
from chatd.store.peers import KnownPeer

HOUR = 3_600_000  # ms


class Peer:
    """One other realm. `fingerprint` is the one that the configuration gives. `since` is when its link came
    up or was lost, in milliseconds since 1970 UTC. `source` is where its last link came from
    (`chatd.base.sources`) if the other side has dialled."""

    def __init__(self, known: KnownPeer, fingerprint: str | None, now: int) -> None:
        self.known = known
        self.saved: KnownPeer | None = None  # as it is on disk
        self.skeleton = skeleton(known.key)  # equal for names that can be mistaken for one another
        self.fingerprint = fingerprint
        self.link: PeerLink | None = None
        self.delivery: Delivery
        self.since = now
        self.source = ""
        # Dialling (chatd.federation.amp.dialer)
        self.error: str | None = None  # why there is no link
        self.failures = 0  # dials in a row that have failed
        self.missed_at = -math.inf  # when the last one failed, or the link was lost, by the clock
        self.wanted = False  # something waits for a link
        # Resting (chatd.federation.amp.resting)
        self.resting = known.rests  # there is no link, and none is dialled unless it is wanted
        self.reached = known.rests  # this side has dialled the realm with success
        self.missed_until = (
            0.0  # until when it is dialled because its link was lost, although it rests
        )
        self.expected = False  # a link is expected in a moment
        self.asks_to_rest = False
        self.next_probe = 0.0  # when the realm may be dialled to know whether that works
        self.dialling = False
        self.owned = True  # this node, and no other of the realm, links with it
        self.timer: IDelayedCall | None = None  # until the next dial

    @property
    def remembered_fingerprint(self) -> str:
        """The fingerprint of the remembered certificate, or an empty string."""
        pem = self.known.certificate
        return "" if pem is None else fingerprint(load_pem_x509_certificate(pem.encode()))

    @property
    def address(self) -> str | None:
        host, port = self.known.host, self.known.port
        return None if host is None or port is None else place_of(host, port)


class PeerTable:
    """All peers by key. `delivery_to` makes the Delivery of a peer."""

    def __init__(self, context: Context, delivery_to: Callable[[Peer], Delivery]) -> None:
        self.by_key: dict[str, Peer] = {}
        self.own_name = context.config.realm
        self.own_key = context.realm_key
        # For the other nodes of this realm (chatd.federation.amp.link_leases): a realm is in the table, is
        # not any more, and was stored or removed from the database
        self.on_added: Callable[[Peer], object] = lambda _peer: None
        self.on_removed: Callable[[Peer], object] = lambda _peer: None
        self.on_stored: Callable[[str], object] = lambda _realm: None
        self._context = context
        self._configured = frozenset(context.config.peers.known)  # when it was last looked at
        self._delivery_to = delivery_to

    @property
    def _config(self) -> PeersConfig:
        return self._context.config.peers

    def load(self, known: Sequence[KnownPeer]) -> None:
        """Load the remembered realms and those of the configuration."""
        for each in known:
            self.add(each).saved = each
        for key in self._config.known:
            if key != self.own_key and key not in self.by_key:
                self.add(KnownPeer(key, key))

    def reconfigure(self) -> list[Peer]:
        """Use the addresses and fingerprints of a changed configuration. Returns the realms that are new or
        have others than before."""
        changed = []
        for key in self._config.known:
            if key != self.own_key and key not in self.by_key:
                changed.append(self.add(KnownPeer(key, key)))
        for peer in self.by_key.values():
            before = peer.known.host, peer.known.port, peer.fingerprint
            known = peer.known
            if known.key in self._configured and known.key not in self._config.known:
                at = peer.saved or KnownPeer(known.key, known.name)
                known = msgspec.structs.replace(known, host=at.host, port=at.port)
            peer.known, peer.fingerprint = self._overridden(known)
            if before != (peer.known.host, peer.known.port, peer.fingerprint):
                changed.append(peer)
        self._configured = frozenset(self._config.known)
        return changed

    def _overridden(self, known: KnownPeer) -> tuple[KnownPeer, str | None]:
        """A realm with the address that the configuration gives, and the fingerprint, if there are any."""
        configured = self._config.known.get(known.key)
        if configured is None:
            return known, None
        if configured.address is not None:
            host, _, port = configured.address.rpartition(":")
            known = msgspec.structs.replace(known, host=host.strip("[]"), port=int(port))
        return known, configured.fingerprint

    def add(self, known: KnownPeer) -> Peer:
        """Add a realm. The configuration overrides the address and the fingerprint."""
        known, pin = self._overridden(known)
        peer = Peer(known, pin, self._context.now())
        peer.delivery = self._delivery_to(peer)
        self.by_key[known.key] = peer
        self.on_added(peer)
        return peer

    def told(self, realm: str, known: KnownPeer | None) -> None:
        """Another node has stored what is known of a realm, or has removed it."""
        peer = self.by_key.get(realm)
        if known is None:
            if peer is not None and realm not in self._config.known:
                self._drop(realm)
        elif peer is None:
            self.add(known).saved = known
        else:
            peer.saved = known
            peer.known, peer.fingerprint = self._overridden(known)

    def _drop(self, realm: str) -> None:
        """Remove a realm from memory, with its link."""
        peer = self.by_key.pop(realm, None)
        if peer is not None:
            _close(peer)
            self.on_removed(peer)

    def get(self, realm: str) -> Peer | None:
        return self.by_key.get(realm)

    def find(self, realm: str) -> Peer:
        """Raises UnknownRealm."""
        peer = self.by_key.get(realm)
        if peer is None:
            raise UnknownRealm(realm=realm)
        return peer

    def is_added(self, realm: str) -> bool:
        """Whether somebody here has added the realm, or the configuration names it."""
        peer = self.by_key.get(realm)
        return realm in self._config.known or (peer is not None and peer.known.host is not None)

    def is_welcome(self, realm: str) -> bool:
        """Whether the people of the realm are no strangers: it was added, or all realms are welcome."""
        return self._config.strangers == WELCOME or self.is_added(realm)

    def is_confirmed(self, peer: Peer) -> bool:
        """Whether an operator has added the realm, or the configuration names it."""
        return peer.known.confirmed or peer.known.key in self._config.known

    def unconfirmed(self) -> Iterator[Peer]:
        """The realms that no operator has added."""
        return (peer for peer in self.by_key.values() if not self.is_confirmed(peer))

    def check_blocked(self, realm: str) -> None:
        """Raises RealmNotAllowed if there may be no link with the realm with that key."""
        reason = ""
        if realm in self._config.block:
            reason = "[peers] block names it"
        elif realm in self._context.banned_realms:
            reason = "an operator has banned it"
        if reason:
            raise RealmNotAllowed(realm=realm, where=self.own_name, reason=reason)

    def check_name(self, realm: str, *, against: Callable[[Peer], bool]) -> None:
        """Check the name of a realm that is not known yet. Raises BadName if it mixes scripts, and
        RealmNotAllowed if it can be mistaken for the name of this realm or of a peer for which `against`
        returns true."""
        check_new_name(realm)
        look = skeleton(realm)
        alike = [
            key for key, peer in self.by_key.items() if peer.skeleton == look and against(peer)
        ]
        if skeleton(self.own_key) == look:
            alike.append(self.own_key)
        for other in alike:
            if other != realm:
                raise RealmNotAllowed(
                    realm=realm,
                    where=self.own_name,
                    reason=f"its name can be mistaken for {other}, which is known there",
                )

    def known_of(self, realm: str) -> TrustRecord:
        """What decides whether a certificate of that realm is accepted."""
        peer = self.by_key.get(realm)
        added = self.is_added(realm)
        if peer is None:
            return TrustRecord(added)
        return TrustRecord(added, peer.fingerprint, peer.known.certificate)

    def remember(self, peer: Peer, known: KnownPeer) -> Deferred[None]:
        """Store what is known of a peer. Fires once it is on disk.

        If only the time of its last link has changed, it is written once an hour, so that a link that comes
        and goes does not keep the disk busy.
        """
        peer.known, saved = known, peer.saved
        if saved is not None and saved == msgspec.structs.replace(known, linked_at=saved.linked_at):
            passed = (known.linked_at or 0) - (saved.linked_at or 0)
            if 0 <= passed < HOUR:
                return succeed(None)

        def stored(_result: None) -> None:
            peer.saved = known
            self.on_stored(known.key)

        storing = self._context.database.run(store.remember, known, self._context.now())
        return storing.addCallback(stored)

    def linked(self, known: KnownPeer) -> KnownPeer:
        """Return `known` with the present time as that of the last link."""
        return msgspec.structs.replace(known, linked_at=self._context.now())

    async def forget(self, *realms: str) -> None:
        """Remove these realms from memory, with their links, and from the database."""
        for realm in realms:
            self._drop(realm)
        await self._context.database.run(store.forget, realms)
        for realm in realms:
            self.on_stored(realm)


def _close(peer: Peer) -> None:
    cancel(peer.timer)
    if peer.link is not None:
        peer.delivery.link_down()
        peer.link.close()
