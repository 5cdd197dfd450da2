"""Connecting to another realm: where one does not connect to, and what is said when it does not work."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet import error as net
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.errors import ForbiddenAddress, RealmDown, RealmUnreachable, WrongRealm
from chatd.peers import reach
from chatd.peers.reach import is_forbidden, why

NOTHING: Any = None


class ForbiddenTestCase(SynchronousTestCase):
    def test_forbidden(self) -> None:
        for address in (
            "169.254.0.1",
            "169.254.169.254",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "0.0.0.0",  # noqa: S104
            "::",
            "fe80::1",
            "fe80::1%eth0",
            "ff02::1",
            "::ffff:169.254.1.1",
            "::ffff:224.0.0.1",
        ):
            self.assertTrue(is_forbidden(address), address)

    def test_allowed(self) -> None:
        """Realms may well be on this machine, or in a private network."""
        for address in (
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.168.1.1",
            "203.0.113.5",
            "2001:db8::1",
        ):
            self.assertFalse(is_forbidden(address), address)


class Resolver:
    """Knows the addresses of one host."""

    def __init__(self, *found: Any) -> None:
        self._found = found

    def resolveHostName(self, receiver: Any, host: str, port: int, *_: Any) -> None:  # noqa: N802
        receiver.resolutionBegan(None)
        for kind, address in self._found:
            receiver.addressResolved(kind("TCP", address, port))
        receiver.resolutionComplete()


class Reactor(MemoryReactorClock):
    def __init__(self, *found: Any) -> None:
        super().__init__()
        self.nameResolver: Any = Resolver(*found)


class ConnectTestCase(SynchronousTestCase):
    def connect(self, *found: Any) -> tuple[Reactor, Deferred[Any]]:
        reactor = Reactor(*found)
        connecting = reach.connect(reactor, "[realm2.test]", 7000, Factory.forProtocol(Protocol))
        return reactor, Deferred.fromCoroutine(connecting)

    def test_first_that_takes_it(self) -> None:
        reactor, done = self.connect((IPv6Address, "2001:db8::1"), (IPv4Address, "203.0.113.5"))
        (first,) = reactor.tcpClients
        self.assertEqual(first[:2], ("2001:db8::1", 7000))
        first[2].clientConnectionFailed(NOTHING, Failure(net.ConnectionRefusedError()))
        second = reactor.tcpClients[1]
        self.assertEqual(second[:2], ("203.0.113.5", 7000))
        self.assertNoResult(done)
        protocol: Any = second[2].buildProtocol(NOTHING)
        protocol.makeConnection(NOTHING)
        self.successResultOf(done)

    def test_none_takes_it(self) -> None:
        reactor, done = self.connect((IPv4Address, "203.0.113.5"))
        reactor.tcpClients[0][2].clientConnectionFailed(NOTHING, Failure(net.NoRouteError()))
        self.failureResultOf(done, net.NoRouteError)

    def test_forbidden_ones_are_left_out(self) -> None:
        reactor, _ = self.connect((IPv4Address, "169.254.169.254"), (IPv4Address, "127.0.0.1"))
        self.assertEqual([each[0] for each in reactor.tcpClients], ["127.0.0.1"])

    def test_all_forbidden(self) -> None:
        reactor, done = self.connect((IPv4Address, "169.254.169.254"), (IPv6Address, "ff02::1"))
        error = self.failureResultOf(done, ForbiddenAddress).value
        self.assertIn("realm2.test", str(error))
        self.assertEqual(reactor.tcpClients, [])

    def test_no_such_host(self) -> None:
        _, done = self.connect()
        self.failureResultOf(done, net.DNSLookupError)


class WhyTestCase(SynchronousTestCase):
    def test_sentences(self) -> None:
        for error, said in (
            (net.DNSLookupError(), "no such host"),
            (net.ConnectionRefusedError(), "nothing listens there"),
            (net.NoRouteError(), "no route"),
            (net.TimeoutError(), "timed out"),
            (net.TCPTimedOutError(), "timed out"),
            (SSL.Error([]), "no realm's door"),
            (RealmDown(realm="realm2"), "did not answer in time"),
            (net.ConnectionLost(), "was lost before it was up"),
            (RuntimeError("?"), "was lost before it was up"),
        ):
            found = why(Failure(error), "realm2", "realm2.test:7000")
            self.assertIsInstance(found, RealmUnreachable)
            self.assertIn("realm2 was not reached at realm2.test:7000", str(found))
            self.assertIn(said, str(found))

    def test_known_already(self) -> None:
        error = WrongRealm(address="a", found="b", realm="c")
        self.assertIs(why(Failure(error), "realm2", ""), error)
