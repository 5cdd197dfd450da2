"""Names of accounts, groups, realms and rooms, and addresses made of them (product.md, "Edges, decided").

A name is 1 to 64 letters with their marks, digits, `.`, `_`, `-`. It is kept as typed (NFC) and compared by
its *key* (NFKC, case-folded). Accounts and groups share one namespace.

What a name may hold is wider than what a new name may hold: `parse_name` reads every name that somebody can
have, `check_new_name` says whether it may be given to an account or a group that is being made.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby

import msgspec

from chatd.base.characters import INVISIBLE
from chatd.base.errors import BadName, ReservedName
from chatd.base.uts39 import is_highly_restrictive, skeleton

MAX_NAME = 64
MAX_REMEMBERED = 512  # characters of a text whose key is remembered
# Characters of a name as it is typed, in which one of NFC may be four. Normalising takes time in proportion
# to the square of a run of marks: a whole line of them would keep everybody waiting for seconds.
MAX_TYPED = 4 * MAX_NAME
MAX_MARKS = (
    4  # nonspacing marks on one letter; more of them would cover other lines (UTS 39, section 5.4)
)
SYSTEM = "system"
# No account or group can be created with these names, or with one that looks like one of them.
RESERVED = (
    SYSTEM,
    "abuse",
    "admin",
    "administrator",
    "all",
    "anonymous",
    "chatd",
    "deleted",
    "everybody",
    "everyone",
    "here",
    "hostmaster",
    "moderator",
    "nobody",
    "operator",
    "postmaster",
    "root",
    "security",
    "webmaster",
)
_ASCII = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Letters by category, but invisible. Earlier versions allowed them in names.
_FILLERS = "\u115f\u1160\u3164\uffa0"
_CODE = re.compile(r"[a-z0-9]{1,16}:[a-z0-9]{1,16}", re.IGNORECASE | re.ASCII)
_MIXED = "it mixes scripts; use letters of one script, or of Latin with Chinese, Japanese or Korean"
_HIDDEN = "it has invisible characters; leave them out"
_UNSTABLE = "it has characters that stand for several others; write those instead"


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


# Names and addresses that are compared as in earlier versions (NFC).
_older_keys: set[str] = set()


def key_of(name: str) -> str:
    """The form in which names are compared (toNFKC_Casefold, Unicode section 3.13)."""
    if name.isascii():
        return name.lower()
    # What is longer than any address is not remembered: anybody may send it.
    return _remembered_key_of(name) if len(name) <= MAX_REMEMBERED else _key_of(name)


def _key_of(name: str) -> str:
    if _older_keys:
        older = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if older in _older_keys:
            return older
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", name).casefold())
    return unicodedata.normalize("NFKC", folded.casefold())


_remembered_key_of = lru_cache(maxsize=16384)(_key_of)


def keep_older_keys(keys: Iterable[str]) -> None:
    """Names with these keys of earlier versions keep them, in this process: others have their new keys. So
    what is said to an older `\uff4dessi` (in full width) does not go to `messi`."""
    _older_keys.update(keys)
    _remembered_key_of.cache_clear()


@lru_cache(maxsize=16384)
def parse_name(text: str) -> str:
    """The name that `text` is, in NFC. Raises BadName."""
    name = _composed(text)
    if _ASCII.fullmatch(name) is None and not _is_name(name):
        raise BadName(name=printable(text))
    return name


def _composed(text: str) -> str:
    """`text` in NFC. Raises BadName if it is too long for a name in any form."""
    if len(text) > MAX_TYPED:
        raise BadName(name=printable(text))
    return unicodedata.normalize("NFC", text)


def _is_name(name: str) -> bool:
    if not 1 <= len(name) <= MAX_NAME:
        return False
    categories = [unicodedata.category(each) for each in name]
    if not all(
        kind[0] in "LMN" or each in "._-" for kind, each in zip(categories, name, strict=True)
    ):
        return False
    hidden = INVISIBLE.search(name.translate(dict.fromkeys(map(ord, _FILLERS))))
    return hidden is None and _are_marks_of_letters(categories)


def _are_marks_of_letters(categories: list[str]) -> bool:
    """Whether all marks follow a letter or a digit, and none has too many."""
    before = "P"
    for is_mark, group in groupby(categories, lambda kind: kind[0] == "M"):
        run = list(group)
        if is_mark and (before[0] == "P" or sum(kind != "Mc" for kind in run) > MAX_MARKS):
            return False
        before = run[-1]
    return True


def check_new_name(name: str) -> None:
    """Raises BadName for a name that only accounts and groups of earlier versions may have."""
    if name.isascii():
        return
    if INVISIBLE.search(name):
        raise BadName(name=printable(name), reason=_HIDDEN)
    if not is_highly_restrictive(name):
        raise BadName(name=printable(name), reason=_MIXED)
    try:
        parse_name(unicodedata.normalize("NFKC", name))
    except BadName:
        raise BadName(name=printable(name), reason=_UNSTABLE) from None


@lru_cache(maxsize=16384)
def parse_foreign_name(text: str) -> str:
    """The name of a person of another realm. Raises BadName, also for invisible characters, which only old
    accounts of this realm may have."""
    name = parse_name(text)
    if not name.isascii() and INVISIBLE.search(name):
        raise BadName(name=printable(text), reason=_HIDDEN)
    return name


@lru_cache(maxsize=64)
def _reserved(realm: str) -> frozenset[str]:
    """The skeletons of reserved names, with all their spellings."""
    return frozenset(
        skeleton(form)
        for name in (*RESERVED, realm)
        for form in (name, name.lower(), name.upper(), name.title())
    )


def check_reserved(name: str, realm: str) -> None:
    """Raises ReservedName for a reserved name of `realm`, or one that looks like it."""
    key = key_of(name)
    if key in RESERVED or key == key_of(realm):
        raise ReservedName(name=name)
    if not _reserved(realm).isdisjoint((skeleton(name), skeleton(key))):
        raise ReservedName(name=name, is_="looks like one that is reserved")


@lru_cache(maxsize=16384)
def parse_address(text: str) -> Address:
    """`name` or `name@realm`. Raises BadName."""
    name, at, realm = text.partition("@")
    try:
        if not at:
            return Address(parse_name(name))
        return Address(parse_foreign_name(name), parse_foreign_name(realm))
    except BadName:
        raise BadName(name=printable(text)) from None


def parse_foreign_address(text: str) -> Address:
    """An address in a parcel of another realm; without a realm it is of that one. Raises BadName."""
    address = parse_address(text)
    parse_foreign_name(address.name)
    return address


def is_code(text: str) -> bool:
    """Whether `text` has the form of a group's code, which no name has."""
    return _CODE.fullmatch(text) is not None


