"""Network addresses, and the sources by which limits count them.

A site with IPv6 has at least a /64 (RFC 6177), so limits and throttles treat a /64 as one source.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

import msgspec

LOCAL = "local"  # the source of a connection without a network address, such as a Unix socket

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_ip(host: str) -> IPAddress | None:
    """The address in `host`, or None if there is none. An IPv4 address mapped into IPv6 (`::ffff:1.2.3.4`,
    RFC 4291) is the IPv4 address. A zone (`%eth0`) is dropped."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def address_of(host: str | None) -> str:
    """The address `host` in one spelling; `local` where there is none."""
    address = parse_ip(host) if host else None
    return (host or LOCAL) if address is None else str(address)


# `[2001:db8::1]`, `[2001:db8::1]:5222` and `192.0.2.7:5222`, as logs and programs write addresses
_WITH_PORT = re.compile(r"\[([^\[\]]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")
_WILDCARD = re.compile(r"(?:[0-9]+\.){1,3}\*")
SITE = 64  # bits of the prefix that a site with IPv6 has at least


def parse_network(text: str) -> IPNetwork | None:
    """The network that somebody writes as an address, `192.0.2.0/24`, `192.0.2.*` or `2001:db8::/32`, or None
    if it is none. A single IPv6 address stands for its /64. Bits after the prefix are ignored."""
    match = _WITH_PORT.fullmatch(text)
    if match is not None:
        text = match[1] or match[2]
    if _WILDCARD.fullmatch(text):
        parts = text.split(".")[:-1]
        text = f"{'.'.join(parts)}{'.0' * (4 - len(parts))}/{8 * len(parts)}"
    host, slash, length = text.partition("/")
    address = parse_ip(host)
    if address is None:
        return None
    if not slash:
        length = str(SITE if address.version == 6 else 32)
    elif address.version == 4 and ":" in host:  # mapped into IPv6
        length = str(int(length) - 96) if length.isascii() and length.isdigit() else ""
    try:
        return ipaddress.ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        return None


@lru_cache(maxsize=16384)
def source_of(host: str | None) -> str:
    """The key under which everything from `host` is counted: an IPv4 address, an IPv6 /64, or `local`."""
    if not host:
        return LOCAL
    address = parse_ip(host)
    if address is None:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, SITE), strict=False))
    return str(address)


class Networks(msgspec.Struct, frozen=True):
    """A set of network addresses; `local` is whether Unix sockets belong to it."""

    networks: tuple[IPNetwork, ...] = ()
    local: bool = False

    @classmethod
    def parse(cls, text: str) -> Networks:
        """Read addresses, networks (`192.0.2.0/24`) and the word `local`, separated by commas or spaces.

        Raises ValueError.
        """
        words = [word for word in re.split(r"[,\s]+", text) if word]
        networks = tuple(ipaddress.ip_network(word) for word in words if word != LOCAL)
        return cls(networks, LOCAL in words)

    def __bool__(self) -> bool:
        return self.local or bool(self.networks)

    def contains(self, host: str | None) -> bool:
        """Whether the address `host` belongs to the set. None and `local` stand for a Unix socket."""
        if not host or host == LOCAL:
            return self.local
        if not self.networks:
            return False
        address = parse_ip(host)
        return address is not None and any(address in network for network in self.networks)
