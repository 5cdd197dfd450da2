"""Where a realm is: services in the DNS, documents of web servers, and the addresses that may be dialled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.names.error import DNSServerError
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.whereabouts import Whereabouts
from chatd.federation.amp.lookup import LOOKUP_TIME, NotFound, RealmLookup, is_public_name
from chatd.federation.amp.name_servers import Service, in_order
from chatd.federation.amp.well_known import BadDocument
from tests.support.dns import Zone

REALM = "kampus.example.net"
PUBLIC, OTHER, SIX = "192.88.98.1", "198.41.0.4", "2001:500:2::c"


def random_from(seed: int) -> Callable[[int], bytes]:
    return Random(seed).randbytes  # noqa: S311 - repeatable, not secret


class LookupTestCase(SynchronousTestCase):
    private = False

    def setUp(self) -> None:
        self.clock = Clock()
        self.zone = Zone()
        self.fetched: list[tuple[str, Sequence[str]]] = []
        self.document: Deferred[Whereabouts] = fail(BadDocument("it has none"))
        self.document.addErrback(lambda failure: failure)
        self.addCleanup(self.document.addErrback, lambda _failure: None)
        self.lookup = RealmLookup(
            self.clock, lambda: self.zone, self.fetch, random_from(1), private=self.private
        )

    def fetch(self, name: str, addresses: Sequence[str]) -> Deferred[Whereabouts]:
        self.fetched.append((name, addresses))
        return self.document

    def found(self) -> list[str]:
        return [str(each) for each in self.successResultOf(self.lookup.find(REALM))]

    def refused(self) -> str:
        return str(self.failureResultOf(self.lookup.find(REALM), NotFound).value)


class ServiceTests(LookupTestCase):
    def test_service(self) -> None:
        self.zone.host("chat.example.net", SIX, PUBLIC)
        self.zone.realm(REALM, "chat.example.net", 8890)
        self.assertEqual(self.found(), [f"{PUBLIC}:8890", f"[{SIX}]:8890"])
        self.assertEqual(self.fetched, [])

    def test_priorities(self) -> None:
        for number, address in ((2, OTHER), (1, PUBLIC)):
            self.zone.host(f"h{number}.example.net", address)
            self.zone.realm(REALM, f"h{number}.example.net", 8000 + number, priority=number)
        self.assertEqual(self.found(), [f"{PUBLIC}:8001", f"{OTHER}:8002"])

    def test_no_service(self) -> None:
        """The target `.` says that there is none, so the web server is not asked either."""
        self.zone.realm(REALM, "", 8890)
        self.zone.host(REALM, PUBLIC)
        self.assertIn("accepts no links", self.refused())
        self.assertEqual(self.fetched, [])

    def test_ports(self) -> None:
        """Lower ports belong to other services, which could be made to answer."""
        self.zone.host("chat.example.net", PUBLIC)
        for port in (22, 25, 80, 1023):
            self.zone.records.pop(f"_chatd._tcp.{REALM}", None)
            self.zone.realm(REALM, "chat.example.net", port)
            self.assertIn(f"its port {port} is reserved", self.refused())
        self.zone.realm(REALM, "chat.example.net", 443)
        self.zone.realm(REALM, "chat.example.net", 1024)
        self.assertEqual(sorted(self.found()), [f"{PUBLIC}:1024", f"{PUBLIC}:443"])

    def test_addresses(self) -> None:
        """Addresses that do not lead to the public Internet are left out."""
        own = (
            "10.0.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "224.0.0.1",
            "::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        )
        self.zone.host("chat.example.net", *own)
        self.zone.realm(REALM, "chat.example.net", 8890)
        self.assertIn("no address that may be dialled", self.refused())
        self.zone.host("chat.example.net", PUBLIC)
        self.assertEqual(self.found(), [f"{PUBLIC}:8890"])

    def test_address_as_host(self) -> None:
        self.zone.realm(REALM, "127.0.0.1", 8890)
        self.assertIn("no address", self.refused())

    def test_many(self) -> None:
        for number in range(30):
            self.zone.host(f"h{number}.example.net", *(f"198.41.{number}.{at}" for at in range(30)))
            self.zone.realm(REALM, f"h{number}.example.net", 8890)
        self.assertEqual(len(self.found()), 8)
        self.assertLess(len(self.zone.asked), 12)


class PrivateTests(LookupTestCase):
    private = True

    def test_addresses(self) -> None:
        self.zone.host("chat.example.net", "127.0.0.1", "10.0.0.1", "169.254.1.1", "224.0.0.1")
        self.zone.realm(REALM, "chat.example.net", 8890)
        self.assertEqual(self.found(), ["127.0.0.1:8890", "10.0.0.1:8890"])


class DocumentTests(LookupTestCase):
    def test_document(self) -> None:
        self.zone.host(REALM, PUBLIC, "10.0.0.1")
        self.zone.host("chat.example.net", OTHER)
        self.document = succeed(Whereabouts(REALM, "chat.example.net", 8890))
        self.assertEqual(self.found(), [f"{OTHER}:8890"])
        self.assertEqual(self.fetched, [(REALM, [PUBLIC])])

    def test_name_server_fails(self) -> None:
        """A failure when the service is asked for is no reason not to ask the web server."""
        self.patch(self.zone, "lookupService", lambda *_: fail(DNSServerError()))
        self.zone.host(REALM, PUBLIC)
        self.document = succeed(Whereabouts(REALM, OTHER, 8890))
        self.assertEqual(self.found(), [f"{OTHER}:8890"])

    def test_impossible_host(self) -> None:
        """The realm chooses the name; it is refused like any other that does not exist."""
        self.zone.host(REALM, PUBLIC)
        for host in ("a..example.net", "x" * 64, "kampus\ufffd.example.net"):
            self.document = succeed(Whereabouts(REALM, host, 8890))
            self.assertIn("no address that may be dialled", self.refused())
        self.zone.add(f"_chatd._tcp.{REALM}", dns.Record_SRV(0, 0, 8890, b"x" * 64))
        self.assertIn("no address that may be dialled", self.refused())

    def test_private_host(self) -> None:
        self.zone.host(REALM, PUBLIC)
        for host in ("10.0.0.1", "127.0.0.1", "inside.example.net"):
            self.zone.host("inside.example.net", "10.0.0.1")
            self.document = succeed(Whereabouts(REALM, host, 8890))
            self.assertIn("no address that may be dialled", self.refused())

    def test_private_web_server(self) -> None:
        """The web server of a private address is not asked."""
        self.zone.host(REALM, "10.0.0.1")
        self.assertIn("neither", self.refused())
        self.assertEqual(self.fetched, [])

    def test_nothing(self) -> None:
        self.assertIn("neither a service chatd nor a web server", self.refused())

    def test_bad_document(self) -> None:
        self.zone.host(REALM, PUBLIC)
        self.assertIn("it has none", self.refused())
        self.document = fail(ConnectionRefusedError())
        self.assertIn("does not say where it is", self.refused())

    def test_no_answer(self) -> None:
        self.zone.host(REALM, PUBLIC)
        cancelled: list[Any] = []
        self.document = Deferred(cancelled.append)
        finding = self.lookup.find(REALM)
        self.assertNoResult(finding)
        self.clock.advance(LOOKUP_TIME)
        self.assertIn("in time", str(self.failureResultOf(finding, NotFound).value))
        self.assertEqual(len(cancelled), 1)


class OrderTests(SynchronousTestCase):
    def test_weights(self) -> None:
        """Of services of one priority, the first is chosen in proportion to the weights (RFC 2782)."""
        services = [Service(1, 0, "zero", 1), Service(1, 10, "a", 1), Service(1, 30, "b", 1)]
        random_bytes = random_from(2)
        first = Counter(in_order(services, random_bytes)[0].host for _ in range(4000))
        self.assertLess(abs(first["b"] / first["a"] - 3.0), 0.5)
        self.assertGreater(first["zero"], 20)
        self.assertLess(first["zero"], 200)

    def test_all(self) -> None:
        services = [Service(at % 3, 0, str(at), 1) for at in range(9)]
        found = in_order(services, random_from(3))
        self.assertEqual([each.priority for each in found], [0, 0, 0, 1, 1, 1, 2, 2, 2])
        self.assertEqual(set(found), set(services))


class NameTests(SynchronousTestCase):
    def test_public(self) -> None:
        for name in ("example.net", "a.b.c", "xn--bcher-kva.example", "1a.example"):
            self.assertTrue(is_public_name(name), name)

    def test_others(self) -> None:
        names = ("realm1", "127.0.0.1", "a..b", "a_b.example", "bücher.example", "-a.example", "a.")
        local = ("x.local", "x.localhost", "6131.x.invalid", "x.onion", "x.home.arpa")
        for name in (*names, *local, f"{'a' * 64}.example"):
            self.assertFalse(is_public_name(name), name)
