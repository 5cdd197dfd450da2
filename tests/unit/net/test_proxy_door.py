"""Ports behind a proxy: which proxies are trusted, and what the wrapped protocol receives."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.sources import Networks
from chatd.net.proxy import HEADER_TIME, QUIET_TIME, ProxyFactory
from chatd.net.sockets import _Accepted

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n"
PROXY = IPv4Address("TCP", "127.0.0.1", 40000)


class Transport(_Accepted, StringTransport):
    """A transport that can be passed from one protocol to another, like Twisted's TCP connections."""

    protocol: Any
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True


class Seen(Protocol):
    """The protocol behind the header."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.data = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True


class Inner(Factory):
    """Builds the protocols, or refuses connections."""

    def __init__(self) -> None:
        self.made: list[Seen] = []
        self.full = False

    def buildProtocol(self, addr: Any) -> Any:
        if self.full:
            return None
        self.made.append(Seen(addr))
        return self.made[-1]


class ProxyTestCase(SynchronousTestCase):
    trusted = "127.0.0.0/8, ::1"

    def setUp(self) -> None:
        self.clock = Clock()
        self.inner = Inner()
        self.factory = ProxyFactory("plain", self.inner, Networks.parse(self.trusted), self.clock)

    def connect(self, address: Any = PROXY) -> Transport:
        protocol = self.factory.buildProtocol(address)
        transport = Transport(peerAddress=address)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport


class Trusted(ProxyTestCase):
    def test_client(self) -> None:
        """The wrapped protocol is built with the client's address, and receives what follows the header."""
        transport = self.connect()
        transport.protocol.dataReceived(HEADER + b"hello\r\n")
        (seen,) = self.inner.made
        self.assertEqual(seen.address.host, "192.0.2.7")
        self.assertEqual(transport.getPeer().host, "192.0.2.7")
        self.assertEqual(seen.data, b"hello\r\n")
        self.assertIs(transport.protocol, seen)
        self.assertIs(seen.transport, transport)

    def test_byte_by_byte(self) -> None:
        transport = self.connect()
        for byte in HEADER + b"hello":
            transport.protocol.dataReceived(bytes((byte,)))
        (seen,) = self.inner.made
        self.assertEqual(seen.data, b"hello")

    def test_no_protocol_before_the_header(self) -> None:
        """Until the header is complete, no protocol is built."""
        transport = self.connect()
        transport.protocol.dataReceived(HEADER[:-1])
        self.assertEqual(self.inner.made, [])
        transport.protocol.connectionLost(Failure(ConnectionError()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_second_header_is_data(self) -> None:
        """A client can't send a header of its own."""
        transport = self.connect()
        transport.protocol.dataReceived(HEADER * 2)
        (seen,) = self.inner.made
        self.assertEqual(seen.data, HEADER)

    def test_the_proxy_for_itself(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(b"PROXY UNKNOWN\r\n")
        self.assertEqual(self.inner.made[0].address, PROXY)

    def test_refused_connection(self) -> None:
        self.inner.full = True
        transport = self.connect()
        transport.protocol.dataReceived(HEADER + b"hello")
        self.assertTrue(transport.disconnecting)

    def test_refused_at_once(self) -> None:
        """Bytes after the header do not reach a protocol that has closed the connection."""
        self.inner.buildProtocol = lambda addr: self.refusing(addr)  # type: ignore[method-assign]
        transport = self.connect()
        transport.protocol.dataReceived(HEADER + b"hello")
        self.assertEqual(self.inner.made[0].data, b"")

    def refusing(self, addr: Any) -> Seen:
        seen = Seen(addr)
        seen.connectionMade = lambda: seen.transport.loseConnection()  # type: ignore[method-assign,union-attr]
        self.inner.made.append(seen)
        return seen


class Refused(ProxyTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.logs = self.enterContext(capturedLogs())

    def warnings(self) -> list[Any]:
        return [event for event in self.logs if event["log_level"] is LogLevel.warn]

    def test_untrusted_address(self) -> None:
        """An untrusted connection is closed, and logged at most once a minute."""
        for _ in range(3):
            for host in ("192.0.2.66", "2001:db8::1"):
                self.assertIsNone(self.factory.buildProtocol(IPv4Address("TCP", host, 1)))
        self.assertEqual(len(self.warnings()), 1)
        self.clock.advance(QUIET_TIME)
        self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.66", 1))
        self.assertEqual(len(self.warnings()), 2)

    def test_unix_socket(self) -> None:
        """A Unix socket has no address, and is trusted by the word `local` only."""
        self.assertIsNone(self.factory.buildProtocol(UNIXAddress(None)))
        local = ProxyFactory("plain", self.inner, Networks.parse("local"), self.clock)
        self.assertIsNotNone(local.buildProtocol(UNIXAddress(None)))
        self.assertIsNone(local.buildProtocol(PROXY))

    def test_no_header(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(b"auth messi surabaya\r\n")
        self.assertTrue(transport.aborted)
        self.assertEqual(self.inner.made, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNotIn("surabaya", repr(self.warnings()))

    def test_header_that_never_comes(self) -> None:
        """Single bytes do not extend the time."""
        transport = self.connect()
        for byte in HEADER[:5]:
            self.clock.advance(HEADER_TIME / 5)
            transport.protocol.dataReceived(bytes((byte,)))
        self.assertTrue(transport.aborted)
        self.assertEqual(self.inner.made, [])
