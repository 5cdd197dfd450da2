"""What few messages have: replies, edits, deletions, mentions, opaque content, pins, reactions.

Queries for the Database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.model import Account, EmojiReactions, Message, Opaque
from chatd.store.schema import messages, pins, reaction_counts, reactions

# Addresses that a page of messages has with its reactions. If there are more, each emoji of a message has at
# most MAX_NAMED, or fewer, and the number of all.
MAX_ADDRESSES = 10_000
MAX_NAMED = 100

_pin, _reaction = pins.alias("of_message"), reaction_counts.alias("on_message")
_pinned = (
    sa.exists()
    .where(_pin.c.conversation_id == messages.c.conversation_id, _pin.c.seq == messages.c.seq)
    .correlate(messages)
)
_reacted = (
    sa.exists()
    .where(
        _reaction.c.conversation_id == messages.c.conversation_id,
        _reaction.c.seq == messages.c.seq,
    )
    .correlate(messages)
)

DETAILS = (
    messages.c.reply,
    messages.c.edited_at,
    messages.c.deleted_at,
    messages.c.forwarded,
    messages.c.mentions,
    messages.c.media,
    messages.c.body,
    messages.c.imported,
    _pinned,
    _reacted,
)
_NONE: tuple[Any, ...] = (None,) * (len(DETAILS) - 2)
_decode_mentions = msgspec.json.Decoder(tuple[str, ...]).decode
encode_mentions = msgspec.json.Encoder().encode


def mentions_of(stored: str | None) -> tuple[str, ...]:
    """The addresses in the column `mentions`."""
    return _decode_mentions(stored) if stored else ()


def with_details(message: Message, values: Sequence[Any]) -> Message:
    """The message, with the values of DETAILS, but without its reactions."""
    *rare, pinned, _ = values
    if not pinned and tuple(rare) == _NONE:
        return message
    reply, edited, deleted, forwarded, mentions, media, body, imported = rare
    return msgspec.structs.replace(
        message,
        reply=reply,
        edited=edited,
        deleted=deleted is not None,
        forwarded=forwarded,
        mentions=mentions_of(mentions),
        opaque=None if media is None else Opaque(media, body or b""),
        pinned=bool(pinned),
        imported=bool(imported),
    )


def has_reactions(values: Sequence[Any]) -> bool:
    """Whether the message with these values of DETAILS has reactions."""
    return bool(values[-1])


def with_reactions(
    connection: sa.Connection, account: Account, found: list[Message], reacted: Sequence[int]
) -> list[Message]:
    """The messages, those in the places `reacted` with their reactions. The account's own are always among
    the addresses."""
    if not reacted:
        return found
    seqs: defaultdict[int, list[int]] = defaultdict(list)
    for place in reacted:
        seqs[found[place].conversation].append(found[place].seq)
    counts = {each: _counts(connection, each, seqs[each]) for each in seqs}
    number = sum(len(each) for each in counts.values())
    named = min(MAX_NAMED, max(1, MAX_ADDRESSES // max(1, number)))
    by_message = {
        (conversation, seq): by_emoji
        for conversation in seqs
        for seq, by_emoji in _named(
            connection, account, conversation, seqs[conversation], named
        ).items()
    }
    for place in reacted:
        message = found[place]
        known = counts[message.conversation]
        by_emoji = by_message.get((message.conversation, message.seq), {})
        found[place] = msgspec.structs.replace(
            message,
            reactions=tuple(
                EmojiReactions(emoji, tuple(people), known[message.seq, emoji])
                for emoji, people in by_emoji.items()
            ),
        )
    return found


def _counts(
    connection: sa.Connection, conversation: int, seqs: Sequence[int]
) -> dict[tuple[int, str], int]:
    """How many people have reacted, by seq and emoji."""
    rows = connection.execute(
        sa.select(reaction_counts.c.seq, reaction_counts.c.emoji, reaction_counts.c.count).where(
            reaction_counts.c.conversation_id == conversation, reaction_counts.c.seq.in_(seqs)
        )
    )
    return {(seq, emoji): count for seq, emoji, count in rows}


def _named(
    connection: sa.Connection,
    account: Account,
    conversation: int,
    seqs: Sequence[int],
    named: int,
) -> Mapping[int, Mapping[str, list[str]]]:
    """At most `named` addresses for each emoji, by seq, and the account's own. The emoji that was first used
    is the first."""
    each = reactions.alias("each")
    first = (
        sa.select(each.c.key)
        .where(
            each.c.conversation_id == reaction_counts.c.conversation_id,
            each.c.seq == reaction_counts.c.seq,
            each.c.emoji == reaction_counts.c.emoji,
        )
        .order_by(each.c.key)
        .limit(named)
        .correlate(reaction_counts)
    )
    of_emoji = sa.and_(
        reactions.c.conversation_id == reaction_counts.c.conversation_id,
        reactions.c.seq == reaction_counts.c.seq,
        reactions.c.emoji == reaction_counts.c.emoji,
    )
    rows = connection.execute(
        sa.select(reactions.c.seq, reactions.c.emoji, reactions.c.address)
        .join_from(reaction_counts, reactions, of_emoji)
        .where(
            reaction_counts.c.conversation_id == conversation,
            reaction_counts.c.seq.in_(seqs),
            reactions.c.key.in_(first) | (reactions.c.key == account.key),
        )
        .order_by(reaction_counts.c.at, reactions.c.emoji, reactions.c.at, reactions.c.key)
    )
    found: defaultdict[int, dict[str, list[str]]] = defaultdict(dict)
    for seq, emoji, address in rows:
        found[seq].setdefault(emoji, []).append(address)
    return found
