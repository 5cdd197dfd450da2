"""How links come about: TLS at both ends, and the judgement of who is at the other one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Connection
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from chatd.base.clocks import Wall, date_of
from chatd.federation.amp.identity import Identity, client_options, peer_chain, server_options
from chatd.federation.amp.link import LinkHost, PeerLink, Route
from chatd.federation.amp.pending_links import PendingLinks
from chatd.federation.amp.reach import connect, place_of
from chatd.federation.amp.trust import Authentication, Policy, TrustRecord, authenticate
from chatd.net.eager import Eager
from chatd.net.sockets import keep_alive


class EagerTLS(TLSMemoryBIOProtocol):
    """TLS over a transport that is asked at once to send what it can.

    Twisted's own collects small writes until the next turn, and its transports wait for the one after
    that. AMP writes whole boxes, and somebody waits for each.
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
    """`policy` says who is let in; certificates have to be valid at the time of `wall`."""

    def __init__(
        self, reactor: Any, identity: Identity, policy: Policy, wall: Wall = time.time
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._policy = policy
        self._client = client_options(identity)
        self._server = server_options(identity)

    def show(self, identity: Identity, policy: Policy) -> None:
        """Use this identity and this policy from the next connection on."""
        for options in (self._client, self._server):
            options.show(identity)
        self._policy = policy

    def dial(
        self, host: LinkHost, realm: str, to: str, port: int, *, private: bool
    ) -> Deferred[PeerLink]:
        """Dial `realm` at that address. Fires with a link that is up. `private` says whether private and
        loopback addresses may be dialled. Fails with the reason. Cancelling it drops the connection."""
        return Deferred.fromCoroutine(self._dial(host, realm, to, port, private))

    async def _dial(
        self, host: LinkHost, realm: str, to: str, port: int, private: bool
    ) -> PeerLink:
        link = PeerLink(host, Route(place_of(to, port), realm))
        wrapped = TLSFactory(self._client, True, _Only(link))
        ready = link.ready
        await connect(self._reactor, to, port, wrapped, private=private)
        try:
            await ready
        except CancelledError:
            link.abort()
            raise
        return link

    def factory(self, host: LinkHost) -> TLSMemoryBIOFactory:
        """For the port on which other realms connect."""
        return TLSFactory(self._server, False, PendingLinks(host))

    def authenticate(
        self, link: PeerLink, known_of: Callable[[str], TrustRecord]
    ) -> Authentication:
        """Who is at the other end. Raises what `trust.authenticate` does."""
        return authenticate(
            peer_chain(link.transport),
            date_of(self._wall),
            policy=self._policy,
            known_of=known_of,
            address=link.route.address,
            expected=link.route.expected,
        )


class _Only(Factory):
    """Makes the one link that is being dialled; it is a new one each time."""

    noisy = False

    def __init__(self, link: PeerLink) -> None:
        self._link = link

    def buildProtocol(self, addr: IAddress | None) -> PeerLink:
        return self._link
