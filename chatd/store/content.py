"""Replacing and erasing the content of messages, and counting their reactions. Jobs for the Database.

What is replaced or erased is overwritten in the database (see chatd.store.engine), and not kept anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from chatd.store.change_requests import forget_changes_of
from chatd.store.details import encode_mentions
from chatd.store.file_ids import note_removed
from chatd.store.macs import protect
from chatd.store.schema import (
    arrivals,
    attachments,
    erased_files,
    file_macs,
    messages,
    outbox,
    pending,
    pictures,
    pins,
    posted_files,
    reaction_counts,
    reactions,
)

# The columns of a message that are empty once it is deleted.
WITHOUT_CONTENT = dict.fromkeys(
    (
        "text",
        "attachment_id",
        "mac",
        "reply",
        "edited_at",
        "forwarded",
        "mentions",
        "media",
        "body",
    )
)


def mark_edited(
    connection: sa.Connection, ident: int, text: str, mentions: Sequence[str], at: int
) -> None:
    """Give the message with this id another text."""
    stored = encode_mentions(mentions).decode() if mentions else None
    connection.execute(
        sa.update(messages)
        .where(messages.c.id == ident)
        .values(text=text, mentions=stored, edited_at=at)
    )
    protect(connection, ident)


def revive(connection: sa.Connection, ident: int, reply: int | None) -> None:
    """Let the message with this id have an empty text in place of none, so that it can be edited. It replies
    to the message with the seq `reply`."""
    connection.execute(
        sa.update(messages)
        .where(messages.c.id == ident)
        .values(text="", deleted_at=None, reply=reply)
    )
    protect(connection, ident)


def count_reactions(
    connection: sa.Connection, place: tuple[int, int], emoji: str, step: int, at: int
) -> None:
    """Count one reaction more (`step` is 1) or less (-1) of an emoji to the message at that conversation and
    seq."""
    conversation, seq = place
    counted = sa.and_(
        reaction_counts.c.conversation_id == conversation,
        reaction_counts.c.seq == seq,
        reaction_counts.c.emoji == emoji,
    )
    done = connection.execute(
        sa.update(reaction_counts).where(counted).values(count=reaction_counts.c.count + step)
    )
    if not done.rowcount and step > 0:
        connection.execute(
            sa.insert(reaction_counts).values(
                conversation_id=conversation, seq=seq, emoji=emoji, count=1, at=at
            )
        )
    if step < 0:
        connection.execute(sa.delete(reaction_counts).where(counted, reaction_counts.c.count <= 0))


def erase(connection: sa.Connection, conversation: int, seq: int, at: int) -> tuple[str, ...]:
    """Remove the content of a message, with its reactions and its pin. Returns as `erase_file` the files that
    were removed with it."""
    here = (messages.c.conversation_id == conversation) & (messages.c.seq == seq)
    file = connection.scalar(sa.select(messages.c.attachment_id).where(here))
    connection.execute(sa.update(messages).where(here).values(deleted_at=at, **WITHOUT_CONTENT))
    forget_changes_of(connection, conversation, seq)
    for table in (reactions, reaction_counts, pins):
        connection.execute(
            sa.delete(table).where(table.c.conversation_id == conversation, table.c.seq == seq)
        )
    return () if file is None else erase_file(connection, file)


def erase_file(connection: sa.Connection, file: int) -> tuple[str, ...]:
    """Remove a file if nothing carries it any more. Otherwise it counts for the sender of the oldest message
    that does.

    Returns the name of a removed file in the uploads folder; it stays in `erased_files` until it is removed
    from there.
    """
    carrier = connection.execute(
        sa.select(messages.c.sender_id)
        .where(messages.c.attachment_id == file)
        .order_by(messages.c.id)
        .limit(1)
    ).first()
    if carrier is not None:
        _hand_over(connection, file)
        return ()
    if is_on_its_way(connection, file):
        return ()
    row = connection.execute(
        sa.select(attachments.c.stored).where(attachments.c.id == file)
    ).first()
    if row is None:
        return ()
    connection.execute(sa.delete(attachments).where(attachments.c.id == file))
    note_removed(connection, file)
    for about in (arrivals, pictures, file_macs):
        connection.execute(sa.delete(about).where(about.c.attachment_id == file))
    return note_erased(connection, row.stored)


def is_on_its_way(connection: sa.Connection, file: int) -> bool:
    """Whether the file still has to reach another realm."""
    for table in (outbox, pending, posted_files):
        waiting = sa.select(table.c.attachment_id).where(table.c.attachment_id == file).limit(1)
        if connection.scalar(waiting) is not None:
            return True
    return False


def note_erased(connection: sa.Connection, stored: str) -> tuple[str, ...]:
    """Note that a file in the uploads folder, or the part of one that arrives, is to be removed. Returns its
    name."""
    known = connection.scalar(
        sa.select(erased_files.c.stored).where(erased_files.c.stored == stored)
    )
    if known is None:
        connection.execute(sa.insert(erased_files).values(stored=stored))
    return (stored,)


def _hand_over(connection: sa.Connection, file: int) -> None:
    """Let a file count for somebody who still sends it, unless its owner still does."""
    owner = connection.scalar(sa.select(attachments.c.owner_id).where(attachments.c.id == file))
    senders = connection.scalars(
        sa.select(messages.c.sender_id)
        .where(messages.c.attachment_id == file, messages.c.sender_id.is_not(None))
        .order_by(messages.c.id)
        .limit(100)
    ).all()
    if owner is not None and senders and owner not in senders:
        connection.execute(
            sa.update(attachments).where(attachments.c.id == file).values(owner_id=senders[0])
        )


_ERASED = sa.select(erased_files.c.stored)


def files_to_erase(connection: sa.Connection) -> list[str]:
    """The names of the files that are still to be removed from the uploads folder."""
    return list(connection.scalars(_ERASED))


def files_erased(connection: sa.Connection, stored: Collection[str]) -> None:
    """Note that these files are removed from the disk."""
    if stored:
        rows = erased_files.c.stored.in_(list(stored))
        connection.execute(sa.delete(erased_files).where(rows))
