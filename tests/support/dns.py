"""Names in the DNS of the tests, asked directly or through a small authoritative name server on loopback."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.names import dns
from twisted.names.common import ResolverBase
from twisted.names.error import DNSNameError
from twisted.names.server import DNSServerFactory

net: Any = reactor


class Zone(ResolverBase):
    """The records by name. `asked` are the questions that came, as name and type."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, str]] = []

    def _lookup(self, name: bytes, cls: int, type: int, timeout: Any) -> Deferred[Any]:  # noqa: A002
        """Answer as an authoritative server does."""
        key = name.decode().lower()
        self.asked.append((key, dns.QUERY_TYPES[type]))
        if key not in self.records:
            return fail(DNSNameError(key))
        found = [each for each in self.records[key] if type == each.TYPE]
        answers = [dns.RRHeader(key, each.TYPE, ttl=60, payload=each, auth=True) for each in found]
        return succeed((answers, [], []))

    def add(self, name: str, *records: Any) -> None:
        self.records.setdefault(name.lower(), []).extend(records)

    def host(self, name: str, *addresses: str) -> None:
        """Add a host with addresses of IPv4 and IPv6."""
        for each in addresses:
            kind = dns.Record_AAAA if ":" in each else dns.Record_A
            self.add(name, kind(each))

    def realm(self, name: str, host: str, port: int, priority: int = 0, weight: int = 0) -> None:
        """Add the service of a realm."""
        self.add(f"_chatd._tcp.{name}", dns.Record_SRV(priority, weight, port, host))


class NameServer:
    """Answers for `zone` over UDP, at `port`. Call `stop` in the end."""

    def __init__(self, zone: Zone) -> None:
        factory = DNSServerFactory(clients=[zone])
        factory.noisy = False
        self._protocol = dns.DNSDatagramProtocol(factory)
        self._protocol.noisy = False
        self._listening = net.listenUDP(0, self._protocol, interface="127.0.0.1")
        self.port: int = self._listening.getHost().port

    def stop(self) -> Any:
        return self._listening.stopListening()
