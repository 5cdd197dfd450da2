"""The archive of an account, as `export` writes it.

`profile.json` has an ArchivedProfile, `conversations/` a file for each conversation, and `files/` what their
messages carry. A file of `conversations/` is one JSON object. Each of its messages is one line, so that it
can be read in pieces: the first line is an ArchivedConversation without its end, each further one an
ArchivedMessage, and the last one is MESSAGES_END.

An archive that is read may be made by anybody: the limits here are checked by the decoders.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

FORMAT = 2
PROFILE = "profile.json"
CONVERSATIONS = "conversations/"
FILES = "files/"
MESSAGES_BEGIN = b',"messages":['
MESSAGES_END = b"]}"

MAX_ADDRESS = 129  # characters: two names of 64, and the sign between them
MAX_PICTURE = 64 << 10  # bytes
MAX_LISTED = 10_000  # contacts, blocks or groups
MAX_NUMBER = (1 << 62) - 1

AddressText: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ADDRESS)]
NameText: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
Seq: TypeAlias = Annotated[int, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Number: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]
Bytes: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=48 << 10)]
Time: TypeAlias = Annotated[str, msgspec.Meta(max_length=32)]
Listed: TypeAlias = Annotated[tuple[AddressText, ...], msgspec.Meta(max_length=MAX_LISTED)]


class ArchivedOrigin(msgspec.Struct, frozen=True):
    """What names an entry in all realms: its author's realm, by its key, and the number there."""

    realm: NameText
    number: Number


def key_of_origin(origin: ArchivedOrigin) -> str:
    """What names an entry with that origin in all archives that have it."""
    return f"{origin.realm}/{origin.number}"


def origin_of(key: str) -> ArchivedOrigin | None:
    """The origin that makes this key; None if another one does."""
    realm, slash, number = key.rpartition("/")
    if not slash or len(number) > 19 or not (number.isascii() and number.isdecimal()):
        return None
    return ArchivedOrigin(realm, int(number))


class ArchivedSignature(msgspec.Struct, frozen=True):
    """What the realm of an author has signed of an entry (docs/federation.md): the statement, its proof, and
    the salt and the attributes of the content. The bytes are in base64."""

    statement: Bytes
    proof: Bytes
    salt: Bytes
    attributes: Bytes


class ArchivedFile(msgspec.Struct, frozen=True):
    """A file of a message. `path` is its place in the archive; it is not there if it was lost, or if there
    was too much. Older archives have no name and type."""

    path: Annotated[str, msgspec.Meta(max_length=1024)]
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
    sha256: Annotated[str, msgspec.Meta(max_length=64)]
    name: Annotated[str, msgspec.Meta(max_length=1024)] | None = None


class ArchivedOpaque(msgspec.Struct, frozen=True):
    type: Annotated[str, msgspec.Meta(max_length=256)]
    body: Bytes


class ArchivedMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message as the account has it. Addresses are those of the realm that made the archive; there, a name
    without realm is of that realm. `at` and `edited` are in RFC 3339. `signed` is the signature of the
    present content: that of the message, or of its last edit. `imported`: the realm had it from another
    archive, and could not verify it; `key` names it there."""

    seq: Seq
    at: Time = ""
    sender: AddressText = msgspec.field(name="from", default="")
    to: AddressText | None = None
    text: Annotated[str, msgspec.Meta(max_length=64 << 10)] | None = None
    file: ArchivedFile | None = None
    edited: Time | None = None
    deleted: bool = False
    reply: Seq | None = None
    forwarded: AddressText | None = None
    mentions: Annotated[tuple[AddressText, ...], msgspec.Meta(max_length=1000)] = ()
    reactions: Annotated[
        dict[
            Annotated[str, msgspec.Meta(min_length=1, max_length=64)],
            Annotated[tuple[AddressText, ...], msgspec.Meta(max_length=200)],
        ],
        msgspec.Meta(max_length=20),
    ] = {}
    opaque: ArchivedOpaque | None = None
    origin: ArchivedOrigin | None = None
    signed: ArchivedSignature | None = None
    imported: bool = False
    key: Annotated[str, msgspec.Meta(max_length=256)] | None = None


class ArchivedConversation(msgspec.Struct, frozen=True):
    """The begin of a conversation. `user` or `group` names it. `home` is the key of the realm of a group, and
    `home_id` the id of the group there. `archive`: the realm had it from an older archive, and nobody can
    write to it. `first` and `last` are the seqs of its first and last message; older archives have none."""

    conversation: Number
    group: AddressText | None = None
    user: AddressText | None = None
    home: NameText | None = None
    home_id: Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)] | None = None
    archive: bool = False
    first: Seq = 1
    last: Seq = 0
    notify: Annotated[str, msgspec.Meta(max_length=16)] = "all"
    archived: bool = False


class ArchivedGroup(msgspec.Struct, frozen=True):
    """A group that the account is a member of. With its code one can join a private one."""

    group: AddressText
    title: Annotated[str, msgspec.Meta(max_length=1024)] | None = None
    code: Annotated[str, msgspec.Meta(max_length=64)] = ""
    visibility: Annotated[str, msgspec.Meta(max_length=16)] = "public"
    admin: bool = False


class ArchivedProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The account `username` of the realm `realm`, and what it has chosen. `picture` is a WebP, in base64.
    Archives before format 2 have no picture and groups."""

    format: int = 1
    realm: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    username: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    name: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    country: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    status: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    created: Time = ""
    picture: Annotated[bytes, msgspec.Meta(max_length=MAX_PICTURE)] | None = None
    contacts: Listed = ()
    blocked: Listed = ()
    groups: Annotated[tuple[ArchivedGroup, ...], msgspec.Meta(max_length=MAX_LISTED)] = ()
    privacy: dict[str, bool] = {}
