"""What a name may be, and addresses made of them (product.md, "Edges, decided").

A name is 1 to 64 letters, digits, `.`, `_`, `-`; it is kept as typed (NFC) and compared without
case, by its *key*.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import msgspec

from chatd.errors import BadName

SYSTEM = "system"
_NAME = re.compile(r"[\w.-]{1,64}")
_ROOM = re.compile(r"[\w.-](?:[\w. -]{0,62}[\w.-])?")


class Address(msgspec.Struct, frozen=True):
    """`messi`, or `messi@realm1`: a user's or a group's. `realm` is None for the realm that reads it."""

    name: str
    realm: str | None = None

    def __str__(self) -> str:
        return self.name if self.realm is None else f"{self.name}@{self.realm}"

    @property
    def key(self) -> str:
        """The form in which addresses are compared."""
        return key_of(self.name if self.realm is None else f"{self.name}@{self.realm}")


@lru_cache(maxsize=16384)
def key_of(name: str) -> str:
    """The form in which names are compared."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@lru_cache(maxsize=16384)
def parse_name(text: str) -> str:
    """The name that `text` is, in NFC. Raises BadName."""
    name = unicodedata.normalize("NFC", text)
    if _NAME.fullmatch(name) is None:
        raise BadName(name=printable(text))
    return name


@lru_cache(maxsize=16384)
def parse_address(text: str) -> Address:
    """`name` or `name@realm`. Raises BadName."""
    name, at, realm = text.partition("@")
    try:
        return Address(parse_name(name), parse_name(realm) if at else None)
    except BadName:
        raise BadName(name=printable(text)) from None


def parse_room(text: str) -> str:
    """A room's name: as any other, and spaces within. Raises BadName."""
    name = unicodedata.normalize("NFC", text)
    if _ROOM.fullmatch(name) is None:
        raise BadName(name=printable(text))
    return name


def printable(text: str, limit: int = 80) -> str:
    """`text` fit to stand in a sentence: nothing that controls a terminal, and no longer than that."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:limit])
    return f"{shown}…" if len(text) > limit else shown or "the empty text"


class Place(msgspec.Struct, frozen=True):
    """A conversation as people name it: by the other party, by the group, or by a name that may be either."""

    user: Address | None = None
    group: Address | None = None

    def __str__(self) -> str:
        return str(self.user if self.user is not None else self.group)


class Scope(msgspec.Struct, frozen=True):
    """A part of the inbox: one conversation, or what comes from one realm (`here`: from this one), or
    direct messages only."""

    place: Place | None = None
    realm: str | None = None
    here: bool = False
    direct: bool = False


ALL = Scope()
