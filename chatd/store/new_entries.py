"""Entries on their way into a log, and what is known of them once they are stored."""

from __future__ import annotations

import msgspec

from chatd.base.entries import EntryRef
from chatd.store.origins import Origin
from chatd.store.outbox import BlankedParcel
from chatd.store.sealing import NewSignature, ParcelSource


class RemoteCopies(msgspec.Struct, frozen=True):
    """The copies of a message for other realms, named by their keys. `parcel` carries it; it may be a
    function that makes the parcel from the message's seq, or a draft that is signed when the message has its
    numbers. `sender_id` is the account to tell if it can't be delivered. `blanked` are older parcels that the
    change has emptied."""

    realms: tuple[str, ...]
    parcel: ParcelSource
    sender_id: int | None = None
    blanked: tuple[BlankedParcel, ...] = ()


class Extras(msgspec.Struct, frozen=True):
    """What few messages have, in the order of the table's columns after `mac`. `mentions` and `refused`
    are JSON."""

    reply: int | None = None
    edited_at: int | None = None
    deleted_at: int | None = None
    forwarded: str | None = None
    mentions: str | None = None
    media: str | None = None
    body: bytes | None = None
    refused: str | None = None
    imported: bool | None = None


NO_EXTRAS = Extras()


class NewChange(msgspec.Struct, frozen=True):
    """An entry that is no message, on its way into a log. `kind` and `data`: see chatd.store.schema.log.

    `seq`, `origin`, `copies` and `seal` as in NewMessage. `past`: its place `seq` is before the newest entry.
    """

    conversation: int
    kind: str
    author_id: int | None
    author: str
    at: int
    target: int | None = None
    data: str | None = None
    seq: int | None = None
    origin: Origin | None = None
    copies: RemoteCopies | None = None
    signature: NewSignature | None = None
    seal: bytes = b""
    past: bool = False


class ForwardedFile(msgspec.Struct, frozen=True, gc=False):
    """The code of a file that is forwarded, and the number of the message that had it when it was looked
    up."""

    code: str
    seq: int


class NewMessage(msgspec.Struct, frozen=True, gc=False):
    """A message on its way into a conversation. `at` is in ms since 1970 UTC.

    `seq` is its number in the conversation if its home realm has given it one, else the conversation numbers
    it. `origin` is the realm of its author, and its number there. `key` is its idempotency key (see
    chatd.store.idempotent_sends). `extras` are for few messages; a reply from another realm has `reply_to` in
    place of `extras.reply`. `signature` is that of an entry that is signed already. `epoch` is the log's when
    the sender's right to write was checked; None: nothing can take that right away. `seal` is that of the
    other realm (chatd.federation.seals). `forwards` is about a file of another message.
    """

    conversation: int
    sender_id: int | None
    sender: str
    at: int
    text: str | None = None
    attachment_id: int | None = None
    seq: int | None = None
    origin: Origin | None = None
    copies: RemoteCopies | None = None
    key: str | None = None
    extras: Extras | None = None
    reply_to: EntryRef | None = None
    signature: NewSignature | None = None
    epoch: int | None = None
    seal: bytes = b""
    forwards: ForwardedFile | None = None


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A stored entry. `id` is that of a message, and `reply` the seq of the message that it replies to.
    `number` is the entry's among all of this realm that cross, or 0, and `parcel` the parcel that carries it
    to the other realms with the keys `realms`. `epoch` is that of the group's log when the entry was stored,
    where several nodes may write; None: it is not known."""

    id: int
    seq: int
    number: int = 0
    parcel: bytes = b""
    realms: tuple[str, ...] = ()
    reply: int | None = None
    epoch: int | None = None
