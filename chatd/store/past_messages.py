"""Stores messages from before somebody here has joined a group of another realm. Jobs for the Database."""

from __future__ import annotations

import sqlalchemy as sa

from chatd.base.entries import EntryRef
from chatd.store.messages import MessageWriter
from chatd.store.new_entries import NewMessage, Stored
from chatd.store.origins import KnownEntry
from chatd.store.pasts import answer_replies, free_place
from chatd.store.search.changes import note_placed


def place_message(
    connection: sa.Connection, writer: MessageWriter, new: NewMessage
) -> Stored | KnownEntry:
    """Store a message of another realm in its place. It is left out if there is none."""
    assert new.origin is not None  # noqa: S101 - it comes from another realm
    assert new.seq is not None  # noqa: S101 - the group's home has numbered it
    realm, number = new.origin
    seq = free_place(connection, new.conversation, new.seq)
    if seq is None:
        return KnownEntry(new.seq)
    stored = writer.store_at(connection, new, seq)
    note_placed(connection, new.conversation, seq)
    answer_replies(connection, new.conversation, EntryRef(realm, number), seq)
    return stored