def parse_group(text: str) -> Address:
    """A group by name or code, here or (`@realm`) elsewhere. Raises BadName."""
    code, at, realm = text.partition("@")
    if not is_code(code):
        return parse_address(text)
    try:
        return Address(code.lower(), parse_name(realm) if at else None)
    except BadName:
        raise BadName(name=printable(text)) from None


def parse_group_name(text: str) -> str:
    """The name or code of a group, whose realm is given elsewhere. Raises BadName."""
    return text.lower() if is_code(text) else parse_name(text)


def parse_room(text: str) -> str:
    """A room's name: as any other, and spaces within. Raises BadName."""
    name = _composed(text)
    words = name.replace(" ", "")
    if name != name.strip(" ") or len(name) > MAX_NAME or INVISIBLE.search(name):
        raise BadName(name=printable(text))
    try:
        parse_name(words)
    except BadName:
        raise BadName(name=printable(text)) from None
    return name


def printable(text: str, limit: int = 80) -> str:
    """`text` fit to stand in a sentence: nothing that controls a terminal, and no longer than that."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:limit])
    return f"{shown}…" if len(text) > limit else shown or "the empty text"


class Place(msgspec.Struct, frozen=True):
    """A conversation as people name it: by the other party, by the group, or by a name that may be either.

    In text `@messi` is the user and `#family` the group.
    """

    user: Address | None = None
    group: Address | None = None

    def __str__(self) -> str:
        return str(self.user if self.user is not None else self.group)


def parse_place(text: str) -> Place:
    """A name or an address of a user or a group; after `@` a user's, after `#` a group's. Raises BadName."""
    try:
        if text.startswith("@"):
            return Place(user=parse_address(text[1:]))
        if text.startswith("#"):
            return Place(group=parse_group(text[1:]))
        group = parse_group(text)
    except BadName:
        raise BadName(name=printable(text)) from None
    return Place(None if is_code(group.name) else group, group)


class InboxFilter(msgspec.Struct, frozen=True):
    """A part of the inbox: one conversation, or what comes from one realm (`here`: from this one), or
    direct messages only."""

    place: Place | None = None
    realm: str | None = None
    here: bool = False
    direct: bool = False


UNFILTERED = InboxFilter()
