"""The address of a client behind trusted proxies: X-Forwarded-For, and Forwarded (RFC 7239).

Each proxy appends the address of its client, so the fields are read from the right. The first address that is
not a trusted proxy is the client. Everything to its left was sent by that client and may be invented.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address as IPv6

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress
from twisted.web.http_headers import Headers

from chatd.base.sources import Networks, parse_ip, source_of

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PAIR = rf"{_WORD}=(?:{_WORD}|{_QUOTED})"
# Possessive quantifiers (`*+`) keep a field of nothing but white space from taking quadratic time.
_ELEMENT = re.compile(rf"\s*+({_PAIR}(?:\s*+;\s*+{_PAIR})*)?\s*+(?:,|$)")
_NAME_AND_VALUE = re.compile(rf"({_WORD})=({_WORD}|{_QUOTED})")
_NODE = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::\d{1,5})?")


def client_address(peer: IAddress | None, headers: Headers, trusted: Networks) -> IAddress | None:
    """The address of a request's client; `peer` is the other end of the connection.

    If the two fields differ, a proxy has passed one of them on unchecked. There is no telling which one, so
    `peer` counts.
    """
    host = getattr(peer, "host", None)
    if not trusted.contains(host):
        return peer
    named = [
        _walk(host, hops, trusted)
        for hops in (_forwarded_for(headers), _forwarded(headers))
        if hops
    ]
    if not named or len({source_of(each) for each in named}) > 1 or named[0] == host:
        return peer
    return _address(named[0])


def _walk(host: str | None, hops: Sequence[str | None], trusted: Networks) -> str | None:
    """The first of these hosts, starting with the nearest, that is not a trusted proxy. A proxy whose client
    is missing or unreadable counts as the client."""
    for hop in hops:
        if hop is None or not trusted.contains(host):
            break
        host = hop
    return host


def _address(host: str | None) -> IAddress | None:
    address = parse_ip(host or "")
    kind = IPv6Address if isinstance(address, IPv6) else IPv4Address
    return None if address is None else kind("TCP", str(address), 0)


def _node(text: str) -> str | None:
    """The IP address in an element, which may have a port; None for anything else."""
    if parse_ip(text) is not None and "%" not in text:
        return text
    match = _NODE.fullmatch(text)
    host = match and (match[1] or match[2])
    return host if host and parse_ip(host) is not None else None


def _forwarded_for(headers: Headers) -> Sequence[str | None]:
    """The hosts in X-Forwarded-For, the nearest first. None stands for an unreadable one."""
    fields = headers.getRawHeaders(b"x-forwarded-for") or ()
    joined = b",".join(fields).decode("latin-1")
    return [_node(each.strip()) for each in reversed(joined.split(","))] if fields else ()


def _forwarded(headers: Headers) -> Sequence[str | None]:
    """The hosts in Forwarded, the nearest first. A malformed field counts as one unreadable host: a client's
    open quotation mark must not swallow what a proxy appends."""
    fields = headers.getRawHeaders(b"forwarded") or ()
    found: list[str | None] = []
    for field in fields:
        try:
            found += _elements(field.decode("latin-1"))
        except ValueError:
            found.append(None)
    return found[::-1]


def _elements(field: str) -> Iterator[str | None]:
    """The host of each element of the field. Raises ValueError if the field is malformed."""
    at = 0
    while at < len(field):
        match = _ELEMENT.match(field, at)
        if match is None:
            raise ValueError("no Forwarded field")
        at = match.end()
        if match[1] is None:
            continue
        pairs = {name.lower(): value for name, value in _NAME_AND_VALUE.findall(match[1])}
        yield _node(_unquote(pairs.get("for", "")))


def _unquote(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
