"""Deletes many messages of a group of this realm at once, as the realm itself. A job for the Database."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import sqlalchemy as sa

from chatd.base.entries import Deletion, EntryRef, MadeChange
from chatd.base.model import Party
from chatd.store.change_requests import forget_changes_between
from chatd.store.content import WITHOUT_CONTENT, erase_file
from chatd.store.messages import MessageWriter
from chatd.store.new_entries import NewChange, RemoteCopies, Stored
from chatd.store.schema import messages, pins, reaction_counts, reactions
from chatd.store.signatures import forget_contents_between

# Makes the copies of deletions for other realms.
CopiesOfAll = Callable[[sa.Connection, Sequence[MadeChange]], Sequence[RemoteCopies | None]]


class DeletedPage(msgspec.Struct, frozen=True):
    """The entries of deletions and their copies for other realms, and the names of files in the uploads
    folder that are to be removed."""

    stored: Sequence[Stored] = ()
    copies: Sequence[RemoteCopies | None] = ()
    erased: tuple[str, ...] = ()


def delete_messages(
    connection: sa.Connection,
    writer: MessageWriter,
    place: tuple[int, Party],
    seqs: Sequence[int],
    now: int,
    copies_of: CopiesOfAll,
) -> DeletedPage:
    """Delete the messages with these seqs, in order, of a group. `place` is its conversation, and who deletes
    them. All messages between them are deleted already, or imported."""
    conversation, author = place
    rows = connection.execute(
        sa.select(messages.c.seq, messages.c.origin_realm, messages.c.origin_id, messages.c.number)
        .where(messages.c.conversation_id == conversation, messages.c.seq.in_(seqs))
        .order_by(messages.c.seq)
    ).all()
    made = [MadeChange(Deletion(), author, now, row.seq, _ref(*row[1:])) for row in rows]
    copies = copies_of(connection, made)
    about = conversation, "deleted", author.id, author.name, now
    entries = [
        NewChange(*about, each.seq, copies=its) for each, its in zip(made, copies, strict=True)
    ]
    stored = writer.add_changes(connection, entries)
    erased = erase_between(connection, conversation, seqs[0], seqs[-1], now)
    return DeletedPage(stored, copies, erased)


def _ref(realm: str | None, origin: int | None, number: int | None) -> EntryRef | None:
    """The name of a message; None if it has none in other realms."""
    if realm is not None and origin is not None:
        return EntryRef(realm, origin)
    return None if number is None else EntryRef(None, number)


def erase_between(
    connection: sa.Connection, conversation: int, first: int, last: int, now: int
) -> tuple[str, ...]:
    """Erase the messages from `first` to `last`, except imported ones. Returns the names of files in the
    uploads folder that are to be removed."""
    within = (messages.c.conversation_id == conversation) & messages.c.seq.between(first, last)
    left = within & messages.c.deleted_at.is_(None) & messages.c.imported.is_(None)
    files = connection.scalars(
        sa.select(messages.c.attachment_id).where(left, messages.c.attachment_id.is_not(None))
    ).all()
    connection.execute(sa.update(messages).where(left).values(deleted_at=now, **WITHOUT_CONTENT))
    for table in (reactions, reaction_counts, pins):
        here = (table.c.conversation_id == conversation) & table.c.seq.between(first, last)
        connection.execute(sa.delete(table).where(here))
    forget_changes_between(connection, conversation, first, last)
    forget_contents_between(connection, conversation, first, last)
    return tuple(name for file in files for name in erase_file(connection, file))
