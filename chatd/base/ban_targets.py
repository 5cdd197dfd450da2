"""What the operators of a realm can ban: an account, a network, or another realm."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from chatd.base.errors import BadArgument, BadName
from chatd.base.names import key_of, parse_foreign_name, parse_name, printable
from chatd.base.sources import parse_network

BanKind: TypeAlias = Literal["account", "network", "realm"]

ACCOUNT: BanKind = "account"
NETWORK: BanKind = "network"
REALM: BanKind = "realm"
KINDS: tuple[BanKind, ...] = (ACCOUNT, NETWORK, REALM)
REALM_SIGN = "@@"
FORMS = "a username, an address or network such as 192.0.2.7 or 2001:db8::/32, or @@ and the name of a realm"


class BanTarget(msgspec.Struct, frozen=True):
    """An account by its name, a network (RFC 4632), or a realm by its name."""

    kind: BanKind
    name: str

    def __str__(self) -> str:
        return f"{REALM_SIGN}{self.name}" if self.kind == REALM else self.name

    @property
    def key(self) -> str:
        """The form in which targets of a kind are compared."""
        return key_of(self.name)


def parse_ban_target(text: str) -> BanTarget:
    """The target that somebody writes. A name that is also an address (`10.0.0.1`) is an address; with `@`
    before it, it is an account. Raises BadArgument."""
    try:
        if text.startswith(REALM_SIGN):
            return BanTarget(REALM, parse_foreign_name(text[len(REALM_SIGN) :]))
        if text.startswith("@"):
            return BanTarget(ACCOUNT, parse_name(text[1:]))
        network = parse_network(text)
        if network is not None:
            single = network.prefixlen == network.max_prefixlen
            return BanTarget(NETWORK, str(network.network_address if single else network))
        return BanTarget(ACCOUNT, parse_name(text))
    except BadName:
        raise BadArgument(argument="target", found=printable(text), expected=FORMS) from None
