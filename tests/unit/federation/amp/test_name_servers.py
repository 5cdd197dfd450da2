"""Which name servers are asked, and what of their answers is used."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from chatd.federation.amp import name_servers
from chatd.federation.amp.name_servers import (
    MAX_RECORDS,
    Service,
    addresses_of,
    in_order,
    make_resolver,
    services_of,
    system_servers,
)
from tests.support.dns import Zone

HERE = [("127.0.0.1", 53)]


class SystemServers(SynchronousTestCase):
    def named_in(self, text: str) -> list[tuple[str, int]]:
        file = Path(self.mktemp())
        file.write_text(text)
        self.patch(name_servers, "RESOLV_CONF", file)
        return system_servers()

    def test_of_the_file(self) -> None:
        """Words are separated by spaces or tabs, as in the C library."""
        found = self.named_in(
            "# nameserver 192.0.2.9\nsearch example.net\n"
            "nameserver 192.0.2.1\nnameserver\t2001:db8::1 # of the campus\n  nameserver 192.0.2.2\n"
        )
        self.assertEqual(found, [(each, 53) for each in ("192.0.2.1", "2001:db8::1", "192.0.2.2")])

    def test_nothing_useful(self) -> None:
        """Incomplete lines, other words and names of hosts are left out."""
        for text in ("", "nameserver", "nameserver \nnameservers 192.0.2.1\nnameserver ns.test\n"):
            self.assertEqual(self.named_in(text), HERE, text)

    def test_no_file(self) -> None:
        self.patch(name_servers, "RESOLV_CONF", Path(self.mktemp()))
        self.assertEqual(system_servers(), HERE)

    def test_configured(self) -> None:
        """Those of the configuration are asked in place of those of the system."""
        self.named_in("nameserver 192.0.2.1")
        for configured, expected in (([], "192.0.2.1"), ([("192.0.2.5", 5353)], "192.0.2.5")):
            resolver = make_resolver(Clock(), configured)
            ((address, _port),) = resolver.servers  # type: ignore[attr-defined]
            self.assertEqual(address, expected)


class Answers(SynchronousTestCase):
    def setUp(self) -> None:
        self.zone = Zone()

    def test_other_records(self) -> None:
        """A name server may add records of other types to an answer."""
        lookup = self.zone.lookupService
        alias = dns.RRHeader("x.test", dns.CNAME, payload=dns.Record_CNAME("y.test"))
        self.zone.realm("satu.test", "chat.satu.test", 8890)

        def more(*asked: object) -> object:
            return lookup(*asked).addCallback(lambda found: ([alias, *found[0]], [], []))

        self.patch(self.zone, "lookupService", more)
        found = self.successResultOf(
            Deferred.fromCoroutine(services_of(self.zone, "_chatd._tcp.satu.test"))
        )
        self.assertEqual([(each.host, each.port) for each in found], [("chat.satu.test", 8890)])

    def test_too_many(self) -> None:
        self.zone.host("satu.test", *(f"192.0.2.{each}" for each in range(1, 40)))
        found = self.successResultOf(Deferred.fromCoroutine(addresses_of(self.zone, "satu.test")))
        self.assertEqual(len(found), MAX_RECORDS)

    def test_largest_random_number(self) -> None:
        """Every service has its turn, also if random bytes are the largest."""
        services = [Service(1, weight, f"h{weight}", 1) for weight in (0, 0, 65535)]
        found = in_order(services, lambda size: b"\xff" * size)
        self.assertEqual(sorted(each.host for each in found), ["h0", "h0", "h65535"])
