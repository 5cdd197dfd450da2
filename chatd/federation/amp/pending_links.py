"""Links that others have dialled and that are not up yet, shared fairly between their sources."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory

from chatd.base.sources import LOCAL, source_of
from chatd.federation.amp.addresses import place_of
from chatd.federation.amp.link import LinkHost, PeerLink, Route

MAX_PENDING = 256
_SILENT = (
    b"before SSL initialization"  # OpenSSL's word for a connection that has not sent a ClientHello
)


class PendingLinks(ServerFactory):
    """Makes the links that others dial. A new one always gets in.

    If there are too many, the source with the most links loses the one that has come least far, and of equals
    the oldest. A link whose certificate belongs to a realm that was added counts for that realm, not for its
    network address. So an attacker who holds connections open, even from the same address, can only drop such
    a link in the moment before its certificate arrives, and only with 256 others that get as far in that
    time.
    """

    noisy = False

    def __init__(self, host: LinkHost) -> None:
        self._host = host
        self._pending: list[PeerLink] = []

    def buildProtocol(self, addr: IAddress | None) -> PeerLink:
        host, port = getattr(addr, "host", LOCAL), getattr(addr, "port", 0)
        link = PeerLink(self._host, Route(place_of(host, port), source=source_of(host)))
        if len(self._pending) >= MAX_PENDING:
            self._make_room(link)
        self._pending.append(link)
        return link

    def _make_room(self, newcomer: PeerLink) -> None:
        self._pending = [link for link in self._pending if link.is_pending]
        if len(self._pending) < MAX_PENDING:
            return
        owners = {id(link): self._owner(link) for link in self._pending}
        sizes = Counter(owners.values())
        sizes[self._owner(newcomer)] += 1
        busiest = max(set(owners.values()), key=lambda owner: sizes[owner])
        found = [link for link in self._pending if owners[id(link)] == busiest]
        dropped = min(
            found, key=_progress
        )  # the oldest of equals: they are in the order of arrival
        self._pending.remove(dropped)
        dropped.abort()

    def _owner(self, link: PeerLink) -> tuple[str, str]:
        if link.authentication is not None and self._host.is_added(link.realm):
            return "realm", link.realm
        return "source", link.route.source


def _progress(link: PeerLink) -> int:
    """How far a link has come: no TLS yet, a handshake, a certificate."""
    if link.authentication is not None:
        return 2
    connection: Any = link.transport.getHandle()
    return int(connection.get_state_string() != _SILENT)
