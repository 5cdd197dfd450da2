"""The rows of messages in the table of messages: their columns, values and origins."""

from __future__ import annotations

from msgspec.structs import astuple

from chatd.store.macs import KeyedHash, encode_values, message_mac
from chatd.store.new_entries import Extras, NewChange, NewMessage

# The columns of a message that is a text without anything else
PLAIN_COLUMNS = ("id", "conversation_id", "seq", "sender_id", "sender", "at", "text", "mac")


def is_special(item: NewMessage) -> bool:
    """Whether the message comes from or goes to another realm, or has more than a text."""
    return (
        item.origin is not None
        or item.copies is not None
        or item.extras is not None
        or item.attachment_id is not None
        or item.seq is not None
        or item.signature is not None
    )


def has_more_than_text(item: NewMessage) -> bool:
    """Whether a search looks at more of the message than its text, or at nothing of it."""
    extras = item.extras
    return (
        item.text is None
        or item.attachment_id is not None
        or (extras is not None and (extras.deleted_at is not None or extras.media is not None))
    )


def row_of(
    item: NewMessage, ident: int, seq: int, shown: int | None, given: int, keyed: KeyedHash | None
) -> tuple[object, ...]:
    """The values of a message without extras, in the order of the table's columns up to `mac`."""
    conversation, at, file = item.conversation, item.at, item.attachment_id
    sender, text = item.sender, item.text
    mac = None
    if keyed is not None:  # as `mac_of`, without a call
        hashed = keyed.copy()
        hashed.update(encode_values((conversation, seq, at, file, sender, text)))
        mac = hashed.digest()
    content = ident, conversation, seq, item.sender_id, sender, at, text, file
    if item.origin is None:
        return (*content, None, None, given or None, shown, None, mac)
    return (*content, *origin_of(item, given), shown, item.seal or None, mac)


def full_row(
    row: tuple[object, ...], extras: Extras, keyed: KeyedHash | None
) -> tuple[object, ...]:
    """The values of a message with extras, in the order of the table's columns."""
    rare = extras.reply, extras.forwarded, extras.mentions, extras.media, extras.body
    mac = row[-1]
    if any(each is not None for each in rare):
        _, conversation, seq, _, sender, at, text, file, *_ = row
        mac = message_mac(keyed, (conversation, seq, at, file, sender, text), rare)
    return (*row[:-1], mac, *astuple(extras))


def origin_of(
    item: NewMessage | NewChange, given: int
) -> tuple[str | None, int | None, int | None]:
    """The origin of an entry of another realm, and the number with which it crosses from here. `given` is the
    number that its parcels have, or 0."""
    if item.origin is None:
        return None, None, given or None
    realm, number = item.origin
    return (None, None, number) if realm is None else (realm, number, given or None)


def own_number(item: NewMessage | NewChange) -> int | None:
    """The number of an entry of this realm that has one already, because another realm has returned it."""
    return item.origin[1] if item.origin is not None and item.origin[0] is None else None


def sent_number(new: NewChange) -> int | None:
    """The number of the parcels of a change that has one already. A returned change without content gets the
    next one, because its message may have a new number here, and must not be overtaken."""
    about_message = new.target is not None and new.kind != "edited"
    return None if about_message else own_number(new)
