"""Asks the DNS: services (RFC 2782) and addresses of hosts, through a resolver of twisted.names.

The answers of the configured name servers are believed, as those of the system's resolver are. So nothing
that is found here proves who a realm is; its certificate does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred, DeferredList
from twisted.names import dns
from twisted.names.client import Resolver

from chatd.base.sources import parse_ip

RESOLV_CONF = Path("/etc/resolv.conf")
TIMES = (1, 2)  # seconds until a question is asked again, and until it is given up
MAX_RECORDS = 16  # of one answer that are read
MAX_NAME = 253  # characters of a name (RFC 1035, 2.3.4)

#: The answer, authority and additional sections of a response.
Answer = tuple[Sequence[Any], Sequence[Any], Sequence[Any]]


class DNSResolver(Protocol):
    """What is used of twisted.internet.interfaces.IResolver."""

    def lookupService(self, name: str, timeout: Sequence[int]) -> Deferred[Answer]: ...

    def lookupAddress(self, name: str, timeout: Sequence[int]) -> Deferred[Answer]: ...  # noqa: N802

    def lookupIPV6Address(self, name: str, timeout: Sequence[int]) -> Deferred[Answer]: ...  # noqa: N802


class Service(msgspec.Struct, frozen=True):
    """A host and port that offer a service. A lower `priority` is tried first."""

    priority: int
    weight: int
    host: str
    port: int


def system_servers() -> list[tuple[str, int]]:
    """The name servers in resolv.conf; those of this machine if it names none."""
    try:
        lines = RESOLV_CONF.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    named = [each[1] for line in lines if (each := line.split())[:1] == ["nameserver"] and each[1:]]
    found = [(each, dns.PORT) for each in named if parse_ip(each) is not None]
    return found or [("127.0.0.1", dns.PORT)]


def make_resolver(reactor: Any, servers: Sequence[tuple[str, int]]) -> DNSResolver:
    """A resolver that asks `servers`, or those of the system as they are now if there are none."""
    resolver: DNSResolver = Resolver(servers=list(servers) or system_servers(), reactor=reactor)
    return resolver


async def services_of(resolver: DNSResolver, name: str) -> list[Service]:
    """The records of type SRV of `name`; none if there are none. Raises what the resolver raises, also if the
    name does not exist."""
    answers, _, _ = await resolver.lookupService(name, TIMES)
    found = []
    for each in answers[:MAX_RECORDS]:
        record = each.payload
        if each.type == dns.SRV and record is not None:
            host = _text(record.target.name)
            found.append(Service(record.priority, record.weight, host, record.port))
    return found


async def addresses_of(resolver: DNSResolver, host: str) -> list[str]:
    """The addresses of a host, those of IPv4 first; none if it does not exist."""
    try:
        asked = [resolver.lookupAddress(host, TIMES), resolver.lookupIPV6Address(host, TIMES)]
    except UnicodeError:
        return []  # others have chosen a name that can't be in the DNS
    found = []
    for succeeded, answer in await DeferredList(asked, consumeErrors=True):
        # Aliases (CNAME) come with the addresses that they lead to.
        for each in answer[0][:MAX_RECORDS] if succeeded else ():
            if each.type in (dns.A, dns.AAAA) and each.payload is not None:
                found.append(str(ip_address(each.payload.address)))
    return found


def _text(name: bytes) -> str:
    return name.decode("ascii", "replace").lower().removesuffix(".")


def in_order(services: Sequence[Service], random_bytes: Callable[[int], bytes]) -> list[Service]:
    """The services in the order in which they are tried: by priority, and at random by weight among those of
    one priority (RFC 2782, "Usage rules")."""
    found: list[Service] = []
    for priority in sorted({each.priority for each in services}):
        # Those of weight 0 come first, so that they have a small chance.
        left = sorted(
            (each for each in services if each.priority == priority), key=lambda each: each.weight
        )
        while left:
            sums = list(accumulate(each.weight for each in left))
            chosen = int.from_bytes(random_bytes(4)) % (sums[-1] + 1)
            found.append(left.pop(bisect_left(sums, chosen)))
    return found
