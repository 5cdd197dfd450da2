"""Names of accounts, groups, realms and rooms, and addresses made of them.

A name is 1 to 64 letters with their marks, digits, `.`, `_`, `-`. It is stored as typed (NFC) and compared by
its *key* (NFKC, case-folded). Accounts and groups share one namespace.

The rules for new names are stricter than those for existing ones: `parse_name` accepts every name that can
exist, and `check_new_name` checks the name of a new account or group.
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
MAX_REMEMBERED = 512  # characters; keys of longer texts are not cached
# Characters of a typed name: one character in NFC can be four in another form. Normalisation takes quadratic
# time in a run of marks, so a whole line of them would block the reactor for seconds.
MAX_TYPED = 4 * MAX_NAME
MAX_MARKS = 4  # nonspacing marks on one letter; more would cover other lines (UTS 39, section 5.4)
SYSTEM = "system"
# Before the address of a conversation that an account has imported, and to which nobody can write
ARCHIVE_SIGN = "~"
# New accounts and groups can't have these names, or names that look like them.
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
# Invisible characters in the category of letters. Earlier versions allowed them in names.
_FILLERS = "\u115f\u1160\u3164\uffa0"
_CODE = re.compile(r"[a-z0-9]{1,16}:[a-z0-9]{1,16}", re.IGNORECASE | re.ASCII)
_MIXED = "it mixes scripts; use letters of one script, or of Latin with Chinese, Japanese or Korean"
_HIDDEN = "it has invisible characters; leave them out"
_UNSTABLE = "it has characters that stand for several others; write those instead"


class Address(msgspec.Struct, frozen=True):
    """The address of a user or group: `messi`, or `messi@realm1`. `realm` is None for this realm."""

    name: str
    realm: str | None = None

    def __str__(self) -> str:
        return self.name if self.realm is None else f"{self.name}@{self.realm}"

    @property
    def key(self) -> str:
        """The form in which addresses are compared."""
        return key_of(self.name if self.realm is None else f"{self.name}@{self.realm}")


# Keys in NFC of earlier versions that are still in use.
_older_keys: set[str] = set()


def key_of(name: str) -> str:
    """The form in which names are compared (toNFKC_Casefold, Unicode section 3.13)."""
    if name.isascii():
        return name.lower()
    # Do not cache texts that are longer than any address, since anybody can send them.
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
    """Let names with these keys of earlier versions keep them, for the whole process. So a message to an old
    account `\uff4dessi` (in full width) does not go to `messi`."""
    _older_keys.update(keys)
    _remembered_key_of.cache_clear()


@lru_cache(maxsize=16384)
def parse_name(text: str) -> str:
    """Parse a name and return it in NFC. Raises BadName."""
    name = _composed(text)
    if _ASCII.fullmatch(name) is None and not _is_name(name):
        raise BadName(name=printable(text))
    return name


def _composed(text: str) -> str:
    """`text` in NFC. Raises BadName if it is too long to be a name in any form."""
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
    """Whether all marks follow a letter or a digit, with at most MAX_MARKS on one."""
    before = "P"
    for is_mark, group in groupby(categories, lambda kind: kind[0] == "M"):
        run = list(group)
        if is_mark and (before[0] == "P" or sum(kind != "Mc" for kind in run) > MAX_MARKS):
            return False
        before = run[-1]
    return True


def check_new_name(name: str) -> None:
    """Check the name of a new account or group. Raises BadName for names that only older versions allowed."""
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
    """Parse the name of a user of another realm. Raises BadName, also for invisible characters, which only
    old accounts of this realm can have."""
    name = parse_name(text)
    if not name.isascii() and INVISIBLE.search(name):
        raise BadName(name=printable(text), reason=_HIDDEN)
    return name


@lru_cache(maxsize=64)
def _reserved(realm: str) -> frozenset[str]:
    """The skeletons (UTS 39) of the reserved names in all capitalisations."""
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
    """Parse `name` or `name@realm`. Raises BadName."""
    name, at, realm = text.partition("@")
    try:
        if not at:
            return Address(parse_name(name))
        return Address(parse_foreign_name(name), parse_foreign_name(realm))
    except BadName:
        raise BadName(name=printable(text)) from None


def parse_foreign_address(text: str) -> Address:
    """Parse an address in a parcel of another realm. An address without a realm belongs to that realm. Raises
    BadName."""
    address = parse_address(text)
    parse_foreign_name(address.name)
    return address


def is_code(text: str) -> bool:
    """Whether `text` is a group code. Names never have this form."""
    return _CODE.fullmatch(text) is not None


def parse_group(text: str) -> Address:
    """Parse a group's name or code, optionally with `@realm`. Raises BadName."""
    code, at, realm = text.partition("@")
    if not is_code(code):
        return parse_address(text)
    try:
        return Address(code.lower(), parse_name(realm) if at else None)
    except BadName:
        raise BadName(name=printable(text)) from None


def parse_group_name(text: str) -> str:
    """Parse a group's name or code without a realm. Raises BadName."""
    return text.lower() if is_code(text) else parse_name(text)


def parse_room(text: str) -> str:
    """Parse the name of a room: a name that may contain spaces. Raises BadName."""
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
    """`text` for use in a sentence: without control characters, and cut to `limit` characters."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:limit])
    return f"{shown}…" if len(text) > limit else shown or "the empty text"


class Place(msgspec.Struct, frozen=True):
    """A conversation as users name it: by a user, by a group, or by a name that can be either (both are set).

    In text `@messi` means the user and `#family` the group.
    """

    user: Address | None = None
    group: Address | None = None

    def __str__(self) -> str:
        return str(self.user if self.user is not None else self.group)


def parse_place(text: str) -> Place:
    """Parse the name or address of a user or a group; `@` marks a user, `#` a group. Raises BadName."""
    try:
        if text.startswith("@"):
            return Place(user=parse_address(text[1:]))
        if text.startswith("#"):
            return Place(group=parse_group(text[1:]))
        group = parse_group(text)
    except BadName:
        raise BadName(name=printable(text)) from None
    return Place(None if is_code(group.name) else group, group)


def parse_imported(text: str) -> Place | None:
    """Parse the name of a conversation that an account has imported: ARCHIVE_SIGN and an address. None if it
    is none. Raises BadName."""
    if not text.startswith(ARCHIVE_SIGN):
        return None
    address = parse_address(text.removeprefix(ARCHIVE_SIGN))
    return Place(user=Address(f"{ARCHIVE_SIGN}{address.name}", address.realm))


class InboxFilter(msgspec.Struct, frozen=True):
    """Selects a part of the inbox: one conversation, the messages from one realm (`here`: from this one),
    direct messages only, or those of one `sender` in all conversations. `own`: also messages to oneself."""

    place: Place | None = None
    realm: str | None = None
    here: bool = False
    direct: bool = False
    own: bool = False
    sender: Address | None = None


UNFILTERED = InboxFilter()
