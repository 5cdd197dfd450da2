"""Parcels: the entries of logs, and other news, that realms send each other, and their encoding.

Parcels are stored in the outbox and sent in the same form. docs/federation.md specifies them.

A parcel is encoded as MessagePack, as an array that begins with the name of its kind. A sender without `@` is
of the realm that sends the parcel. A recipient or group without `@` is of the realm that receives it, unless
stated otherwise. Fields may be added at the end: a reader ignores those that it does not know, and takes the
default of those that are missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

import msgspec

from chatd.federation.entry_parcels import EntryParcel
from chatd.federation.parcel_fields import (
    AddressText,
    Emoji,
    FileNote,
    GroupFields,
    MediaType,
    Mentions,
    MovePart,
    Number,
    OpaqueBody,
    Reason,
    Seal,
    Seq,
    Title,
)
from chatd.federation.signing.entries import SignedEntry
from chatd.federation.signing.statements import decode_statement
from chatd.store.lineage import MAX_MOVES

# Bytes. A parcel with its framing has to fit into an AMP value of 65,535 bytes.
MAX_PARCEL = 60_000
CONTENT = ("message", "edited")  # kinds of entries that have words of people


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """An entry of a log that two realms share: `number` is that of the parcel which brought it to the other
    realm. `own`: it was sent by the realm that sends this parcel, else by the one that receives it."""

    own: bool
    number: Number


class Direct(msgspec.Struct, frozen=True, array_like=True, tag="direct", gc=False):
    """A message to one person, sent at `at` (ms since 1970 UTC).

    It has a text, a file, or a `body` of the type `media` that no realm reads. If it has none of these, it
    was deleted before it was sent: it keeps its number and place. `forwarded` is the address of the author of
    the message that it was forwarded from. `seal` is that of the sending realm (chatd.federation.seals), as
    in all parcels of directs but read marks.
    """

    sender: str
    to: str
    at: Number
    text: str | None = None
    file: FileNote | None = None
    reply: Ref | None = None
    forwarded: AddressText | None = None
    mentions: Mentions = ()
    media: MediaType | None = None
    body: OpaqueBody | None = None
    seal: Seal = b""

    def __post_init__(self) -> None:
        """Raises ValueError, which makes it malformed."""
        if self.body is None:
            if self.media is not None:
                raise ValueError("an opaque message has a body")
            if self.file is not None and self.text is not None:
                raise ValueError("a message has one content")
        elif self.media is None or self.text is not None or self.file is not None:
            raise ValueError("an opaque message has a type, and no other content")

    @property
    def is_blank(self) -> bool:
        """Whether it was deleted before it was sent."""
        return self.text is None and self.file is None and self.body is None


class DirectEdit(msgspec.Struct, frozen=True, array_like=True, tag="edit"):
    """`sender` has changed the text of their message `target` to `to`. Without a text, the message was
    deleted since."""

    sender: str
    to: str
    at: Number
    target: Ref
    text: str | None = None
    mentions: Mentions = ()
    seal: Seal = b""


class DirectDeletion(msgspec.Struct, frozen=True, array_like=True, tag="delete"):
    """`sender` has deleted their message `target` to `to`."""

    sender: str
    to: str
    at: Number
    target: Ref
    seal: Seal = b""


class DirectReaction(msgspec.Struct, frozen=True, array_like=True, tag="react"):
    """`sender` has added an emoji to the message `target` (`on`), or removed it."""

    sender: str
    to: str
    at: Number
    target: Ref
    emoji: Emoji
    on: bool = True
    seal: Seal = b""


class DirectPin(msgspec.Struct, frozen=True, array_like=True, tag="pin"):
    """`sender` has pinned the message `target` (`on`), or unpinned it."""

    sender: str
    to: str
    at: Number
    target: Ref
    on: bool = True
    seal: Seal = b""


class DirectMark(msgspec.Struct, frozen=True, array_like=True, tag="read"):
    """`sender` has read what `to` wrote to them, up to the entry `number` of the receiving realm."""

    sender: str
    to: str
    number: Number


class GroupMark(msgspec.Struct, frozen=True, array_like=True, tag="group-read"):
    """`sender` has read a group up to `seq`. The group is named by its home's name and its id there. Members'
    realms tell the home, and the home tells the other realms with members; then `sender` may have a realm."""

    sender: AddressText
    home: str
    group_id: Number
    seq: Seq


class Post(EntryParcel, frozen=True, array_like=True, tag="post"):
    """An entry for the group `group` of the receiving realm, made by a person of the sending one. The group's
    home numbers it, and relays it with the same signature."""

    group: str


class Relay(EntryParcel, frozen=True, array_like=True, tag="relay"):
    """The entry `seq` of a group of the sending realm, which has numbered it, to a realm with members of the
    group. Its author may be of any realm."""

    group: str
    group_id: Number
    seq: Seq


class Joined(msgspec.Struct, frozen=True, array_like=True, tag="joined"):
    """`user`, of the receiving realm, is a member of a group of the sending realm, and gets the messages
    after `seq`. They see the entries from `first` on. `about` has the group's settings. After a
    restore, the `entry` proves it: the receiving realm has signed there that they join. By the `seal` the
    sending realm recognises its report, if it was restored itself. They are a member since `at`."""

    group: str
    group_id: Number
    user: str
    seq: Seq
    first: Seq = 0
    about: GroupFields = {}
    entry: SignedEntry | None = None
    at: Number = 0
    seal: Seal = b""


class Removed(msgspec.Struct, frozen=True, array_like=True, tag="removed"):
    """`user`, of the receiving realm, is no longer a member of a group of the sending realm. `by` has caused
    it, as the entry `seq` reports."""

    group: str
    group_id: Number
    user: str
    seq: Seq = 0
    by: AddressText = ""


class Invite(msgspec.Struct, frozen=True, array_like=True, tag="invite"):
    """`by` invites `user`, of the receiving realm, to a group of the sending realm. To accept, `user` joins.
    A refusal is not reported."""

    group: str
    group_id: Number
    user: str
    by: AddressText
    title: Title | None = None


class Left(msgspec.Struct, frozen=True, array_like=True, tag="left"):
    """`sender` has left a group of the receiving realm, and `entry` says so to all realms with members."""

    sender: str
    group: str
    entry: SignedEntry | None = None


class FileLoss(msgspec.Struct, frozen=True, array_like=True, tag="file-lost"):
    """The bytes of the file of the entry `number` of the receiving realm have not come, for the reason with
    the code `reason`. Its message stays."""

    number: Number
    reason: Reason


class Accepted(msgspec.Struct, frozen=True, array_like=True, tag="accepted"):
    """A person of the sending realm, `sender`, has accepted the message request of `to` that was the entry
    `number` of the receiving realm. By the `seal` the sending realm recognises that after a restore."""

    number: Number
    sender: str = ""
    to: str = ""
    seal: Seal = b""


class Agreed(msgspec.Struct, frozen=True, array_like=True, tag="agreed"):
    """`sender` has agreed to be the new address of `to`, of the receiving realm, as the signed `agreement`
    says (chatd.federation.signing.move_statements). Without one, `sender` does not agree any more."""

    sender: str
    to: str
    agreement: MovePart | None = None


class AccountMove(msgspec.Struct, frozen=True, array_like=True, tag="account-moved"):
    """An account has moved, as the proof says (chatd.federation.signing.move_statements). It was one of the
    sending realm, or is one now."""

    proof: MovePart


class Luggage(msgspec.Struct, frozen=True, array_like=True, tag="luggage"):
    """What `sender` had, for `to`, of the receiving realm, which is their new address: see
    chatd.federation.luggage."""

    sender: str
    to: str
    items: bytes


class Moved(msgspec.Struct, frozen=True, array_like=True, tag="moved"):
    """A group has moved, and perhaps several times: `steps` are the last entries of all its former homes, the
    first one first, each signed by that home (chatd.federation.move_steps)."""

    steps: Annotated[tuple[SignedEntry, ...], msgspec.Meta(min_length=1, max_length=MAX_MOVES)]


class MoveOffer(msgspec.Struct, frozen=True, array_like=True, tag="move-offer"):
    """`by`, an admin of a group of the sending realm, wants it to move to the receiving realm (`on`), or does
    not want that any more."""

    group: str
    group_id: Number
    by: AddressText
    on: bool = True


class AddressClaim(msgspec.Struct, frozen=True, array_like=True, tag="claim"):
    """`sender` says to `to`, of the receiving realm, that they had the address `old`, in a realm that is
    lost."""

    sender: str
    to: str
    old: AddressText


# A change of a message in a direct conversation
DirectChange: TypeAlias = DirectEdit | DirectDeletion | DirectReaction | DirectPin
Mark: TypeAlias = DirectMark | GroupMark
# Reports of who is in a group
GroupNews: TypeAlias = Joined | Removed | Left | Invite
# What concerns accounts that move
MoveParcel: TypeAlias = Agreed | AccountMove | Luggage | AddressClaim
# Reports of groups that move to another realm
GroupMoveNews: TypeAlias = Moved | MoveOffer
Parcel: TypeAlias = (
    Direct
    | DirectChange
    | Mark
    | Post
    | Relay
    | GroupNews
    | GroupMoveNews
    | FileLoss
    | Accepted
    | MoveParcel
)


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a parcel: accepted (no code), or refused with the code and details of a ChatError. `seq`
    is the number that a group's home has given to a message. The details of an accepted message may have a
    `state`."""

    code: str = ""
    details: Mapping[str, object] = {}
    seq: Seq = 0

    @property
    def is_request(self) -> bool:
        """Whether the message was accepted as a message request."""
        return not self.code and self.details.get("state") == "requested"


