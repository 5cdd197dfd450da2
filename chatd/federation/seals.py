"""Seals: by these a realm recognises its own words in directs when another realm returns them, its own
reports that somebody has joined a group, and what its people have accepted.

Directs are not signed, because their link is authenticated. If a realm was restored from a backup, other
realms return what its people wrote since then. So that they can return only that, each parcel of a direct has
a seal: a keyed hash of what it says, which only its own realm can make and check.
"""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from typing import Any, TypeAlias, assert_never

import msgspec

from chatd.base.names import key_of
from chatd.federation import parcels
from chatd.federation.parcels import (
    Accepted,
    Direct,
    DirectChange,
    DirectDeletion,
    DirectEdit,
    DirectPin,
    DirectReaction,
    Joined,
)

CONTENT = 16  # bytes of a seal that prove the content
DETAIL = 8  # bytes that prove the reply, and as many the mentions and the file's name
SealedParcel: TypeAlias = Direct | DirectChange
_Sealed: TypeAlias = SealedParcel | Joined | Accepted

# How the encoded parcels begin that have a seal, after the byte with the number of their fields
_TAGS = tuple(
    parcels.encode(tag)
    for tag in ("direct", "edit", "delete", "react", "pin", "joined", "accepted")
)
_UNSEALED = parcels.encode(b"")
# What comes before the bytes of a seal without details, and of one with them
_SHORT = parcels.encode(bytes(CONTENT))[:-CONTENT]
_LONG = parcels.encode(bytes(CONTENT + 2 * DETAIL))[: -(CONTENT + 2 * DETAIL)]

_decode = msgspec.msgpack.Decoder(_Sealed).decode
_decode_values = msgspec.msgpack.Decoder(list[Any]).decode
_DIRECT = parcels.encode("direct")
# What follows the text of a direct that has nothing else, and how that is encoded
_NO_OTHERS: list[Any] = _decode_values(parcels.encode(Direct("", "", 0, "")))[5:]
_ONLY_TEXT = b"".join(map(parcels.encode, _NO_OTHERS))


