"""Accepts links that other realms dial, and limits those that are not up yet, fairly by source network."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory

from chatd.base.sources import LOCAL, source_of
from chatd.federation.amp.addresses import place_of
from chatd.federation.amp.link import PeerLink, Route

if TYPE_CHECKING:
    from chatd.federation.amp.link_manager import LinkManager

MAX_PENDING = 256
# OpenSSL's state of a connection that has sent no ClientHello
_SILENT = b"before SSL initialization"


class PendingLinks(ServerFactory):
    """The factory of the links that other realms dial. A new link is always accepted.

    If too many are pending, the source with the most links loses the one that has made the least progress;
    among equals, the oldest. A link whose certificate belongs to a realm that was added counts for that realm
    and not for its network. So an attacker who holds connections open, even from the same address, can drop
    such a link only in the moment before its certificate arrives, and only with 256 connections that get as
    far in that time.
    """

    noisy = False

    def __init__(self, host: LinkManager) -> None:
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
        dropped = min(found, key=_progress)  # `found` is in the order of arrival
        self._pending.remove(dropped)
        dropped.abort()

    def _owner(self, link: PeerLink) -> tuple[str, str]:
        if link.authentication is not None and self._host.is_added(link.realm):
            return "realm", link.realm
        return "source", link.route.source


def _progress(link: PeerLink) -> int:
    """How far a link has come: 0 without TLS, 1 in the handshake, 2 with an accepted certificate."""
    if link.authentication is not None:
        return 2
    if link.transport is None:
        return 0
    return int(link.transport.getHandle().get_state_string() != _SILENT)
