"""Direct messages, and changes of them, that are sent to a new address in place of an old one. Jobs for the
Database."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from chatd.store.outcomes import SHOWN_ID, SentEntry
from chatd.store.schema import changes, messages, outbox


class SentDirect(msgspec.Struct, frozen=True):
    """What a parcel carries: a message, or a change of the message `target`. `reply` is the seq of the
    message that a message replies to."""

    entry: SentEntry
    is_message: bool
    target: int | None = None
    reply: int | None = None


def waiting_numbers(
    connection: sa.Connection, realm: str, conversation: int, limit: int | None = None
) -> list[int]:
    """The numbers of the parcels of a conversation that wait for a realm, in order."""
    found: list[int] = []
    for table in (messages, changes):
        waiting = (
            sa.select(outbox.c.id)
            .join(table, table.c.number == outbox.c.id)
            .where(outbox.c.realm == realm, table.c.conversation_id == conversation)
            .order_by(outbox.c.id)
            .limit(limit)
        )
        found += connection.scalars(waiting)
    return sorted(found)


def find_sent(connection: sa.Connection, number: int) -> SentDirect | None:
    """The entry of a direct conversation that an account here has made, by its number."""
    row = connection.execute(
        sa.select(
            messages.c.sender_id,
            messages.c.conversation_id,
            messages.c.seq,
            SHOWN_ID,
            messages.c.reply,
        ).where(messages.c.number == number, messages.c.sender_id.is_not(None))
    ).first()
    if row is not None:
        return SentDirect(SentEntry(*row[:4]), True, reply=row.reply)
    row = connection.execute(
        sa.select(
            changes.c.author_id,
            changes.c.conversation_id,
            changes.c.seq,
            sa.literal(0),
            changes.c.target,
        ).where(changes.c.number == number, changes.c.author_id.is_not(None))
    ).first()
    return None if row is None else SentDirect(SentEntry(*row[:4]), False, row.target)


def renumber(connection: sa.Connection, sent: SentDirect, number: int | None) -> None:
    """The entry crosses with another number; None: it does not cross any more."""
    table = messages if sent.is_message else changes
    connection.execute(
        sa.update(table)
        .where(table.c.conversation_id == sent.entry.conversation, table.c.seq == sent.entry.seq)
        .values(number=number)
    )


def number_at(connection: sa.Connection, conversation: int, seq: int) -> int | None:
    """The number with which a message of this realm has crossed."""
    return connection.scalar(
        sa.select(messages.c.number).where(
            messages.c.conversation_id == conversation,
            messages.c.seq == seq,
            messages.c.origin_id.is_(None),
        )
    )
