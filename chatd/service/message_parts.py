"""What a message can have besides a text: a file, a reply, mentions, the author that it is forwarded from, or
opaque content."""

from __future__ import annotations

import msgspec

from chatd.base.attachments import Attachment
from chatd.base.entries import EntryRef, SentParts
from chatd.base.model import Message, Opaque
from chatd.store.details import encode_mentions, mentions_of
from chatd.store.new_entries import Extras, ForwardedFile


class MessageParts(msgspec.Struct, frozen=True):
    """The parts of a message. `reply` is the seq of the message that it replies to, and `reply_ref` the name
    of that message in other realms. `file` is one that is stored already, of the message `file_of` of another
    conversation."""

    text: str | None = None
    file: Attachment | None = None
    file_of: int | None = None
    reply: int | None = None
    reply_ref: EntryRef | None = None
    forwarded: str | None = None
    mentions: tuple[str, ...] = ()
    opaque: Opaque | None = None

    @property
    def crossing(self) -> SentParts:
        """The parts for other realms."""
        return SentParts(self.reply_ref, self.forwarded, self.mentions, self.opaque)

    @property
    def forwards(self) -> ForwardedFile | None:
        """The file that is forwarded."""
        if self.file is None or self.file_of is None:
            return None
        return ForwardedFile(self.file.code, self.file_of)

    @property
    def extras(self) -> Extras:
        """The parts as they are stored."""
        return extras_of(self.crossing, self.reply)


def extras_of(parts: SentParts, reply: int | None = None) -> Extras:
    """The parts of a message as they are stored. `reply` is the seq of the message that it replies to."""
    opaque = parts.opaque
    return Extras(
        reply=reply,
        forwarded=parts.forwarded,
        mentions=encode_mentions(parts.mentions).decode() if parts.mentions else None,
        media=None if opaque is None else opaque.media,
        body=None if opaque is None else opaque.body,
    )


def parts_of(extras: Extras, reply: EntryRef | None = None) -> SentParts:
    """The parts that are stored, for other realms. `reply` names the message that is replied to."""
    opaque = None if extras.media is None else Opaque(extras.media, extras.body or b"")
    return SentParts(reply, extras.forwarded, mentions_of(extras.mentions), opaque)


def with_extras(message: Message, extras: Extras, reply: int | None) -> Message:
    """The message, with what few messages have. `reply` is the seq of the message that it replies to."""
    parts = parts_of(extras)
    return msgspec.structs.replace(
        message,
        reply=reply,
        forwarded=parts.forwarded,
        mentions=parts.mentions,
        opaque=parts.opaque,
    )
