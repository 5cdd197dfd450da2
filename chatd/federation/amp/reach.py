"""Connecting to another realm: which addresses may be dialled, and a sentence for each failure."""

from __future__ import annotations

import errno
import ipaddress
import os
from collections.abc import Sequence
from enum import Enum
from typing import Any

from OpenSSL import SSL
from twisted.internet import error as net
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IHostnameResolver, IResolutionReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.errors import ChatError, ForbiddenAddress, RealmDown, RealmUnreachable
from chatd.base.sources import IPAddress, parse_ip

CONNECT_TIME = 10.0  # seconds for each address
MAX_ADDRESSES = 8  # tried for one host
FOR_OPERATORS = "only operators may name private and loopback addresses; ask one of them"


def place_of(host: str, port: int) -> str:
    """Where something is, as it is shown: an IPv6 address stands in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Scope(Enum):
    """What an IP address leads to: nothing that may be a realm, a private network or this machine, or the
    public Internet."""

    FORBIDDEN = 0
    PRIVATE = 1
    PUBLIC = 2


def scope_of(address: str) -> Scope:
    """The scope of an IP address (RFC 6890). A zone (`%eth0`) is ignored.

    An IPv6 address that carries an IPv4 address has the narrower scope of the two, because a gateway may
    forward to the inner one.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    found = [_own_scope(ip)]
    if isinstance(ip, ipaddress.IPv6Address):
        found = [_own_scope(inner) for inner in _carried(ip)] + (
            found if ip.ipv4_mapped is None else []
        )
    return min(found, key=lambda scope: scope.value)


def _own_scope(ip: IPAddress) -> Scope:
    if (
        ip.is_link_local
        or ip.is_multicast
        or ip.is_unspecified
        or ip in _THIS_NETWORK
        or ip == _BROADCAST
    ):
        return Scope.FORBIDDEN
    if isinstance(ip, ipaddress.IPv6Address) and (ip.is_site_local or ip.sixtofour is not None):
        return Scope.PRIVATE  # 6to4 has no public relays any more (RFC 7526)
    return Scope.PUBLIC if ip.is_global else Scope.PRIVATE


def _carried(ip: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses in an IPv6 address: mapped and compatible (RFC 4291), translated (RFC 6052, RFC
    8215), 6to4 (RFC 3056), Teredo (RFC 4380) and ISATAP (RFC 5214)."""
    found = list(ip.teredo or ())
    if ip.sixtofour is not None:
        found.append(ip.sixtofour)
    isatap = (int(ip) >> 32) & 0xFFFFFFFF in (0x00005EFE, 0x02005EFE)
    if isatap or (int(ip) > 1 and any(ip in network for network in _CARRYING)):
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return found


_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")  # RFC 1122; on Linux it leads to this machine
_CARRYING = tuple(
    map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
)


def check_literal(host: str, *, private: bool) -> None:
    """Refuse `host` if it is an IP address in the usual spelling that may not be dialled. Names pass. Raises
    ForbiddenAddress.

    The result depends on the text alone, so it tells nobody anything about the network.
    """
    address = parse_ip(host.strip("[]"))
    if address is None:
        return
    scope = scope_of(host.strip("[]"))
    if scope is Scope.FORBIDDEN:
        raise ForbiddenAddress(address=host)
    if scope is Scope.PRIVATE and not private:
        raise ForbiddenAddress(address=host, reason=FOR_OPERATORS)


@implementer(IResolutionReceiver)
class Resolution:
    """Collects a host's addresses."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.done: Deferred[Sequence[Any]] = Deferred()

    def resolutionBegan(self, resolutionInProgress: Any) -> None:  # noqa: N802, N803
        """Nothing to do: it is waited for."""

    def addressResolved(self, address: Any) -> None:  # noqa: N802
        self.found.append(address)

    def resolutionComplete(self) -> None:  # noqa: N802
        self.done.callback(self.found)


async def connect(reactor: Any, host: str, port: int, factory: Any, *, private: bool = True) -> Any:
    """Connect to the first of the host's addresses that accepts. Returns the protocol.

    The name is resolved once, and the checked addresses are dialled, so a name that changes its address in
    between gains nothing. `private` says whether private and loopback addresses may be dialled. Raises
    ForbiddenAddress, or the error of the last address that was tried. Cancelling it stops all tries.
    """
    resolver: IHostnameResolver = reactor.nameResolver
    resolution = Resolution()
    resolver.resolveHostName(
        resolution,
        host.strip("[]"),
        port,
        [IPv4Address, IPv6Address],
        "TCP",
    )
    addresses = await resolution.done
    least = Scope.PRIVATE if private else Scope.PUBLIC
    allowed = [each for each in addresses if scope_of(each.host).value >= least.value]
    if addresses and not allowed:
        if all(scope_of(each.host) is Scope.FORBIDDEN for each in addresses):
            raise ForbiddenAddress(address=host)
        raise ForbiddenAddress(address=host, reason=FOR_OPERATORS)
    failed: Exception = net.DNSLookupError()
    for address in allowed[:MAX_ADDRESSES]:
        kind = TCP6ClientEndpoint if isinstance(address, IPv6Address) else TCP4ClientEndpoint
        try:
            return await kind(reactor, address.host, port, timeout=CONNECT_TIME).connect(factory)
        except (CancelledError, net.ConnectingCancelledError):
            raise
        except Exception as error:
            failed = error
    raise failed


def why(failure: Failure, realm: str, address: str) -> ChatError:
    """What went wrong with a connection to `realm`."""
    error = failure.value
    if isinstance(error, ChatError) and not isinstance(error, RealmDown):
        return error
    return RealmUnreachable(realm=realm, address=address, reason=_reason(error))


def _reason(error: BaseException | None) -> str:
    for kinds, sentence in _REASONS:
        if isinstance(error, kinds):
            return sentence
    number = error.osError if isinstance(error, net.ConnectError) else None
    if number in (errno.EHOSTUNREACH, errno.ENETDOWN):
        return NO_ROUTE
    if number is not None:
        return f"the operating system says: {os.strerror(number)}"
    return "the connection was lost before it was up; is there a realm?"


NO_ROUTE = "there is no route to it; check the network"
_REASONS: tuple[tuple[Any, str], ...] = (
    (net.DNSLookupError, "there is no such host; check its name"),
    (net.ConnectionRefusedError, "nothing listens there; check the port, and that it is running"),
    (net.NoRouteError, NO_ROUTE),
    ((net.TimeoutError, net.TCPTimedOutError), "it timed out; check the address and firewalls"),
    (SSL.Error, "what listens there is no realm's door for peers; check the port"),
    (RealmDown, "it did not answer in time; try again"),
)
