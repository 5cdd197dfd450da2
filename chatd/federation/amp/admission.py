"""Decides which realms may link: by their certificate, their name, and the room for unconfirmed realms."""

from __future__ import annotations

from chatd.base.errors import BadName, CertificateChanged, RealmNotAllowed
from chatd.base.names import key_of
from chatd.federation.amp.add_realm import RealmAdder
from chatd.federation.amp.dialer import Endpoint
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.peers import PeerTable
from chatd.federation.amp.trust import Authentication
from chatd.federation.amp.unconfirmed import UnconfirmedRealms
from chatd.service.context import Context


class Admission:
    """`endpoint` checks certificates. A realm that `adder` is adding is let in whatever its name is."""

    def __init__(
        self,
        context: Context,
        endpoint: Endpoint,
        peers: PeerTable,
        adder: RealmAdder,
        unconfirmed: UnconfirmedRealms,
    ) -> None:
        self._context = context
        self._endpoint = endpoint
        self._peers = peers
        self._adder = adder
        self._unconfirmed = unconfirmed

    def authenticate(self, link: PeerLink) -> Authentication:
        """Identify the other end of `link`. Raises what `trust.authenticate` does, and RealmNotAllowed for a
        realm that is banned, and for a new one with a misleading name."""
        try:
            found = self._endpoint.authenticate(link, lambda key: self._adder.known_of(key, link))
        except CertificateChanged as error:
            peer = self._peers.get(key_of(str(error.details["realm"])))
            if peer is not None and peer.link is None:
                peer.error = str(error)  # whichever side has dialled
            raise
        if found.realm in self._context.banned_realms:
            raise RealmNotAllowed(
                realm=found.realm, where=self._peers.own_name, reason="it is banned there"
            )
        self._check_name(found.realm)
        link.authentication = found
        self._adder.authenticated(link, found)
        return found

    def _is_new(self, realm: str) -> bool:
        return self._peers.get(realm) is None and not self._adder.is_adding(realm)

    def _check_name(self, realm: str) -> None:
        if not self._is_new(realm):
            return
        try:
            self._peers.check_name(realm, against=lambda _peer: True)
        except BadName as error:
            raise RealmNotAllowed(
                realm=realm, where=self._peers.own_name, reason=str(error)
            ) from None

    async def make_room(self, realm: str) -> None:
        """Make room for a realm that is not known yet. Raises RealmNotAllowed."""
        if self._is_new(realm):
            await self._unconfirmed.make_room(realm)
