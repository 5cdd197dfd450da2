"""The fields that several parcels have, and signed entries too, with their limits."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from chatd.base.entries import MEDIA_TYPE
from chatd.base.model import MAX_OPAQUE

# Numbers from other realms have to fit into the database.
MAX_NUMBER = 2**63 - 1
Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
# The log of a mirror goes on from the seq that the home gives, and clients read it as JSON.
MAX_SEQ = 2**53 - 1
Seq: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]

# What limits fields where nothing else does: an address, an emoji, a media type, an opaque body, a seal.
MAX_MENTIONS = 100
MAX_FILE_CODE = 64
MAX_MEDIA = 127
AddressText: TypeAlias = Annotated[str, msgspec.Meta(max_length=200)]
Emoji: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
MediaType: TypeAlias = Annotated[
    str, msgspec.Meta(max_length=MAX_MEDIA, pattern=rf"\A{MEDIA_TYPE}\Z")
]
OpaqueBody: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=MAX_OPAQUE)]
Seal: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=32)]
Mentions: TypeAlias = Annotated[tuple[AddressText, ...], msgspec.Meta(max_length=MAX_MENTIONS)]


# The proof of a move, or a part of it
MovePart: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=8192)]


class FileNote(msgspec.Struct, frozen=True, array_like=True):
    """A file that a parcel announces. `code` is its code in the realm of its author, and `media` the media
    type that this realm has found."""

    name: str
    size: Number
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    code: Annotated[str, msgspec.Meta(max_length=MAX_FILE_CODE)]
    media: Annotated[str, msgspec.Meta(max_length=MAX_MEDIA)] = ""


# The code of a reason
Reason: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]

# What happened to a member of a group. A realm skips what it does not know.
Happening: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
Title: TypeAlias = Annotated[str, msgspec.Meta(max_length=200)]

# What has changed of a group, by the name of the setting.
MAX_FIELDS = 16
GroupFields: TypeAlias = Annotated[
    dict[
        Annotated[str, msgspec.Meta(min_length=1, max_length=16)],
        Annotated[str, msgspec.Meta(max_length=2048)] | bool | None,
    ],
    msgspec.Meta(max_length=MAX_FIELDS),
]
