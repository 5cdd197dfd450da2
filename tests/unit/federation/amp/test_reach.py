"""Which addresses may be dialled, and how failures are explained."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet import error as net
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatd.base.errors import ForbiddenAddress, RealmDown, RealmUnreachable, WrongRealm
from chatd.federation.amp import connect
from chatd.federation.amp.addresses import AddressScope, check_literal, scope_of
from chatd.federation.amp.connect import explain

NOTHING: Any = None


class ScopeTestCase(SynchronousTestCase):
    def have(self, scope: AddressScope, *addresses: str) -> None:
        for address in addresses:
            self.assertIs(scope_of(address), scope, address)

    def test_forbidden(self) -> None:
        self.have(
            AddressScope.FORBIDDEN,
            "169.254.0.1",
            "169.254.169.254",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "0.0.0.0",  # noqa: S104
            "0.1.2.3",
            "::",
            "fe80::1",
            "fe80::1%eth0",
            "ff02::1",
        )

    def test_private(self) -> None:
        self.have(
            AddressScope.PRIVATE,
            "127.0.0.1",
            "127.255.0.1",
            "10.0.0.1",
            "172.16.16.102",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fec0::1",
        )

    def test_public(self) -> None:
        self.have(AddressScope.PUBLIC, "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808")

    def test_ipv4_inside_ipv6(self) -> None:
        """Gateways, or this machine, forward these to the IPv4 address that they contain."""
        self.have(
            AddressScope.FORBIDDEN,
            "::ffff:169.254.169.254",
            "::ffff:224.0.0.1",
            "::ffff:0.0.0.0",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        )
        self.have(
            AddressScope.PRIVATE,
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::1",
            "2002:c0a8:101::",
            "2002:808:808::1",
            "2001:0:808:808::f5ff:fffe",  # Teredo, of the client 10.0.0.1
            "2606:4700::5efe:a00:1",  # ISATAP
        )
        self.have(AddressScope.PUBLIC, "::ffff:8.8.8.8")

    def test_literals(self) -> None:
        """A literal address is refused before anything is resolved; a name is not."""
        for host in ("169.254.169.254", "[fe80::1]", "ff02::1", "::ffff:224.0.0.1"):
            error = self.assertRaises(ForbiddenAddress, check_literal, host, private=True)
            self.assertIn("link-local", str(error))
        for host in ("127.0.0.1", "[::1]", "10.1.2.3"):
            check_literal(host, private=True)
            error = self.assertRaises(ForbiddenAddress, check_literal, host, private=False)
            self.assertIn("only operators", str(error))
        for host in ("8.8.8.8", "localhost", "realm2.example.org", "2130706433"):
            check_literal(host, private=False)


class Resolver:
    """A resolver that knows one host."""

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
    def connect(self, *found: Any, private: bool = True) -> tuple[Reactor, Deferred[Any]]:
        reactor = Reactor(*found)
        network: Any = reactor
        connecting = connect.connect(
            network, "[realm2.test]", 7000, Factory.forProtocol(Protocol), private=private
        )
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

    def test_private_ones_are_left_out(self) -> None:
        """The address of a name is checked, unless private addresses may be dialled."""
        addresses = ((IPv4Address, "127.0.0.1"), (IPv4Address, "8.8.8.8"))
        reactor, _ = self.connect(*addresses, private=False)
        self.assertEqual([each[0] for each in reactor.tcpClients], ["8.8.8.8"])
        reactor, done = self.connect(addresses[0], (IPv6Address, "::1"), private=False)
        self.failureResultOf(done, ForbiddenAddress)
        self.assertEqual(reactor.tcpClients, [])

    def test_the_checked_address_is_dialled(self) -> None:
        """The name is resolved once: a later answer is not used."""
        reactor, _ = self.connect((IPv4Address, "8.8.8.8"), private=False)
        reactor.nameResolver = Resolver((IPv4Address, "127.0.0.1"))
        self.assertEqual([each[0] for each in reactor.tcpClients], ["8.8.8.8"])

    def test_a_host_with_many_addresses(self) -> None:
        found = [(IPv4Address, f"203.0.114.{number}") for number in range(100)]
        reactor, done = self.connect(*found)
        for tried in range(connect.MAX_ADDRESSES):
            failure = Failure(net.ConnectionRefusedError())
            reactor.tcpClients[tried][2].clientConnectionFailed(NOTHING, failure)
        self.failureResultOf(done, net.ConnectionRefusedError)
        self.assertEqual(len(reactor.tcpClients), connect.MAX_ADDRESSES)

    def test_cancelled(self) -> None:
        """No further address is tried once the dial is cancelled."""
        reactor, done = self.connect((IPv4Address, "203.0.113.5"), (IPv4Address, "203.0.113.6"))
        done.cancel()
        self.failureResultOf(done, net.ConnectingCancelledError)
        self.assertEqual([each[0] for each in reactor.tcpClients], ["203.0.113.5"])

    def test_no_such_host(self) -> None:
        _, done = self.connect()
        self.failureResultOf(done, net.DNSLookupError)


class SpellingTestCase(TestCase):
    """The operating system reads more spellings of an address than `ipaddress` does."""

    async def test_numbers(self) -> None:
        network: Any = reactor
        for host in ("2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"):
            with self.assertRaises(ForbiddenAddress, msg=host):
                await connect.connect(
                    network, host, 9, Factory.forProtocol(Protocol), private=False
                )


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
            found = explain(Failure(error), "realm2", "realm2.test:7000")
            self.assertIsInstance(found, RealmUnreachable)
            self.assertIn("realm2 was not reached at realm2.test:7000", str(found))
            self.assertIn(said, str(found))

    def test_known_already(self) -> None:
        error = WrongRealm(address="a", found="b", realm="c")
        self.assertIs(explain(Failure(error), "realm2", ""), error)
