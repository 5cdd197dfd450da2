"""The addresses of a realm's nodes, as the user types them and as the client stores them.

All addresses of a realm have the same TLS settings. So the loss of one node can't lead the client to another
one that asks for less: each of them has to show a certificate for the realm's name if one is given, else for
its own host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from chatd.client.connection import DEFAULT_PORT, Target
from chatd.client.translations import tr

MAX_ADDRESSES = 16


class BadAddress(Exception):
    """What was given can't be used as addresses. `str()` is a sentence for the user."""


class Addresses(msgspec.Struct, frozen=True):
    """Where the nodes of one realm are: at least one target, all with the same TLS settings."""

    targets: tuple[Target, ...]

    def __post_init__(self) -> None:
        settings = {(each.tls, each.realm, each.ca) for each in self.targets}
        if len(settings) != 1:
            raise ValueError("the addresses of a realm have one TLS setting")

    @property
    def first(self) -> Target:
        return self.targets[0]

    @property
    def tls(self) -> bool:
        return self.first.tls

    @property
    def names(self) -> tuple[str, ...]:
        """The addresses as `host:port`."""
        return tuple(map(str, self.targets))

    @property
    def name(self) -> str:
        """What the realm is called here: its name if that is known, else its first address."""
        return self.first.realm or str(self.first)

    @property
    def several(self) -> bool:
        return len(self.targets) > 1

    def over(self, tls: bool, realm: str | None, ca: Path | None) -> Addresses:
        """The same addresses with further TLS settings. TLS is never left out."""
        given = {
            "tls": tls or self.tls,
            "realm": realm or self.first.realm,
            "ca": str(ca.resolve()) if ca else self.first.ca,
        }
        return Addresses(tuple(msgspec.structs.replace(each, **given) for each in self.targets))


def parse_addresses(
    texts: Iterable[str], tls: bool = False, realm: str | None = None, ca: Path | None = None
) -> Addresses:
    """Each text is one address or several with commas between them. The same address counts once. Raises
    BadAddress."""
    parts = [part.strip() for text in texts for part in text.split(",")]
    trusted = str(ca.resolve()) if ca else None
    targets = list(dict.fromkeys(Target(*_parse(part), tls, realm, trusted) for part in parts))
    if len(targets) > MAX_ADDRESSES:
        raise BadAddress(tr("At most {n} addresses can be given", n=MAX_ADDRESSES))
    return Addresses(tuple(targets))


def _parse(text: str) -> tuple[str, int]:
    """`host`, `host:port`, `[::1]:port`. Raises BadAddress."""
    host, port = text, ""
    bad = BadAddress(tr("{where} is not host or host:port", where=text))
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise bad
        port = port[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise bad
    return host, int(port or DEFAULT_PORT)


def with_first(target: Target, others: Sequence[str]) -> Addresses:
    """The addresses that were stored: `target`, and others with its TLS settings. Others that can't be read
    are left out."""
    found = [target]
    for text in others:
        try:
            host, port = _parse(text)
        except BadAddress:
            continue
        found.append(msgspec.structs.replace(target, host=host, port=port))
    return Addresses(tuple(dict.fromkeys(found))[:MAX_ADDRESSES])
