"""Which link is dropped when too many are pending."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from chatd.federation.amp import pending_links as module
from chatd.federation.amp.pending_links import PendingLinks


class Dropped(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(module, "MAX_PENDING", 3)
        self.links = PendingLinks(
            mock.Mock(
                is_added=lambda realm: realm == "realm2"
            )  # the one that an operator has added
        )
        self.patch(module, "PeerLink", self.make)
        self.dropped: list[Any] = []

    def make(self, _host: Any, route: Any) -> Any:
        link = SimpleNamespace(
            route=route, is_pending=True, authentication=None, realm="", transport=None
        )
        link.abort = lambda: self.dropped.append(link)
        return link

    def meet(self, host: str, realm: str = "") -> Any:
        """A client connects; `realm`: it has shown the certificate of that realm."""
        link: Any = self.links.buildProtocol(IPv4Address("TCP", host, 7000))
        if realm:
            link.authentication, link.realm = object(), realm
        return link

    def test_busiest_source(self) -> None:
        """The source with the most links loses its oldest; others lose nothing."""
        self.meet("192.0.2.1")
        first, _ = self.meet("198.51.100.1"), self.meet("198.51.100.1")
        self.meet("203.0.113.1")
        self.assertEqual(self.dropped, [first])

    def test_progress(self) -> None:
        """Of one source, the link that has made the least progress goes."""
        self.meet("198.51.100.1", "stranger")
        silent = self.meet("198.51.100.1")
        self.meet("198.51.100.1", "stranger")
        self.meet("198.51.100.1")
        self.assertEqual(self.dropped, [silent])

    def test_added_realm(self) -> None:
        """A link of an added realm does not count for the network that it shares with an attacker."""
        added = self.meet("198.51.100.1", "realm2")
        for _ in range(10):
            self.meet("198.51.100.1", "stranger")
        self.assertEqual(len(self.dropped), 8)
        self.assertNotIn(added, self.dropped)

    def test_finished(self) -> None:
        """A link that is not pending any more makes room, and is not dropped."""
        done = self.meet("198.51.100.1")
        self.meet("198.51.100.1")
        self.meet("198.51.100.1")
        done.is_pending = False
        self.meet("198.51.100.1")
        self.assertEqual(self.dropped, [])
