"""Statements: what a realm signs about an entry of a group, and the content that goes with it.

A statement names the entry and its place, and contains a hash of the content. The hash is salted, so that a
deleted content can't be guessed from it. All names mean the same in every realm: realms are named by their
keys, people in a content by `name@realm`, and entries by their author's realm and their number there.

The encoding is MessagePack in its shortest form, with arrays only. The signed bytes themselves are sent and
stored, so no realm has to encode a statement again.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from chatd.federation.parcel_fields import (
    AddressText,
    Emoji,
    FileNote,
    GroupFields,
    Happening,
    MediaType,
    Mentions,
    Number,
)

SALT = 16  # bytes
MAX_STATEMENT = 1280  # bytes: four names of 64 characters, and 256 bytes for the rest
MAX_ATTRIBUTES = 8192  # bytes

RealmKey: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Digest: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class StatedRef(msgspec.Struct, frozen=True, array_like=True):
    """An entry: the key of its author's realm, and the number that this realm gave it."""

    realm: RealmKey
    number: Number


class Statement(msgspec.Struct, frozen=True, array_like=True, tag="chatd entry 1"):
    """What the realm `realm` states: its user `author` has made the entry `number`, of this `kind`, in the
    group `group` of the realm `home`, about the entry `target`, at `at` (ms since 1970 UTC).

    `group` is the id of the group at its home, or its name if the author's realm does not know the id,
    because the author is no member. `hash` is that of the content (`chatd.base.content_hash`).
    """

    realm: RealmKey
    number: Number
    home: RealmKey
    group: Number | Name
    kind: Annotated[str, msgspec.Meta(max_length=16)]
    author: Name
    target: StatedRef | None
    at: Number
    hash: Digest

    @property
    def address(self) -> str:
        """The address of the author, for all realms."""
        return f"{self.author}@{self.realm}"


# The attributes of a content, by the kind of its entry. The content's body is separate: the text of a message
# in UTF-8, or the bytes of an opaque message.


class MessageAttributes(msgspec.Struct, frozen=True, array_like=True, tag="message"):
    """Of a message. If `media` is set, the body is opaque and has that media type."""

    reply: StatedRef | None = None
    mentions: Mentions = ()
    forwarded: AddressText | None = None
    file: FileNote | None = None
    media: MediaType | None = None


class EditAttributes(msgspec.Struct, frozen=True, array_like=True, tag="edited"):
    """Of an edit. The body is the new text of the message, which replies to `reply`."""

    mentions: Mentions = ()
    reply: StatedRef | None = None


class DeletionAttributes(msgspec.Struct, frozen=True, array_like=True, tag="deleted"):
    """Of a deletion, which has no content of its own."""


class ReactionAttributes(msgspec.Struct, frozen=True, array_like=True, tag="reaction"):
    """Of a reaction that is set, or else removed."""

    emoji: Emoji
    on: bool


class PinAttributes(msgspec.Struct, frozen=True, array_like=True, tag="pinned"):
    """Of a pin that is set, or else removed."""

    on: bool


class MemberAttributes(msgspec.Struct, frozen=True, array_like=True, tag="member"):
    """Of a change of membership: `what` happened to `who`."""

    what: Happening
    who: AddressText


class GroupAttributes(msgspec.Struct, frozen=True, array_like=True, tag="group"):
    """Of a change of the group itself: what `fields` has of it is so now."""

    fields: GroupFields


Attributes: TypeAlias = (
    MessageAttributes
    | EditAttributes
    | DeletionAttributes
    | ReactionAttributes
    | PinAttributes
    | MemberAttributes
    | GroupAttributes
)

encode = msgspec.msgpack.Encoder().encode
_statements = msgspec.msgpack.Decoder(Statement)
_attributes = msgspec.msgpack.Decoder(Attributes)

# The attributes of most messages: all fields have their defaults.
PLAIN = MessageAttributes()
PLAIN_MESSAGE = encode(PLAIN)


def decode_statement(data: bytes) -> Statement:
    """Raises msgspec.DecodeError (or its subclass ValidationError), RecursionError."""
    statement: Statement = _statements.decode(data)
    return statement


def decode_attributes(data: bytes) -> Attributes:
    """Those of most messages are PLAIN itself. Raises msgspec.DecodeError (or its subclass ValidationError),
    RecursionError."""
    if data == PLAIN_MESSAGE:
        return PLAIN
    attributes: Attributes = _attributes.decode(data)
    return attributes


def kind_of(attributes: Attributes) -> str:
    """The kind of an entry with these attributes."""
    tag = attributes.__struct_config__.tag
    assert isinstance(tag, str)  # noqa: S101 - all attributes have a tag
    return tag
