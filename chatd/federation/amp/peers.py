"""The realms that this one knows: their addresses and certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from cryptography.x509 import load_pem_x509_certificate
from twisted.internet.defer import Deferred, succeed

from chatd.base.config import Config
from chatd.base.errors import RealmNotAllowed, UnknownRealm
from chatd.base.names import check_new_name, key_of
from chatd.base.uts39 import skeleton
from chatd.federation.amp.delivery import Delivery
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.reach import place_of
from chatd.federation.amp.trust import TrustRecord, fingerprint
from chatd.service.chat_service import ChatService
from chatd.store import peers as store
from chatd.store.peers import KnownPeer

HOUR = 3_600_000  # ms


class Peer:
    """One other realm. `since` is when its link came up or went, in milliseconds since 1970 UTC, and `source`
    where the last link came from (`chatd.base.sources`), if the other side dialled."""

    def __init__(self, known: KnownPeer, fingerprint: str | None, now: int) -> None:
        self.known = known
        self.look = skeleton(known.key)  # equal for names that can be mistaken for one another
        self.saved: KnownPeer | None = None  # as it is on disk
        self.fingerprint = fingerprint
        self.link: PeerLink | None = None
        self.delivery: Delivery
        self.since = now
        self.source = ""
        self.error: str | None = None
        self.failures = 0
        self.dialling = False
        self.timer: Any = None

    @property
    def shown(self) -> str:
        """The fingerprint of the remembered certificate, or an empty string."""
        pem = self.known.certificate
        return "" if pem is None else fingerprint(load_pem_x509_certificate(pem.encode()))

    @property
    def address(self) -> str | None:
        host, port = self.known.host, self.known.port
        return None if host is None or port is None else place_of(host, port)


class PeerTable:
    """All peers by key, in memory and in the database. `attach` it to the service, then `load`."""

    def __init__(self, config: Config) -> None:
        self.peers: dict[str, Peer] = {}
        self.own_name = config.realm
        self.own_key = key_of(config.realm)
        self._config = config
        self._service: ChatService
        self._deliver: Callable[[Peer], Delivery]

    def attach(self, service: ChatService, deliver: Callable[[Peer], Delivery]) -> None:
        """`deliver` makes what sends a peer its parcels."""
        self._service = service
        self._deliver = deliver

    def load(self, known: Sequence[KnownPeer]) -> None:
        """Load the remembered realms and those of the configuration."""
        for each in known:
            self.add(each).saved = each
        for key in self._config.peers.known:
            if key != self.own_key and key not in self.peers:
                self.add(KnownPeer(key, key))

    def add(self, known: KnownPeer) -> Peer:
        """Add a realm. The configuration overrides the address and the fingerprint."""
        configured = self._config.peers.known.get(known.key)
        pin = None
        if configured is not None:
            pin = configured.fingerprint
            if configured.address is not None:
                host, _, port = configured.address.rpartition(":")
                known = msgspec.structs.replace(known, host=host.strip("[]"), port=int(port))
        peer = Peer(known, pin, self._service.context.now())
        peer.delivery = self._deliver(peer)
        self.peers[known.key] = peer
        return peer

    def get(self, realm: str) -> Peer | None:
        return self.peers.get(realm)

    def find(self, realm: str) -> Peer:
        """Raises UnknownRealm."""
        peer = self.peers.get(realm)
        if peer is None:
            raise UnknownRealm(realm=realm)
        return peer

    def is_added(self, realm: str) -> bool:
        """Whether somebody here has added the realm, or the configuration names it."""
        peer = self.peers.get(realm)
        return realm in self._config.peers.known or (
            peer is not None and peer.known.host is not None
        )

    def is_vouched(self, peer: Peer) -> bool:
        """Whether an operator has added the realm, or the configuration names it."""
        return peer.known.confirmed or peer.known.key in self._config.peers.known

    def unvouched(self) -> Iterator[Peer]:
        """The realms that no operator has added."""
        return (peer for peer in self.peers.values() if not self.is_vouched(peer))

    def check_name(self, realm: str, *, against: Callable[[Peer], bool]) -> None:
        """Refuse the name of a realm that is not known yet if it mixes scripts, or can be mistaken for that
        of this realm or of one that `against` is true of.

        Raises BadName, RealmNotAllowed.
        """
        check_new_name(realm)
        look = skeleton(realm)
        alike = [key for key, peer in self.peers.items() if peer.look == look and against(peer)]
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
        """What is known of the realm in a certificate."""
        peer = self.peers.get(realm)
        added = self.is_added(realm)
        if peer is None:
            return TrustRecord(added)
        return TrustRecord(added, peer.fingerprint, peer.known.certificate)

    def remember(self, peer: Peer, known: KnownPeer) -> Deferred[None]:
        """Store what is known of a peer. Fires once it is on disk.

        A later time of its last link alone is written once an hour, so that a link that comes and goes does
        not keep the disk busy.
        """
        peer.known, saved = known, peer.saved
        if saved is not None and saved == msgspec.structs.replace(known, linked_at=saved.linked_at):
            passed = (known.linked_at or 0) - (saved.linked_at or 0)
            if 0 <= passed < HOUR:
                return succeed(None)
        peer.saved = known
        now = self._service.context.now()
        return self._service.database.run(store.remember, known, now)

    def linked(self, known: KnownPeer) -> KnownPeer:
        """`known` with the present time as that of the last link."""
        return msgspec.structs.replace(known, linked_at=self._service.context.now())

    async def forget(self, *realms: str) -> None:
        """Remove these realms from memory, with their links, and from the database."""
        for realm in realms:
            peer = self.peers.pop(realm, None)
            if peer is not None:
                self._let_go(peer)
        await self._service.database.run(store.forget, realms)

    def _let_go(self, peer: Peer) -> None:
        if peer.timer is not None and peer.timer.active():
            peer.timer.cancel()
        if peer.link is not None:
            peer.delivery.link_down()
            peer.link.close()
