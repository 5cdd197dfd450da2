"""The header of the PROXY protocol, versions 1 and 2, which names the client behind a proxy.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from chatd.base.sources import parse_ip

V1_SIGNATURE = b"PROXY "
V1_MAX = 107  # bytes, with CR LF
V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2_FIXED = 16  # bytes before the addresses
V2_MAX = 4096  # bytes; the specification sets no limit, and proxies send a few hundred

_LOCAL, _PROXY = 0x20, 0x21  # version and command
_UNSPEC, _INET, _INET6, _UNIX = range(4)  # address family
_FORMATS = {_INET: "!4s4sHH", _INET6: "!16s16sHH", _UNIX: "!108s108s"}


class BadHeader(ValueError):
    """The bytes are not a PROXY header. The message says why, without quoting them."""


class Header(msgspec.Struct, frozen=True):
    """A complete header of `size` bytes.

    `client` is None if the proxy connects for itself, as for health checks, or does not know the client. Then
    the connection's own address counts.
    """

    size: int
    client: IAddress | None


def read_header(data: bytes) -> Header | None:
    """The header at the beginning of `data`; None if more bytes are needed. Raises BadHeader."""
    if data[:12] == V2_SIGNATURE[: len(data)]:
        return _read_v2(data)
    if data[:6] == V1_SIGNATURE[: len(data)]:
        return _read_v1(data)
    raise BadHeader("it does not begin with a PROXY header")


def _read_v1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, V1_MAX)
    if end < 0:
        if len(data) >= V1_MAX:
            raise BadHeader(f"its PROXY header is longer than {V1_MAX} bytes")
        return None
    return Header(end + 2, _v1_client(data[:end].split(b" ")))


def _v1_client(parts: list[bytes]) -> IAddress | None:
    """The source address in a version 1 line."""
    if parts[1] == b"UNKNOWN":
        return None
    kind: Any = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}.get(parts[1])
    if kind is None or len(parts) != 6 or not all(map(_is_port, parts[4:])):
        raise BadHeader("its PROXY header is malformed")
    source, destination = (part.decode("latin-1") for part in parts[2:4])
    if not all(_is_host(host, kind) for host in (source, destination)):
        raise BadHeader("its PROXY header has a malformed address")
    client: IAddress = kind("TCP", source, int(parts[4]))
    return client


def _is_port(text: bytes) -> bool:
    return text.isdigit() and len(text) <= 5 and int(text) <= 0xFFFF


def _is_host(text: str, kind: type[IPv4Address | IPv6Address]) -> bool:
    is_v6 = ":" in text
    return is_v6 is (kind is IPv6Address) and "%" not in text and parse_ip(text) is not None


def _read_v2(data: bytes) -> Header | None:
    if len(data) > 12 and data[12] not in (_LOCAL, _PROXY):
        raise BadHeader("its PROXY header has an unknown version or command")
    if len(data) < V2_FIXED:
        return None
    (length,) = struct.unpack_from("!H", data, 14)
    size = V2_FIXED + length
    if size > V2_MAX:
        raise BadHeader(f"its PROXY header is longer than {V2_MAX} bytes")
    if len(data) < size:
        return None
    client = None if data[12] == _LOCAL else _v2_client(data[13] >> 4, data[V2_FIXED:size])
    return Header(size, client)


def _v2_client(family: int, block: bytes) -> IAddress | None:
    """The source address in a version 2 block. Extensions (TLVs) follow it and are ignored."""
    if family == _UNSPEC:
        return None
    layout = _FORMATS.get(family)
    if layout is None or len(block) < struct.calcsize(layout):
        raise BadHeader("its PROXY header has no address of a known family")
    if family == _UNIX:
        return UNIXAddress(None)
    source, _, port, _ = struct.unpack_from(layout, block)
    if family == _INET:
        return IPv4Address("TCP", socket.inet_ntop(socket.AF_INET, source), port)
    return IPv6Address("TCP", socket.inet_ntop(socket.AF_INET6, source), port)
