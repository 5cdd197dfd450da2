"""Connecting to another realm, and saying in a sentence why that did not work."""

from __future__ import annotations

import errno
import ipaddress
import os
from collections.abc import Sequence
from typing import Any

from OpenSSL import SSL
from twisted.internet import error as net
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IHostnameResolver, IResolutionReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.errors import ChatError, ForbiddenAddress, RealmDown, RealmUnreachable

CONNECT_TIME = 10.0  # seconds for each address


def place_of(host: str, port: int) -> str:
    """Where something is, as it is shown: an IPv6 address stands in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_forbidden(address: str) -> bool:
    """Whether nothing of another realm's may be at that IP address (RFC 3927, RFC 4291, RFC 5771): at what
    is meant for one link or for many, and at what is no address at all."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    if mapped is not None:
        ip = mapped
    return (
        ip.is_link_local
        or ip.is_multicast
        or ip.is_unspecified
        or ip == ipaddress.IPv4Address("255.255.255.255")
    )


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


async def connect(reactor: Any, host: str, port: int, factory: Any) -> Any:
    """A connection to the first of the host's addresses that takes one; its protocol.

    Raises ForbiddenAddress, or the error of the last address that was tried.
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
    allowed = [each for each in addresses if not is_forbidden(each.host)]
    if addresses and not allowed:
        raise ForbiddenAddress(address=host)
    failed: Exception = net.DNSLookupError()
    for address in allowed:
        kind = TCP6ClientEndpoint if isinstance(address, IPv6Address) else TCP4ClientEndpoint
        try:
            return await kind(reactor, address.host, port, timeout=CONNECT_TIME).connect(factory)
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
