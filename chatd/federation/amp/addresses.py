"""Which addresses may be dialled: public ones, and private ones for operators."""

from __future__ import annotations

import ipaddress
from enum import Enum

from chatd.base.errors import ForbiddenAddress
from chatd.base.sources import IPAddress, parse_ip

FOR_OPERATORS = "only operators may name private and loopback addresses; ask one of them"


def place_of(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class AddressScope(Enum):
    """What an IP address leads to."""

    FORBIDDEN = 0  # can't be a realm, such as a multicast address
    PRIVATE = 1  # a private network, or this machine
    PUBLIC = 2  # the public Internet


def scope_of(address: str) -> AddressScope:
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


def _own_scope(ip: IPAddress) -> AddressScope:
    if (
        ip.is_link_local
        or ip.is_multicast
        or ip.is_unspecified
        or ip in _THIS_NETWORK
        or ip == _BROADCAST
    ):
        return AddressScope.FORBIDDEN
    if isinstance(ip, ipaddress.IPv6Address) and (ip.is_site_local or ip.sixtofour is not None):
        return AddressScope.PRIVATE  # 6to4 no longer has public relays (RFC 7526)
    return AddressScope.PUBLIC if ip.is_global else AddressScope.PRIVATE


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
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")  # RFC 1122; on Linux it is this machine
_CARRYING = tuple(
    map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
)


def check_literal(host: str, *, private: bool) -> None:
    """Raises ForbiddenAddress if `host` is an IP address that may not be dialled. Host names pass, and so do
    unusual spellings of addresses, which `connect` checks.

    The result depends on the text alone, so it reveals nothing about the network.
    """
    address = parse_ip(host.strip("[]"))
    if address is None:
        return
    scope = scope_of(host.strip("[]"))
    if scope is AddressScope.FORBIDDEN:
        raise ForbiddenAddress(address=host)
    if scope is AddressScope.PRIVATE and not private:
        raise ForbiddenAddress(address=host, reason=FOR_OPERATORS)
