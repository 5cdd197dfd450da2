"""`addrealm`: dials a realm, remembers its certificate, and decides what the user is told.

An operator confirms the realm: its address may be private, and the certificate that it shows there replaces
one that no operator has confirmed. Other users (`[peers] add = anyone`) are told only whether a realm of that
name was reached, so that the daemon can't be used as a port scanner. Only the time until the answer still
differs.
"""

from __future__ import annotations

import msgspec
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.errors import ChatError, RealmExists, RealmNotAllowed, RealmUnreachable
from chatd.base.names import key_of
from chatd.base.realms import Added
from chatd.federation.amp.addresses import check_literal, place_of
from chatd.federation.amp.connect import explain
from chatd.federation.amp.dialer import Dialer
from chatd.federation.amp.link import LinkSuperseded, PeerLink
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.amp.trust import Authentication, TrustRecord
from chatd.service.context import Context
from chatd.store import peers as store
from chatd.store.peers import KnownPeer

NOT_REACHED = "check its name, address and port"

log = Logger()


class Attempt(msgspec.Struct):
    """A realm that is being added. `authentication` has the certificate that it showed at `address`."""

    realm: str
    address: str
    by_operator: bool
    authentication: Authentication | None = None


class RealmAdder:
    """Carries out `addrealm`. Meanwhile `known_of` is asked when links are authenticated, and `authenticated`
    is told the result."""

    def __init__(self, context: Context, peers: PeerTable, dialer: Dialer) -> None:
        self._context = context
        self._peers = peers
        self._dialer = dialer
        self._attempts: dict[str, Attempt] = {}

    def is_adding(self, realm: str) -> bool:
        return realm in self._attempts

    def known_of(self, realm: str, link: PeerLink) -> TrustRecord:
        """What decides whether the certificate of `link`, which names `realm`, is accepted."""
        known = self._peers.known_of(realm)
        attempt = self._attempts.get(realm)
        if attempt is None:
            return known
        peer = self._peers.get(realm)
        unconfirmed = peer is None or not peer.known.confirmed
        if attempt.by_operator and unconfirmed and _belongs(link, attempt):
            known = msgspec.structs.replace(known, certificate=None)
        return msgspec.structs.replace(known, added=True)

    def authenticated(self, link: PeerLink, authentication: Authentication) -> None:
        """The certificate of `link` was accepted."""
        attempt = self._attempts.get(authentication.realm)
        if attempt is not None and _belongs(link, attempt):
            attempt.authentication = authentication

    async def add(self, realm: str, host: str, port: int, by_operator: bool) -> Added:
        """Make a realm a peer. Raises BadName, RealmNotAllowed, RealmExists, ForbiddenAddress; for an
        operator also the reason of a failure, for others RealmUnreachable."""
        attempt = Attempt(key_of(realm), place_of(host, port), by_operator)
        private = by_operator or self._context.config.peers.private
        self._check(realm, attempt)
        check_literal(host, private=private)
        peer = self._peers.get(attempt.realm)
        before = peer.remembered_fingerprint if peer is not None else ""
        self._attempts[attempt.realm] = attempt
        try:
            refused = await self._reach(realm, host, port, private, attempt)
            peer = await self._keep(realm, host, port, attempt)
        finally:
            del self._attempts[attempt.realm]
        if refused is not None:
            peer.error = str(refused)
            peer.failures += 1
        self._dialer.soon(peer)
        if refused is not None:
            raise refused if by_operator else self._not_reached(realm, attempt, refused)
        if not before or before == peer.remembered_fingerprint:
            return Added(peer.remembered_fingerprint)
        exposed = await self._context.database.read(store.exposed, peer.known.key)
        return Added(peer.remembered_fingerprint, before, tuple(exposed))

    def _check(self, realm: str, attempt: Attempt) -> None:
        self._peers.check_blocked(attempt.realm)
        peer = self._peers.get(attempt.realm)
        is_peer = peer is not None and peer.known.host is not None
        replaces = attempt.by_operator and peer is not None and not self._peers.is_confirmed(peer)
        if attempt.realm in self._attempts or (is_peer and not replaces):
            raise RealmExists(realm=realm)
        if peer is None:
            # An operator may take a name that resembles that of an unconfirmed realm.
            self._peers.check_name(
                attempt.realm,
                against=self._peers.is_confirmed if attempt.by_operator else lambda _peer: True,
            )

    async def _reach(
        self, realm: str, host: str, port: int, private: bool, attempt: Attempt
    ) -> ChatError | None:
        """Link with the realm. Returns None, or why the realm does not let this one in yet: its operator may
        have to add this realm first."""
        try:
            await self._dialer.connect(realm, host, port, private=private)
        except Exception as error:
            if isinstance(error, LinkSuperseded) and self._is_linked(attempt):
                return None
            refused = explain(Failure(), realm, attempt.address)
            if isinstance(refused, RealmNotAllowed) and refused.details["where"] == realm:
                return refused
            if attempt.by_operator:
                raise refused from None
            raise self._not_reached(realm, attempt, refused) from None
        return None

    def _is_linked(self, attempt: Attempt) -> bool:
        """Whether another link is up whose other end is the realm that was dialled."""
        peer = self._peers.get(attempt.realm)
        if peer is None or peer.link is None or attempt.authentication is None:
            return False
        found = peer.link.authentication
        return found is not None and found.certificate == attempt.authentication.certificate

    def _not_reached(self, realm: str, attempt: Attempt, error: ChatError) -> ChatError:
        log.info("{realm} was not added: {error}", realm=realm, error=str(error))
        return RealmUnreachable(realm=realm, address=attempt.address, reason=NOT_REACHED)

    async def _keep(self, realm: str, host: str, port: int, attempt: Attempt) -> Peer:
        """Remember the realm with its address and certificate."""
        peer = self._peers.get(attempt.realm)
        if peer is None:
            peer = self._peers.add(KnownPeer(attempt.realm, realm))
        known = msgspec.structs.replace(
            peer.known, host=host, port=port, confirmed=attempt.by_operator
        )
        if attempt.authentication is not None and attempt.authentication.remember:
            known = msgspec.structs.replace(known, certificate=attempt.authentication.pem)
        await self._peers.remember(peer, known)
        if peer.link is not None and attempt.by_operator and not self._is_linked(attempt):
            peer.link.abort()  # the link of a realm that had taken the name before
        return peer


def _belongs(link: PeerLink, attempt: Attempt) -> bool:
    return link.dialled and link.route.address == attempt.address
