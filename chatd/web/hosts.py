"""The host names that the site answers to, and whether a page belongs to it.

With DNS rebinding, a page is loaded from a foreign name which then resolves to this machine. Its browser
takes it for a page of this site. Only the Host field shows the foreign name, so the site answers to known
names only. An IP address can't be rebound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

import msgspec
from twisted.web.server import Request

from chatd.base.errors import BadHost, ForeignHost
from chatd.base.names import printable
from chatd.base.sources import parse_ip

# A name has at most 253 characters (RFC 1035, 2.3.4). `%` is not accepted, neither for a zone identifier nor
# for percent-encoding.
_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s\[\]:@/?#,\\%]{1,254})(?::(\d{0,5}))?")
_ORIGIN = re.compile(r"(https?)://(.*)", re.IGNORECASE)
_ABSOLUTE = re.compile(rb"[a-z][a-z0-9+.-]*://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Authority(msgspec.Struct, frozen=True):
    """The host and port of a URL (RFC 3986, 3.2). `port` is None if the URL has none."""

    host: str
    port: int | None


def parse_authority(text: str) -> Authority | None:
    """Parse a host with an optional port. Returns None for anything else."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    host = match[1]
    if host.startswith("["):
        address = parse_ip(host[1:-1])
        if address is None:
            return None
        host = str(address)
    return Authority(_comparable(host), int(match[2]) if match[2] else None)


def _comparable(host: str) -> str:
    """The canonical form of a host name: lower case, ASCII (RFC 5890), without a final dot."""
    host = host.lower().removesuffix(".")
    if not host.isascii():
        try:
            return host.encode("idna").decode("ascii")
        except UnicodeError:
            return host
    return host


def origin_form(target: bytes) -> tuple[bytes, bytes | None]:
    """Split a request target (RFC 9112, 3.2) into path with query, and authority, if it has one.

    `*` becomes a path that does not exist, because Twisted would answer it without checking Host.
    """
    if target == b"*":
        return b"/*", None
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return target, None
    rest = match[2]
    return (rest if rest.startswith(b"/") else b"/" + rest), match[1]


def authority_of(request: Request) -> Authority | None:
    """The authority in the Host field. None if there is not exactly one field, or if it is malformed."""
    fields = request.requestHeaders.getRawHeaders(b"host") or ()
    return parse_authority(fields[0].decode(errors="replace")) if len(fields) == 1 else None


def is_own_origin(request: Request, origin: str) -> bool:
    """Whether the page of this origin was loaded from the host and port that the request goes to."""
    match = _ORIGIN.fullmatch(origin)
    page = None if match is None else parse_authority(match[2])
    asked = authority_of(request)
    if match is None or page is None or asked is None:
        return False
    scheme = match[1].lower()
    if request.isSecure() and scheme != "https":
        return False
    default = _DEFAULT_PORTS[scheme]
    return page.host == asked.host and (page.port or default) == (asked.port or default)


class Hosts:
    """The names of the site: that of the realm, `localhost`, all IP addresses, and those that `more` returns
    (`[web] hosts`)."""

    def __init__(self, realm: str, more: Callable[[], Collection[str]] = frozenset) -> None:
        self._realm = _comparable(realm)
        self._more = more
        self._seen: Collection[str] | None = None
        self._names: set[str] = set()

    def _is_own(self, host: str) -> bool:
        if (more := self._more()) is not self._seen:
            self._seen = more
            self._names = {self._realm, "localhost", *map(_comparable, more)}
        return host in self._names

    def check(self, request: Request) -> None:
        """Raises BadHost, ForeignHost. An HTTP/1.0 request may lack Host; no browser sends such requests."""
        named: bytes | None = getattr(request, "target_authority", None)
        fields = request.requestHeaders.getRawHeaders(b"host") or ()
        if not fields and named is None and request.clientproto == b"HTTP/1.0":
            return
        asked = authority_of(request)
        if asked is None or (
            named is not None and parse_authority(named.decode("latin-1")) != asked
        ):
            raise BadHost
        if not self._is_own(asked.host) and parse_ip(asked.host) is None:
            raise ForeignHost(host=printable(asked.host))
