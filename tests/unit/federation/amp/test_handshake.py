"""Doors with TLS: nothing is sent before the handshake is complete, and unfinished handshakes are bounded."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import INegotiated
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.factory import MAX_REFUSED
from chatd.lines.silence import LOGIN_TIME
from tests.support.common import FakeTransport
from tests.unit.lines.cases import LOST, ManualClock, ProtocolTestCase, settle


class Handshake(ProtocolTestCase):
    limits = {"connections_per_address": 1}

    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    def arrives(self) -> Any:
        """The transport of a connection whose handshake has begun."""
        transport: Any = FakeTransport()
        alsoProvides(transport, INegotiated)
        protocol = self.door_of(PlainDialect).buildProtocol(IPv4Address("TCP", "127.0.0.1", 50000))
        transport.protocol = protocol
        protocol.makeConnection(transport)
        self.addCleanup(self.leaves, protocol)
        return transport

    def leaves(self, protocol: Any) -> None:
        if not protocol.connection.gone:
            protocol.connectionLost(Failure(LOST))

    async def test_greeting(self) -> None:
        """The greeting waits for the handshake, because bytes written before would stop the reading."""
        transport = self.arrives()
        await settle()
        self.assertEqual(transport.value(), b"")
        transport.protocol.handshakeCompleted()
        await settle()
        self.assertTrue(transport.value().startswith(b"* chatd"))
        self.clock.advance(LOGIN_TIME - 1)
        self.assertFalse(transport.aborted)

    async def test_too_many(self) -> None:
        """A connection beyond the limit is told so over TLS."""
        self.arrives()
        second = self.arrives()
        self.assertEqual(second.value(), b"")
        second.protocol.handshakeCompleted()
        await settle()
        self.assertIn(b"There are too many connections from your address", second.value())

    async def test_far_too_many(self) -> None:
        """Thousands of unfinished handshakes from one source do not make others wait."""
        for _ in range(1 + MAX_REFUSED):
            self.assertFalse(self.arrives().aborted)
        last = self.arrives()
        self.assertTrue(last.aborted)
        last.protocol.connectionLost(Failure(LOST))
        self.clock.advance(LOGIN_TIME)  # and no timer is left of it

    async def test_never_over(self) -> None:
        transport = self.arrives()
        self.clock.advance(LOGIN_TIME)
        self.assertTrue(transport.aborted)

    async def test_shutdown(self) -> None:
        """A shutdown does not wait for handshakes."""
        transport = self.arrives()
        self.door_of(PlainDialect).finish()
        self.assertTrue(transport.aborted)
