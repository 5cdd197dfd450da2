"""Nodes of one realm in a simulated network, on a database of a PostgreSQL server."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any
from unittest import SkipTest

import msgspec
from sqlalchemy import Engine, text
from twisted.trial.unittest import SynchronousTestCase

from chatd.app.key_file import make_key_file
from chatd.base.config import SEVERAL_NODES, ClusterConfig
from chatd.simulate.databases import connect_without_sync
from chatd.simulate.network import Network
from chatd.simulate.people import Person
from chatd.simulate.servers import Server, SimulatedRealm
from chatd.simulate.stepped import STEPPED
from chatd.store.engine import connect
from tests.support.buses import MemoryBus
from tests.support.postgres import MISSING, server, temporary_database


def connect_to_either(url: str) -> Engine:
    """Connect to a server, or to a file without fsync."""
    return connect_without_sync(url) if url.startswith("sqlite") else connect(url)


class NodeServer(Server):
    """One node of a realm. All nodes of it are found in the same place, behind a proxy."""

    def __init__(
        self, network: Network, realm: str, node: str, database: str, folder: Path, buses: list[Any]
    ) -> None:
        self._node, self._database_url, self._buses = node, database, buses
        self._state, self._key_file = folder / node, folder / "cluster.key"
        if not self._key_file.exists():
            make_key_file(self._key_file, os.urandom)
        self.bus: MemoryBus
        self._number = len(buses)
        super().__init__(network, realm, folder)

    def random_bytes(self, size: int) -> bytes:
        return super().random_bytes(size)[:-1] + bytes([self._number])

    def open(self) -> None:
        self.lives += 1
        self.config = msgspec.structs.replace(
            self.config,
            state=self._state,
            database_url=self._database_url,
            # It is not read: the network of the simulation shows one that it has made.
            peers=msgspec.structs.replace(
                self.config.peers, certificate=self._state / "unused.pem"
            ),
            cluster=ClusterConfig(SEVERAL_NODES, self._node, key_file=self._key_file),
        )
        life = SimulatedRealm(self)
        self.bus = MemoryBus(self._node, self._buses)
        life.environment = dataclasses.replace(
            life.environment,
            bus=lambda _config: self.bus,
        )
        life.open()
        self._life = life
        life.start()

    def kill(self) -> None:
        super().kill()
        self.bus.stop()

    @property
    def links(self) -> list[str]:
        """The realms with which this node is linked."""
        peers = self.realm.directory.peers.by_key.values()
        return [peer.known.key for peer in peers if peer.link is not None and peer.link.is_up]


class NodesTestCase(SynchronousTestCase):
    """ana uses the realm realm1, which has the nodes `a` and `b`; budi is in realm2."""

    def setUp(self) -> None:
        if server() is None:
            raise SkipTest(MISSING)
        folder = Path(self.mktemp())
        folder.mkdir()
        self.url = temporary_database(self)
        self.network = Network(
            folder, threads=dataclasses.replace(STEPPED, connect=connect_to_either)
        )
        self.addCleanup(self.network.close)
        buses: list[Any] = []
        self.a, self.b = (self.node(name, folder, buses) for name in "ab")
        self.two = self.network.server("realm2")
        self.network.settle()

    def node(self, name: str, folder: Path, buses: list[Any]) -> NodeServer:
        node = NodeServer(self.network, "realm1", name, self.url, folder, buses)
        self.network.servers[f"realm1 {name}"] = node
        return node

    def person(self, node: NodeServer, name: str) -> Person:
        """A person of the realm, who uses this node."""
        other = self.b if node is self.a else self.a
        person = Person(node, name)
        if name in other.people:
            person.account = other.people[name].account
            node.people[name] = person
            return person
        return node.person(name)

    def expire(self) -> None:
        """Let the leases of nodes that were killed expire, in the time of the database."""
        self.change_leases("until = 0")

    def take_leases(self) -> None:
        """Let another node have taken all leases, of which the nodes do not know yet."""
        self.change_leases("epoch = epoch + 1")

    def change_leases(self, change: str) -> None:
        engine: Engine = connect(self.url)
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE leases SET {change}"))  # noqa: S608 - constants
        engine.dispose()