class Seals:
    """Makes and checks the seals of this realm. `key` never leaves the realm.

    A seal has up to three parts, because the other realm may lack what a message replies to, and the text of
    an edited message has the seal of the edit. A seal without details is as long as its first part.
    """

    def __init__(self, key: bytes, realm: str) -> None:
        """`realm` is the key of this realm."""
        self._key = key
        self._keyed = {
            size: blake2b(digest_size=size, key=key) for size in (CONTENT, DETAIL)
        }  # copied, because hashing the key anew takes longer
        self._here = f"@{realm}"

    def add(self, number: int, parcel: bytes, realm: str) -> bytes:
        """The encoded parcel with that number, which goes to `realm`, with its seal if it has one."""
        if (text_seal := self._seal_of_text(number, parcel)) is not None:
            return parcel[: -len(_UNSEALED)] + _SHORT + text_seal
        if not parcel.startswith(_TAGS, 1) or not parcel.endswith(_UNSEALED):
            return parcel
        try:
            found = _decode(parcel)
        except msgspec.DecodeError:
            return parcel
        if found.seal:
            return parcel
        if isinstance(found, Joined):
            seal = self._admission(number, found, realm)
        elif isinstance(found, Accepted):
            seal = self._acceptance(number, found, realm)
        else:
            seal = self.seal(number, found)
        # It is the last field.
        return parcel[: -len(_UNSEALED)] + (_LONG if seal[CONTENT:] else _SHORT) + seal

    def _seal_of_text(self, number: int, parcel: bytes) -> bytes | None:
        """The seal of a direct that has no seal yet, and nothing but a text; None of any other parcel. As
        `seal` of the decoded parcel, in a third of the time."""
        if not parcel.startswith(_DIRECT, 1) or not parcel.endswith(_ONLY_TEXT):
            return None
        _, sender, to, _, text, *others = _decode_values(parcel)
        if type(text) is not str or others != _NO_OTHERS:
            return None  # the bytes at its end are part of an opaque body
        hashed = self._keyed[CONTENT].copy()
        people = key_of(sender), key_of(to)
        hashed.update(parcels.encode((number, *people, "direct", text, None, None, None, None)))
        return hashed.digest()

    def seal(self, number: int, parcel: SealedParcel) -> bytes:
        """The seal of a parcel with that number."""
        content = self._part(CONTENT, number, parcel, self._content(parcel))
        match parcel:
            case Direct(reply=None, file=None, mentions=()) | DirectEdit(mentions=()):
                return content
            case Direct() | DirectEdit():
                details = _reply(parcel), self._shown(parcel)
                return content + b"".join(
                    self._part(DETAIL, number, parcel, each) for each in details
                )
            case _:
                return content

    def is_admission(self, number: int, joined: Joined, realm: str) -> bool:
        """Whether this realm has sealed that report to `realm`: that person, and that group with that id."""
        return compare_digest(self._admission(number, joined, realm), joined.seal)

    def _admission(self, number: int, joined: Joined, realm: str) -> bytes:
        where = realm, joined.group_id, key_of(joined.group)
        said = number, "joined", *where, key_of(joined.user), joined.at
        return blake2b(parcels.encode(said), digest_size=CONTENT, key=self._key).digest()

    def is_acceptance(self, number: int, accepted: Accepted, realm: str) -> bool:
        """Whether this realm has sealed that report to `realm`: that request, and those two people."""
        return compare_digest(self._acceptance(number, accepted, realm), accepted.seal)

    def _acceptance(self, number: int, accepted: Accepted, realm: str) -> bytes:
        people = key_of(accepted.sender), key_of(accepted.to)
        said = number, "accepted", realm, accepted.number, *people
        return blake2b(parcels.encode(said), digest_size=CONTENT, key=self._key).digest()

    def is_own(self, number: int, parcel: SealedParcel, seal: bytes) -> bool:
        """Whether this realm has made the seal, for the content of this parcel."""
        return compare_digest(
            self._part(CONTENT, number, parcel, self._content(parcel)), seal[:CONTENT]
        )

    def proves_reply(self, number: int, parcel: Direct, seal: bytes) -> bool:
        """Whether it is the seal of a message with this reply, whatever its text; a message may lack its
        reply."""
        part = self._part(DETAIL, number, parcel, _reply(parcel))
        return not _replies(parcel) or compare_digest(part, seal[CONTENT : CONTENT + DETAIL])

    def proves_shown(self, number: int, parcel: SealedParcel, seal: bytes) -> bool:
        """Whether it is the seal of a parcel with these mentions and this name of a file, if it has any."""
        part = self._part(DETAIL, number, parcel, self._shown(parcel))
        return not _has_shown(parcel) or compare_digest(part, seal[CONTENT + DETAIL :])

    def _part(
        self, size: int, number: int, parcel: SealedParcel, values: tuple[object, ...]
    ) -> bytes:
        hashed = self._keyed[size].copy()
        hashed.update(parcels.encode((number, key_of(parcel.sender), key_of(parcel.to), *values)))
        return hashed.digest()

    def _content(self, parcel: SealedParcel) -> tuple[object, ...]:
        """What a parcel says."""
        match parcel:
            case Direct(text=text, file=file, forwarded=forwarded, media=media, body=body):
                author = None if forwarded is None else self._person(forwarded)
                return "direct", text, None if file is None else file.sha256, author, media, body
            case DirectEdit(target=target, text=text):
                return "edit", target, text
            case DirectDeletion(target=target):
                return "delete", target
            case DirectReaction(target=target, emoji=emoji, on=on):
                return "react", target, emoji, on
            case DirectPin(target=target, on=on):
                return "pin", target, on
            case _:
                assert_never(parcel)

    def _shown(self, parcel: SealedParcel) -> tuple[object, ...]:
        """The mentions of a parcel, and the name of its file."""
        mentions = parcel.mentions if isinstance(parcel, Direct | DirectEdit) else ()
        file = parcel.file if isinstance(parcel, Direct) else None
        return "shown", tuple(map(self._person, mentions)), None if file is None else file.name

    def _person(self, address: str) -> str:
        """An address as the seal has it: realms may spell it differently, and leave out their own name."""
        return key_of(address).removesuffix(self._here)


def _replies(parcel: SealedParcel) -> bool:
    return isinstance(parcel, Direct) and parcel.reply is not None


def _reply(parcel: SealedParcel) -> tuple[object, ...]:
    return "reply", parcel.reply if isinstance(parcel, Direct) else None


def _has_shown(parcel: SealedParcel) -> bool:
    return isinstance(parcel, Direct | DirectEdit) and (
        bool(parcel.mentions) or (isinstance(parcel, Direct) and parcel.file is not None)
    )
