"""Which address of a realm is tried next, and how long."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from twisted.trial.unittest import TestCase

from chatd.client.addresses import Addresses
from chatd.client.connection import (
    CONNECT_TIME,
    ConnectionFailed,
    Endpoint,
    Patience,
    Reached,
    Target,
)
from chatd.client.nodes import SEVERAL_TIME, Attempt, Nodes
from tests.unit.client.test_link import FakeConnection

ONE, TWO, THREE = (Target(name) for name in ("one", "two", "three"))


class NodesTests(TestCase):
    def setUp(self) -> None:
        self.dns = {name: [f"192.0.2.{n}"] for n, name in enumerate(("one", "two", "three"))}
        self.answers: dict[str, ConnectionFailed | None] = {}
        self.dialled: list[str] = []
        self.patience: list[Patience] = []

    async def resolve(self, target: Target) -> list[Endpoint]:
        if target.host not in self.dns:
            raise ConnectionFailed(f"There is no host called {target.host}")
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        return [Endpoint(target, families[":" in each], (each,)) for each in self.dns[target.host]]

    async def dial(self, endpoint: Endpoint, patience: Patience) -> Any:
        address = endpoint.sockaddr[0]
        self.dialled.append(address)
        self.patience.append(patience)
        answer = self.answers.get(address, ConnectionFailed(f"nobody at {address}"))
        if answer is not None:
            raise answer
        return FakeConnection(endpoint)

    def nodes(self, *targets: Target) -> Nodes:
        return Nodes(Addresses(targets), self.resolve, self.dial, lambda found: found.reverse())

    def attempted(self, nodes: Nodes) -> Attempt:
        """An attempt that uses the first connection that it gets."""
        attempt = nodes.attempt()
        connection = asyncio.run(attempt.next())
        if connection is not None:
            nodes.works(connection.endpoint)
        return attempt

    def test_all_addresses_of_a_name(self) -> None:
        """A DNS name with several records: all are tried, and first the one that worked last."""
        self.dns["one"] = ["192.0.2.7", "192.0.2.8", "192.0.2.9"]
        self.answers["192.0.2.8"] = None
        nodes = self.nodes(ONE)
        self.attempted(nodes)
        self.assertEqual(self.dialled, ["192.0.2.7", "192.0.2.8"])
        self.answers.clear()
        self.attempted(nodes)
        self.assertEqual(self.dialled[2:], ["192.0.2.8", "192.0.2.7", "192.0.2.9"])

    def test_whether_there_are_several_nodes(self) -> None:
        """Two addresses of one host, or a name with several addresses; but not IPv4 and IPv6 of one host."""
        self.assertTrue(self.nodes(ONE, TWO).several)
        nodes = self.nodes(ONE)
        self.attempted(nodes)
        self.assertFalse(nodes.several)
        self.dns["one"] = ["192.0.2.7", "::7"]
        self.attempted(nodes)
        self.assertFalse(nodes.several)
        self.dns["one"] = ["192.0.2.7", "::7", "::8"]
        self.attempted(nodes)
        self.assertTrue(nodes.several)

    def test_order(self) -> None:
        """As given before one has worked, but first the one that is remembered."""
        nodes = self.nodes(ONE, TWO, THREE)
        self.assertEqual(nodes.in_turn(), [ONE, TWO, THREE])
        nodes.preferred = THREE
        self.assertEqual(nodes.in_turn(), [THREE, ONE, TWO])
        nodes.preferred = Target("elsewhere")
        self.assertEqual(nodes.in_turn(), [ONE, TWO, THREE])
        self.answers["192.0.2.1"] = None
        self.attempted(nodes)
        self.assertEqual(nodes.in_turn(), [TWO, THREE, ONE])  # the test reverses the others

    def test_silent_address_does_not_hold_up_the_others(self) -> None:
        self.attempted(self.nodes(ONE))
        self.attempted(self.nodes(ONE, TWO))
        self.dns["one"] *= 2
        self.attempted(self.nodes(ONE))
        alone, several = Patience(CONNECT_TIME, CONNECT_TIME), Patience(SEVERAL_TIME, SEVERAL_TIME)
        self.assertEqual(self.patience, [alone, *[several] * 4])

    def test_next_one_after_a_connection(self) -> None:
        """A connection that turns out to be useless is not the end of the attempt."""
        self.answers |= {"192.0.2.0": None, "192.0.2.1": None}
        attempt = self.nodes(ONE, TWO).attempt()

        async def play() -> list[Any]:
            return [await attempt.next() for _ in range(3)]

        found = asyncio.run(play())
        self.assertEqual([each and each.endpoint.target for each in found], [ONE, TWO, None])

    def test_why_none_can_be_used(self) -> None:
        """One sentence for each host: the reason of its address that came farthest."""
        self.dns["one"] = ["192.0.2.7", "192.0.2.8", "192.0.2.9"]
        self.answers["192.0.2.7"] = ConnectionFailed("timeout")
        self.answers["192.0.2.8"] = ConnectionFailed("a web server", Reached.ANSWERED)
        self.answers["192.0.2.9"] = ConnectionFailed("refused", Reached.REFUSED)
        self.assertEqual(str(self.attempted(self.nodes(ONE)).failure()), "a web server")
        found = str(self.attempted(self.nodes(ONE, TWO, Target("nowhere"))).failure())
        self.assertEqual(found, "None of the 3 addresses can be used. a web server. nobody at "
                         "192.0.2.1. There is no host called nowhere")  # fmt: skip

    def test_same_reason_once(self) -> None:
        broken = ConnectionFailed("ca.pem can't be read")
        self.answers |= {"192.0.2.0": broken, "192.0.2.1": broken}
        self.assertEqual(str(self.attempted(self.nodes(ONE, TWO)).failure()), str(broken))
