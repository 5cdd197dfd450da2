"""Entries of logs as realms name them to each other. Jobs and queries for the Database."""

from __future__ import annotations

from sqlalchemy import Connection, select

from chatd.base.entries import EntryRef
from chatd.store.schema import changes, messages


def seq_of(connection: Connection, conversation: int, entry: EntryRef) -> int | None:
    """Return the seq of a message of a conversation, or None if it has no such message."""
    if entry.realm is None:
        named = messages.c.number == entry.number
    else:
        named = (messages.c.origin_realm == entry.realm) & (messages.c.origin_id == entry.number)
    return connection.scalar(
        select(messages.c.seq).where(named, messages.c.conversation_id == conversation)
    )


def entry_at(connection: Connection, conversation: int, seq: int) -> EntryRef | None:
    """Return the name of a message of a conversation; None if it has none in other realms."""
    row = connection.execute(
        select(messages.c.origin_realm, messages.c.origin_id, messages.c.number).where(
            messages.c.conversation_id == conversation, messages.c.seq == seq
        )
    ).first()
    if row is None:
        return None
    realm, origin, number = row
    if realm is not None and origin is not None:
        return EntryRef(realm, origin)
    return None if number is None else EntryRef(None, number)


def numbers_of(connection: Connection, conversation: int, seq: int) -> list[int]:
    """Return the numbers with which the content of a message of this realm has crossed: its own, and those of
    its edits."""
    own = select(messages.c.number).where(
        messages.c.conversation_id == conversation, messages.c.seq == seq
    )
    edits = select(changes.c.number).where(
        changes.c.conversation_id == conversation,
        changes.c.target == seq,
        changes.c.kind == "edited",
    )
    found = (*connection.scalars(own), *connection.scalars(edits))
    return [number for number in found if number is not None]
