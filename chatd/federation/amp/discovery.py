"""Makes realms known that nobody here has added, when somebody here names one.

A realm that is found and proves its name is a peer like one that has linked on its own, so its people are
strangers. One that is found and does not answer is a peer, too, for which messages are queued. One whose
certificate is not accepted is not.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.errors import (
    BadCertificate,
    CertificateChanged,
    ChatError,
    LookupDenied,
    OtherVersion,
    OwnRealm,
    RealmNotAllowed,
    RealmUnreachable,
    StorageFailed,
    UnknownRealm,
    WrongRealm,
)
from chatd.base.name_patterns import matches
from chatd.base.names import key_of
from chatd.base.shared_calls import SharedCalls
from chatd.federation.amp.connect import explain
from chatd.federation.amp.dialer import Dialer
from chatd.federation.amp.lookup import DialPlace, is_public_name
from chatd.federation.amp.peers import PeerTable
from chatd.federation.amp.unconfirmed import UnconfirmedRealms
from chatd.service.context import Context
from chatd.store.peers import KnownPeer

PATIENCE = 4.0  # seconds that a sender waits for the first link
MAX_NEVER_LINKED = 200  # realms that were found and have never linked

# What tells that the realm is another one than the one that was looked for, or does not let this one in
_FINAL: tuple[type[ChatError], ...] = (
    BadCertificate,
    CertificateChanged,
    OtherVersion,
    OwnRealm,
    RealmNotAllowed,
    WrongRealm,
)

log = Logger()


class RealmDiscovery:
    """Looks up realms for people here, through `dialer` and its finder."""

    def __init__(
        self, context: Context, peers: PeerTable, dialer: Dialer, unconfirmed: UnconfirmedRealms
    ) -> None:
        self._context = context
        self._peers = peers
        self._dialer = dialer
        self._unconfirmed = unconfirmed
        self._contacts: SharedCalls[None] = SharedCalls()

    def check(self, realm: str) -> None:
        """Check that the realm with that key may be looked up. Raises UnknownRealm, LookupDenied,
        RealmNotAllowed."""
        config = self._context.config.peers
        self._peers.check_blocked(realm)
        if not config.discover or config.trust == "known" or not is_public_name(realm):
            raise UnknownRealm(realm=realm)
        allowed = not config.discover_allow or matches(realm, config.discover_allow)
        if not allowed or matches(realm, config.discover_deny):
            raise LookupDenied(realm=realm)

    async def meet(self, account: int, name: str) -> None:
        """Make the realm with that name a peer, unless it is one. A lookup counts for the account with that
        id. Raises BadName, what `check` and PlaceFinder raise, and why the realm that was found is not
        accepted."""
        realm = key_of(name)
        if self._peers.get(realm) is not None:
            return
        self.check(realm)
        self._peers.check_name(realm, against=lambda _peer: True)
        places = await self._dialer.finder.places(realm, f"account {account}")
        await self._contacts.run(realm, lambda: self._first_contact(realm, name, places))

    async def _first_contact(self, realm: str, name: str, places: list[DialPlace]) -> None:
        """Link with a realm for the first time. If it does not answer, it is a peer nevertheless."""
        if self._peers.get(realm) is not None:
            return
        await self._unconfirmed.make_room(realm)
        dialling = self._dialer.reach(name, places)
        try:
            await _at_most(dialling, PATIENCE, self._context)
        except TimedOut:
            pass
        except Exception:
            error = explain(Failure(), name, str(places[0]))
            if isinstance(error, _FINAL) and self._peers.get(realm) is None:
                self._dialer.finder.failed(realm, error)
                raise error from None
            log.info("{realm} was found: {error}", realm=name, error=str(error))
        if self._peers.get(realm) is None:
            await self._keep(realm, name, str(places[0]))

    async def _keep(self, realm: str, name: str, place: str) -> None:
        """Remember a realm that does not answer yet. Raises RealmUnreachable, StorageFailed."""
        unlinked = sum(1 for peer in self._peers.unconfirmed() if peer.known.linked_at is None)
        if unlinked >= MAX_NEVER_LINKED:
            raise RealmUnreachable(realm=name, address=place, reason="try again later")
        peer = self._peers.add(KnownPeer(realm, name))
        peer.failures, peer.missed_at = 1, self._context.clock.seconds()
        try:
            await self._peers.remember(peer, peer.known)
        except StorageFailed:
            # After a restart, messages for it would wait for a realm that is not known.
            if peer.known.linked_at is None and self._peers.get(realm) is peer:
                del self._peers.by_key[realm]
            raise


async def _at_most(work: Deferred[Any], seconds: float, context: Context) -> None:
    """Wait for `work`, which goes on when the time is over. Raises TimedOut, and what `work` fails with."""
    done: Deferred[Any] = Deferred()

    def finish(result: Any) -> None:
        if not done.called:
            done.callback(result)

    work.addBoth(finish)
    await done.addTimeout(seconds, context.clock)
