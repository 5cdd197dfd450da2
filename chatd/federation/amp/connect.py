"""Connects to another realm's address, and explains failures in a sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from OpenSSL import SSL
from twisted.internet import error as net
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IHostResolution, IProtocolFactory, IResolutionReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.clocks import IReactor
from chatd.base.errors import ChatError, ForbiddenAddress, RealmDown, RealmUnreachable
from chatd.federation.amp.addresses import FOR_OPERATORS, AddressScope, scope_of

CONNECT_TIME = 10.0  # seconds for each address
MAX_ADDRESSES = 8  # tried for one host


@implementer(IResolutionReceiver)
class Resolution:
    """Collects the addresses of a host."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.done: Deferred[Sequence[Any]] = Deferred()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:  # noqa: N802, N803
        """Nothing to do: `done` is awaited."""

    def addressResolved(self, address: Any) -> None:  # noqa: N802
        self.found.append(address)

    def resolutionComplete(self) -> None:  # noqa: N802
        self.done.callback(self.found)


async def connect(
    reactor: IReactor, host: str, port: int, factory: IProtocolFactory, *, private: bool = True
) -> Any:
    """Connect to the first of the host's addresses that accepts. Returns the protocol.

    The name is resolved once, and the addresses that were checked are dialled, so a name that changes its
    address in between (DNS rebinding) gains nothing. `private` says whether private and loopback addresses
    may be dialled. Raises ForbiddenAddress, or the error of the last address that was tried. It can be
    cancelled.
    """
    resolution = Resolution()
    reactor.nameResolver.resolveHostName(
        resolution, host.strip("[]"), port, [IPv4Address, IPv6Address], "TCP"
    )
    addresses = await resolution.done
    least = AddressScope.PRIVATE if private else AddressScope.PUBLIC
    allowed = [each for each in addresses if scope_of(each.host).value >= least.value]
    if addresses and not allowed:
        if all(scope_of(each.host) is AddressScope.FORBIDDEN for each in addresses):
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


def explain(failure: Failure, realm: str, address: str) -> ChatError:
    """The error that tells people why `realm` was not reached at `address`."""
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
