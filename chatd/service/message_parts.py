"""What a message can have besides a text: a file, a reply, mentions, the author that it is forwarded from, or
opaque content."""

from __future__ import annotations

import msgspec

from chatd.base.entries import EntryRef, SentParts
from chatd.base.model import Attachment, Message, Opaque
from chatd.store.details import encode_mentions, mentions_of
from chatd.store.new_entries import Extras


class MessageParts(msgspec.Struct, frozen=True):
    """The parts of a message. `reply` is the seq of the message that it replies to, and `reply_ref` the name
    of that message in other realms. `file` is one that is stored already."""

    text: str | None = None
    file: Attachment | None = None
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
    def extras(self) -> Extras:
        """The parts as they are stored."""
        opaque = self.opaque
        return Extras(
            reply=self.reply,
            forwarded=self.forwarded,
            mentions=encode_mentions(self.mentions).decode() if self.mentions else None,
            media=None if opaque is None else opaque.media,
            body=None if opaque is None else opaque.body,
        )


def with_extras(message: Message, extras: Extras, reply: int | None) -> Message:
    """The message, with what few messages have. `reply` is the seq of the message that it replies to."""
    return msgspec.structs.replace(
        message,
        reply=reply,
        forwarded=extras.forwarded,
        mentions=mentions_of(extras.mentions),
        opaque=None if extras.media is None else Opaque(extras.media, extras.body or b""),
    )
