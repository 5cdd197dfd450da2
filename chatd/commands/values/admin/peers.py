"""Other realms, as operators manage them."""

from __future__ import annotations

from chatd.commands.values.base import Command

__all__ = [
    "LinkRealm",
    "ListPeers",
    "UnlinkRealm",
]


class ListPeers(Command, frozen=True):
    pass


class LinkRealm(Command, frozen=True):
    realm: str
    host: str
    port: int


class UnlinkRealm(Command, frozen=True):
    realm: str
