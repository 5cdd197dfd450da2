"""Parsers for the values in chatd.ini. Each raises ValueError with the expected form, for the operator."""

from __future__ import annotations

import re
from collections.abc import Callable

from chatd.base.config import POSTGRES_BUS
from chatd.base.errors import BadName
from chatd.base.name_patterns import parse_pattern
from chatd.base.names import key_of, parse_name
from chatd.base.sources import Networks, parse_ip

_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_TIMES = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_size(text: str) -> int:
    """`64K` -> 65536."""
    match = re.fullmatch(r"(\d{1,15})\s*([KMG]?)", text, re.IGNORECASE | re.ASCII)
    if match is None:
        raise ValueError("a size: a whole number of bytes, optionally with K, M or G")
    return int(match[1]) * _SIZES[match[2].upper()]


def parse_time(text: str) -> int:
    """`30d` -> 2592000, in seconds."""
    match = re.fullmatch(r"(\d{1,9})\s*([smhd]?)", text, re.IGNORECASE | re.ASCII)
    if match is None:
        raise ValueError("a time: a whole number with s, m, h or d")
    return int(match[1]) * _TIMES[match[2].lower()]


def group_name(text: str) -> str:
    """A group of the system. Whether there is one is checked when the realm starts."""
    if not re.fullmatch(r"[\w.][\w.-]{0,255}", text):
        raise ValueError("the name of a group of this system")
    return text


def realm_name(text: str) -> str:
    """A realm's name as written. Its key must be a valid name too, since certificates contain it."""
    try:
        parse_name(key_of(text))
        return parse_name(text)
    except BadName:
        raise ValueError(
            "a name of 1 to 64 letters, digits, dots, underscores and hyphens"
        ) from None


def node_name(text: str) -> str:
    """The name of a node."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise ValueError(
            "a name of 1 to 64 letters of ASCII, digits, dots, underscores and hyphens"
        )
    return text


_BUS_URL = r"(redis|rediss|unix|postgresql|postgresql\+psycopg)://\S+"


def bus(text: str) -> str:
    """What carries the messages between nodes."""
    if text != POSTGRES_BUS and not re.fullmatch(_BUS_URL, text):
        raise ValueError(
            f"{POSTGRES_BUS}, the URL of the PostgreSQL server without a pooler, or the URL of a Redis "
            "server, such as redis://localhost:6379"
        )
    return text


def count_from(minimum: int) -> Callable[[str], int]:
    """A whole number of at least `minimum`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) < minimum:
            raise ValueError(f"a whole number, {minimum} or more")
        return int(text)

    return parse


def size_from(minimum: int) -> Callable[[str], int]:
    """A size of at least `minimum` bytes."""

    def parse(text: str) -> int:
        size = parse_size(text)
        if size < minimum:
            raise ValueError(f"a size of at least {minimum} bytes")
        return size

    return parse


def realm_names(text: str) -> frozenset[str]:
    """The keys of realm names that are separated by commas or spaces."""
    return frozenset(key_of(realm_name(each)) for each in re.split(r"[,\s]+", text) if each)


def realm_patterns(text: str) -> tuple[str, ...]:
    """Patterns of realm names (chatd.base.name_patterns), separated by commas or spaces."""
    return tuple(parse_pattern(each) for each in re.split(r"[,\s]+", text) if each)


def name_servers(text: str) -> tuple[tuple[str, int], ...]:
    """Addresses of name servers, each with a port if it is not 53, separated by commas or spaces."""
    found = []
    for each in filter(None, re.split(r"[,\s]+", text)):
        host, colon, port = each.rpartition(":")
        if not colon or parse_ip(each) is not None:  # an IPv6 address has colons, too
            host, port = each, "53"
        host = host.removeprefix("[").removesuffix("]")
        if parse_ip(host) is None or not (
            port.isascii() and port.isdigit() and 0 < int(port) < 65536
        ):
            raise ValueError(
                "addresses of name servers, such as 127.0.0.1, [::1] or 192.0.2.1:5353"
            )
        found.append((host, int(port)))
    return tuple(found)


def origins(text: str) -> frozenset[str]:
    """Origins (RFC 6454), separated by commas or spaces, as browsers send them."""
    found = frozenset(each.lower().rstrip("/") for each in re.split(r"[,\s]+", text) if each)
    if not all(re.fullmatch(r"https?://[^/?#@\s]+", each) for each in found):
        raise ValueError("origins, such as https://chat.example.org, separated by commas")
    return found


def service_url(text: str) -> str:
    """The address of a storage service. Credentials are not part of it."""
    if not re.fullmatch(r"https?://[^/?#@\s]+(/[^?#@\s]*)?", text):
        raise ValueError("the address of a storage service, such as https://s3.example.org")
    return text.rstrip("/")


def bucket_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise ValueError("the name of a bucket: 3 to 63 of a-z, 0-9, dots and hyphens")
    return text


def key_prefix(text: str) -> str:
    """The beginning of the keys of objects, with the / that ends it."""
    bare = text.strip("/")
    if not re.fullmatch(r"[A-Za-z0-9._/-]{0,200}", bare) or "//" in bare:
        raise ValueError(
            "a path of letters, digits, dots, underscores and hyphens, such as chat/files"
        )
    return f"{bare}/" if bare else ""


def region(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,64}", text):
        raise ValueError("the name of a region, such as eu-central-1")
    return text


def web_url(text: str) -> str:
    """An origin, or the URL of its root, as an origin."""
    if not re.fullmatch(r"https?://[^/?#@\s]+/?", text):
        raise ValueError("the address of the site, such as https://chat.example.org")
    return text.rstrip("/")


def hosts(text: str) -> frozenset[str]:
    """Host names, separated by commas or spaces, in lower case."""
    found = frozenset(each.lower().rstrip(".") for each in re.split(r"[,\s]+", text) if each)
    if not all(re.fullmatch(r"[^/?#@:\[\]\s]{1,253}", each) for each in found):
        raise ValueError("host names without port, such as chat.example.org, separated by commas")
    return found


def networks(text: str) -> Networks:
    """Addresses, networks and the word `local`, separated by commas or spaces."""
    try:
        return Networks.parse(text)
    except ValueError:
        raise ValueError(
            "addresses or networks, such as 127.0.0.1, 192.0.2.0/24 or local (for Unix sockets), "
            "separated by commas"
        ) from None


def one_of(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(f"one of {', '.join(values)}")
        return text

    return parse


def yes_or_no(text: str) -> bool:
    return one_of("yes", "no")(text) == "yes"


def address(text: str) -> str:
    """The host and port of another realm."""
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("host:port, such as 172.16.16.102:8890")
    return text


def fingerprint(text: str) -> str:
    """The SHA-256 of a certificate: `sha256:` and 64 lower-case hexadecimal digits."""
    digits = text.removeprefix("sha256:").replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError("sha256: and 64 hexadecimal digits")
    return f"sha256:{digits}"


def endpoint(text: str) -> str:
    """A Twisted endpoint string. Its syntax is checked when the door is opened."""
    if not re.match(r"(tcp6?|ssl|unix|systemd|fd|haproxy):", text):
        raise ValueError("a Twisted endpoint string, such as tcp:8889:interface=127.0.0.1")
    return text


def url(text: str) -> str:
    """A URL of a database."""
    if not re.match(r"[a-z0-9_+]+://", text):
        raise ValueError("an SQLAlchemy URL, such as sqlite:////var/lib/chatd/chatd.db, or nothing")
    return text
