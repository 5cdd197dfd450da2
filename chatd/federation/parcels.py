"""What crosses from one realm to another: as it waits in the outbox, and as it stands in a batch on the wire.

Encoded as MessagePack, each parcel an array that begins with the name of its kind. A name without `@` is one
of the realm that sends the parcel, where it is the sender's; and one of the realm that receives it, where it
says whom or what the parcel is for.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

MAX_PARCEL = (
    60_000  # bytes: one, with what stands around it, has to fit into an AMP value of 65,535
)


# What another realm says has to fit into the database.
Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class FileNote(msgspec.Struct, frozen=True, array_like=True):
    """A file that a parcel announces; `code` is the one that it has in the realm of its sender."""

    name: str
    size: Number
    sha256: str
    code: str


class Direct(msgspec.Struct, frozen=True, array_like=True, tag="direct"):
    """A message to one person. `at` is when it was sent, in ms since 1970 UTC."""

    sender: str
    to: str
    at: Number
    text: str | None = None
    file: FileNote | None = None


class Post(msgspec.Struct, frozen=True, array_like=True, tag="post"):
    """A message to a group of the receiving realm. `proof` comes back with it (see `Relay`)."""

    sender: str
    group: str
    at: Number
    proof: bytes
    text: str | None = None
    file: FileNote | None = None


class Relay(msgspec.Struct, frozen=True, array_like=True, tag="relay"):
    """A message in a group of the sending realm, which numbered it: to a realm with members of it.

    `sender` may be of any realm, and is named as the sending realm names it. If it is of the receiving
    one, `origin` is the number of the parcel that brought it, and `proof` what that one said: so no realm
    can put words into the mouths of another's people where these would see them.
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
    """`user`, of the receiving realm, is a member of a group of the sending one, from after `seq` on."""

    group: str
    group_id: Number
    user: str
    seq: Number


class Removed(msgspec.Struct, frozen=True, array_like=True, tag="removed"):
    """`user`, of the receiving realm, is no longer a member of a group of the sending one."""

    group: str
    group_id: Number
    user: str


class Left(msgspec.Struct, frozen=True, array_like=True, tag="left"):
    """`sender` has left a group of the receiving realm."""

    sender: str
    group: str


Parcel: TypeAlias = Direct | Post | Relay | Joined | Removed | Left


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """What became of a parcel at the receiving realm: kept, or refused with a ChatError's code and details.
    `seq` is the number that a group's home gave to a message."""

    code: str = ""
    details: dict[str, Any] = {}
    seq: Number = 0


KEPT = Verdict()
UNREADABLE = Verdict("bad-parcel")
INCOMPLETE = Verdict("file-incomplete")  # its file has to be sent first, or again

encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Parcel)


def decode(data: bytes) -> Parcel:
    """Raises msgspec.DecodeError (or its subclass ValidationError)."""
    parcel: Parcel = _decoder.decode(data)
    return parcel


def order_of(parcel: Parcel) -> tuple[str, str]:
    """What keeps its order: a sender and a conversation. Parcels that differ in it may overtake one
    another while the bytes of a file are on their way."""
    match parcel:
        case Direct(sender=sender, to=to):
            return sender, to
        case Post(sender=sender, group=group):
            return sender, f"#{group}"
        case Left(group=group):
            return "", f"#{group}"
        case _:
            return "", f"#{parcel.group}"
