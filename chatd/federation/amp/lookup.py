"""Finds where a realm accepts links: by its name in the DNS, or on its web server.

First the service `_chatd._tcp.NAME` is asked for (RFC 2782), and if there is none, the web server of NAME
(chatd.federation.amp.well_known). What they name is resolved here, once, and only addresses that may be
dialled are returned. So a name that changes its address afterwards (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.names.error import DomainError, ResolverError

from chatd.base.sources import parse_ip
from chatd.base.whereabouts import Whereabouts
from chatd.federation.amp.addresses import AddressScope, place_of, scope_of
from chatd.federation.amp.name_servers import (
    DNSResolver,
    Service,
    addresses_of,
    in_order,
    services_of,
)
from chatd.federation.amp.well_known import BadDocument

SERVICE = "_chatd._tcp"
LOOKUP_TIME = 4.0  # seconds for everything
MAX_SERVICES = 4  # of a realm that are tried
MAX_PLACES = 8  # addresses of a realm that are tried
PRIVILEGED = 1024  # ports below are not dialled, except that of HTTPS
HTTPS = 443

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}", re.ASCII)
# Names that are not in the public DNS (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476)
_LOCAL = re.compile(r".*\.(?:alt|home\.arpa|invalid|local|localhost|onion)")

log = Logger()

#: Fetches the document of a realm from the web server at one of these addresses.
Fetch = Callable[[str, Sequence[str]], Deferred[Whereabouts]]


class NotFound(Exception):
    """The realm was not found. `str()` is the reason."""


class DialPlace(msgspec.Struct, frozen=True):
    """An IP address that may be dialled, and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return place_of(self.address, self.port)


def is_public_name(realm: str) -> bool:
    """Whether the key of a realm can be a name in the public DNS."""
    return _NAME.fullmatch(realm) is not None and _LOCAL.fullmatch(realm) is None


class RealmLookup:
    """Looks realms up. `private` is whether private and loopback addresses may be dialled."""

    def __init__(
        self,
        clock: IReactorTime,
        resolver: Callable[[], DNSResolver],
        fetch: Fetch,
        random_bytes: Callable[[int], bytes],
        *,
        private: bool,
    ) -> None:
        self._clock = clock
        self._resolver = resolver
        self._fetch = fetch
        self._random_bytes = random_bytes
        self._least = AddressScope.PRIVATE if private else AddressScope.PUBLIC

    def find(self, realm: str) -> Deferred[list[DialPlace]]:
        """The places of the realm with that key, in the order in which they should be dialled; at least one.
        Fails with NotFound. It can be cancelled."""
        finding = Deferred.fromCoroutine(self._find(realm))
        return finding.addTimeout(LOOKUP_TIME, self._clock, _too_late)

    async def _find(self, realm: str) -> list[DialPlace]:
        resolver = self._resolver()
        services = await self._services(resolver, realm)
        if not services:
            found = await self._document(resolver, realm)
            services = [Service(0, 0, found.host, found.port)]
        places: list[DialPlace] = []
        refused = ""
        for service in in_order(services, self._random_bytes)[:MAX_SERVICES]:
            if service.port < PRIVILEGED and service.port != HTTPS:
                refused = f"its port {service.port} is reserved for other services"
                continue
            addresses = await self._addresses(resolver, service.host)
            if not addresses:
                refused = f"its host {service.host} has no address that may be dialled from here"
            places += [DialPlace(each, service.port) for each in addresses]
        if not places:
            raise NotFound(refused)
        return list(dict.fromkeys(places))[:MAX_PLACES]

    async def _services(self, resolver: DNSResolver, realm: str) -> list[Service]:
        """Raises NotFound if the DNS says that the realm offers no service (RFC 2782, target `.`)."""
        try:
            services = await services_of(resolver, f"{SERVICE}.{realm}")
        except (DomainError, ResolverError, TimedOut, OSError):
            return []  # there is none, or the web server may still be found
        offered = [each for each in services if each.host]
        if services and not offered:
            raise NotFound("its entry in the DNS says that it accepts no links")
        return offered

    async def _document(self, resolver: DNSResolver, realm: str) -> Whereabouts:
        addresses = await self._addresses(resolver, realm)
        if not addresses:
            raise NotFound("the DNS has neither a service chatd nor a web server of that name")
        try:
            return await self._fetch(realm, addresses)
        except BadDocument as error:
            raise NotFound(f"the DNS names no service, and {error}") from None
        except CancelledError:
            raise
        except Exception as error:
            log.debug("{realm} has no document: {error}", realm=realm, error=error)
            raise NotFound(
                "the DNS names no service chatd, and its web server does not say where it is"
            ) from None

    async def _addresses(self, resolver: DNSResolver, host: str) -> list[str]:
        """The addresses of a host that may be dialled."""
        literal = parse_ip(host)
        found = [str(literal)] if literal is not None else await addresses_of(resolver, host)
        return [each for each in found if scope_of(each).value >= self._least.value]


def _too_late(_result: object, _seconds: float) -> NoReturn:
    raise NotFound("the DNS or its web server did not answer in time")