KEPT = Verdict()
UNREADABLE = Verdict("bad-parcel")
# A message waits until its recipient accepts it. A realm that does not know this reads it as kept.
REQUESTED = Verdict("", {"state": "requested"})

encode = msgspec.msgpack.Encoder().encode
_steps = msgspec.msgpack.Decoder(tuple[SignedEntry, ...])
_decoder = msgspec.msgpack.Decoder(Parcel)


def decode(data: bytes | msgspec.Raw) -> Parcel:
    """Decode a parcel. Raises msgspec.DecodeError (or its subclass ValidationError), RecursionError."""
    parcel: Parcel = _decoder.decode(data)
    return parcel


def decode_steps(data: bytes) -> tuple[SignedEntry, ...]:
    """The steps of a Moved as they are kept. Raises msgspec.DecodeError."""
    steps: tuple[SignedEntry, ...] = _steps.decode(data)
    return steps


def try_decode(data: bytes | msgspec.Raw) -> Parcel | None:
    """Decode a parcel, or return None if it is malformed or of a later version."""
    try:
        return decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def _has_content(entry: SignedEntry) -> bool:
    """Whether an entry is a message or an edit, as far as one can tell."""
    try:
        return decode_statement(entry.statement).kind in CONTENT
    except (msgspec.DecodeError, RecursionError):
        return True


def blanked(data: bytes) -> bytes:
    """The parcel of a message or an edit without its content, which was deleted before it was sent. Other
    parcels stay as they are."""
    parcel = try_decode(data)
    match parcel:
        case Direct(sender=sender, to=to, at=at):
            return encode(Direct(sender, to, at))
        case DirectEdit(sender=sender, to=to, at=at, target=target):
            return encode(DirectEdit(sender, to, at, target))
        case Post() | Relay() if _has_content(parcel.entry):
            return encode(msgspec.structs.replace(parcel, entry=parcel.entry.blank()))
        case _:
            return data
