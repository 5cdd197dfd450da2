"""Makes links over TCP and TLS: dials, accepts, and authenticates the other end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.x509 import Certificate
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Connection
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from chatd.base.clocks import IReactor, Wall, date_of
from chatd.federation.amp.addresses import place_of
from chatd.federation.amp.connect import connect
from chatd.federation.amp.identity import RealmIdentity
from chatd.federation.amp.link import PeerLink, Route
from chatd.federation.amp.pending_links import PendingLinks
from chatd.federation.amp.tls import TLSOptions, peer_chain
from chatd.federation.amp.trust import Authentication, Policy, TrustRecord, authenticate
from chatd.net.eager import Eager
from chatd.net.sockets import keep_alive

if TYPE_CHECKING:
    from chatd.federation.amp.link_manager import LinkManager


class EagerTLS(TLSMemoryBIOProtocol):
    """TLS that sends each write at once.

    Twisted's TLS collects small writes until the next turn of the reactor, and its TCP transports wait for
    the turn after that. AMP writes whole boxes, and somebody waits for each.
    """

    def makeConnection(self, transport: Any) -> None:  # noqa: N802 - as Twisted names it
        if isinstance(transport, Connection):
            keep_alive(transport.getHandle())
            transport = Eager(transport)
        super().makeConnection(transport)


class TLSFactory(TLSMemoryBIOFactory):
    protocol = EagerTLS
    noisy = False


class TLSEndpoint:
    """Shows `identity`. `policy` says which realms are let in; certificates must be valid at the time of
    `wall`."""

    def __init__(
        self, reactor: IReactor, identity: RealmIdentity, policy: Policy, wall: Wall = time.time
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._policy = policy
        self._tls = TLSOptions(identity)

    @property
    def authorities(self) -> tuple[Certificate, ...]:
        """The authorities whose certificates are accepted, as the policy has them."""
        return self._policy.authorities

    def show(self, identity: RealmIdentity, policy: Policy) -> None:
        """Use this identity and this policy from the next connection on."""
        self._tls.show(identity)
        self._policy = policy

    def block(self, realms: frozenset[str]) -> None:
        """Turn these realms away from the next connection on, and no others."""
        self._policy = msgspec.structs.replace(self._policy, blocked=realms)

    def dial(
        self, host: LinkManager, realm: str, to: str, port: int, *, private: bool
    ) -> Deferred[PeerLink]:
        """Dial `realm` at that address. Fires with a link that is up; fails with the reason. `private` says
        whether private and loopback addresses may be dialled. It can be cancelled."""
        return Deferred.fromCoroutine(self._dial(host, realm, to, port, private))

    async def _dial(
        self, host: LinkManager, realm: str, to: str, port: int, private: bool
    ) -> PeerLink:
        link = PeerLink(host, Route(place_of(to, port), realm))
        wrapped = TLSFactory(self._tls, True, _OneLink(link))
        ready = link.ready
        await connect(self._reactor, to, port, wrapped, private=private)
        try:
            await ready
        except CancelledError:
            link.abort()
            raise
        return link

    def factory(self, host: LinkManager) -> TLSMemoryBIOFactory:
        """The factory for the port to which other realms connect."""
        return TLSFactory(self._tls, False, PendingLinks(host))

    def authenticate(
        self, link: PeerLink, known_of: Callable[[str], TrustRecord]
    ) -> Authentication:
        """Identify the realm at the other end. Raises what `trust.authenticate` raises."""
        return authenticate(
            [] if link.transport is None else peer_chain(link.transport),
            date_of(self._wall),
            policy=self._policy,
            known_of=known_of,
            address=link.route.address,
            expected=link.route.expected,
        )


class _OneLink(Factory):
    """The factory of one link that is being dialled."""

    noisy = False

    def __init__(self, link: PeerLink) -> None:
        self._link = link

    def buildProtocol(self, addr: IAddress | None) -> PeerLink:
        return self._link
