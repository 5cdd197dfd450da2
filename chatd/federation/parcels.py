"""Parcels: the messages and group changes that realms send each other, and their encoding.

Parcels are stored in the outbox and sent in the same form.

A parcel is encoded as MessagePack, as an array that begins with the name of its kind. A sender without `@` is
of the realm that sends the parcel. A recipient or group without `@` is of the realm that receives it, unless
stated otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias, assert_never

import msgspec

# Bytes. A parcel with its framing has to fit into an AMP value of 65,535 bytes.
MAX_PARCEL = 60_000

# Numbers from other realms have to fit into the database.
Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class FileNote(msgspec.Struct, frozen=True, array_like=True):
    """A file that a parcel announces. `code` is its code in the sender's realm."""

    name: str
    size: Number
    sha256: str
    code: str


class Direct(msgspec.Struct, frozen=True, array_like=True, tag="direct"):
    """A message to one person, sent at `at` (ms since 1970 UTC)."""

    sender: str
    to: str
    at: Number
    text: str | None = None
    file: FileNote | None = None


class Post(msgspec.Struct, frozen=True, array_like=True, tag="post"):
    """A message to a group of the receiving realm. The group's home returns `proof` with it (see `Relay`)."""

    sender: str
    group: str
    at: Number
    proof: bytes
    text: str | None = None
    file: FileNote | None = None


class Relay(msgspec.Struct, frozen=True, array_like=True, tag="relay"):
    """A message in a group of the sending realm, which has numbered it, to a realm with members of the group.

    `sender` may be of any realm, and is written as the sending realm writes it. If it is of the receiving
    realm, `origin` is the number of the `Post` that brought the message, and `proof` that of the `Post`. So
    the receiving realm accepts no forged messages of its own people.
    """

    group: str
    group_id: Number
    seq: Number
    sender: str
    at: Number
    text: str | None = None
    file: FileNote | None = None
    origin: Number = 0
    proof: bytes = b""


class Joined(msgspec.Struct, frozen=True, array_like=True, tag="joined"):
    """`user`, of the receiving realm, is a member of a group of the sending realm, and gets the messages
    after `seq`."""

    group: str
    group_id: Number
    user: str
    seq: Number


class Removed(msgspec.Struct, frozen=True, array_like=True, tag="removed"):
    """`user`, of the receiving realm, is no longer a member of a group of the sending realm."""

    group: str
    group_id: Number
    user: str


class Left(msgspec.Struct, frozen=True, array_like=True, tag="left"):
    """`sender` has left a group of the receiving realm."""

    sender: str
    group: str


Parcel: TypeAlias = Direct | Post | Relay | Joined | Removed | Left


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a parcel: accepted (no code), or refused with the code and details of a ChatError. `seq`
    is the number that a group's home has given to a message."""

    code: str = ""
    details: Mapping[str, object] = {}
    seq: Number = 0


KEPT = Verdict()
UNREADABLE = Verdict("bad-parcel")
INCOMPLETE = Verdict("file-incomplete")  # send its file first, or again

encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Parcel)


def decode(data: bytes | msgspec.Raw) -> Parcel:
    """Decode a parcel. Raises msgspec.DecodeError (or its subclass ValidationError), RecursionError."""
    parcel: Parcel = _decoder.decode(data)
    return parcel


def try_decode(data: bytes | msgspec.Raw) -> Parcel | None:
    """Decode a parcel, or return None if it is malformed or of a later version."""
    try:
        return decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def on_one_line(data: bytes) -> bytes:
    """An encoded parcel, for a realm that takes texts of one line only. The text of a `Relay` is put on one
    line: nobody could be told of a refusal. Other parcels stay: their senders are told."""
    if b"\n" not in data:
        return data
    parcel = try_decode(data)
    if not isinstance(parcel, Relay) or parcel.text is None:
        return data
    return encode(msgspec.structs.replace(parcel, text=parcel.text.replace("\n", " ")))


def order_of(parcel: Parcel) -> tuple[str, str]:
    """The lane in which a parcel keeps its order: a sender and a conversation. A parcel that waits for its
    file is overtaken only by parcels of other lanes."""
    match parcel:
        case Direct(sender=sender, to=to):
            return sender, to
        case Post(sender=sender, group=group):
            return sender, f"#{group}"
        case Relay(group=group) | Joined(group=group) | Removed(group=group) | Left(group=group):
            return "", f"#{group}"
        case _:
            assert_never(parcel)
