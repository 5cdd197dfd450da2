"""Tests of several realms in one thread (chatd.simulate.network)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chatd.federation.amp.link_manager import LinkManager
from chatd.federation.amp.wire import Introduction
from chatd.simulate.connections import FakeConnection, PeerTransport
from chatd.simulate.network import Network, outcome
from chatd.simulate.people import Person
from chatd.simulate.servers import Server, SimulatedRealm, certificate_of


def lacks(case: SynchronousTestCase, realm: str, *capabilities: str) -> None:
    """Let `realm` say that it lacks these capabilities, until the test ends."""
    introduce = LinkManager.introduce

    def said(manager: LinkManager) -> Introduction:
        own = introduce(manager)
        if own.realm != realm:
            return own
        left = [each for each in own.capabilities if each not in capabilities]
        return msgspec.structs.replace(own, capabilities=left)

    case.patch(LinkManager, "introduce", said)


class NetworkTestCase(SynchronousTestCase):
    """A test with an empty `self.network`."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.network = Network(folder)
        self.addCleanup(self.network.close)


class LinkedTestCase(NetworkTestCase):
    """A test with ana in realm1, budi and citra in realm2. realm1 has dialled realm2."""

    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.pair(**self.settings)
        self.ana = self.one.person("ana")
        self.budi, self.citra = self.two.person("budi"), self.two.person("citra")

    @property
    def connection(self) -> Any:
        return self.network.connection(self.one, self.two)

    def part(self) -> None:
        """End the link; realm2 can't be reached until `meet`."""
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        self.network.settle()

    def meet(self) -> None:
        self.network.refusing.clear()
        self.network.until(lambda: self.network.open_connections(self.one, self.two))
        self.network.settle()


__all__ = [
    "FakeConnection",
    "LinkedTestCase",
    "Network",
    "NetworkTestCase",
    "PeerTransport",
    "Person",
    "Server",
    "SimulatedRealm",
    "certificate_of",
    "lacks",
    "outcome",
]
