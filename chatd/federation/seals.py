"""Seals: by these a realm recognises its own words in directs when another realm returns them.

Directs are not signed, because their link is authenticated. If a realm was restored from a backup, other
realms return what its people wrote since then. So that they can return only that, each parcel of a direct has
a seal: a keyed hash of what it says, which only its own realm can make and check.
"""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from typing import TypeAlias, assert_never

import msgspec

from chatd.base.names import key_of
from chatd.federation import parcels
from chatd.federation.parcels import (
    Direct,
    DirectChange,
    DirectDeletion,
    DirectEdit,
    DirectPin,
    DirectReaction,
)

SIZE = 16
SealedParcel: TypeAlias = Direct | DirectChange

# How the encoded parcels begin that have a seal, after the byte with the number of their fields
_TAGS = tuple(parcels.encode(tag) for tag in ("direct", "edit", "delete", "react", "pin"))
_UNSEALED = parcels.encode(b"")
_HEADER = parcels.encode(bytes(SIZE))[:-SIZE]

_decode = msgspec.msgpack.Decoder(SealedParcel).decode


class Seals:
    """Makes and checks the seals of this realm. `key` never leaves the realm."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def add(self, number: int, parcel: bytes) -> bytes:
        """The encoded parcel with that number, with its seal if it is one of a direct."""
        if not parcel.startswith(_TAGS, 1) or not parcel.endswith(_UNSEALED):
            return parcel
        try:
            found = _decode(parcel)
        except msgspec.DecodeError:
            return parcel
        if found.seal:
            return parcel
        # The seal is the last field.
        return parcel[: -len(_UNSEALED)] + _HEADER + self.seal(number, found)

    def seal(self, number: int, parcel: SealedParcel) -> bytes:
        """The seal of a parcel with that number."""
        said = (number, key_of(parcel.sender), key_of(parcel.to), *_content(parcel))
        return blake2b(parcels.encode(said), digest_size=SIZE, key=self._key).digest()

    def is_own(self, number: int, parcel: SealedParcel, seal: bytes) -> bool:
        """Whether this realm has made the seal, for what this parcel says."""
        return compare_digest(self.seal(number, parcel), seal)


def _content(parcel: SealedParcel) -> tuple[object, ...]:
    """What a parcel says: all but when, and what belongs to other messages."""
    match parcel:
        case Direct(text=text, file=file, media=media, body=body):
            return "direct", text, None if file is None else file.sha256, media, body
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
