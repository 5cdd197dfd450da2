"""Signatures of entries that several realms keep. Jobs for the Database.

chatd.federation.signing makes and checks signatures. Here, statements and proofs are only bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from chatd.store.row_inserter import RowInserter
from chatd.store.schema import changes, signatures
from chatd.store.sealing import NewSignature

FORGED = "forged"


def same_place(one: sa.Table, other: sa.Table) -> sa.ColumnElement[bool]:
    """A condition that joins an entry with what another table has of it."""
    return (one.c.conversation_id == other.c.conversation_id) & (one.c.seq == other.c.seq)


class SignatureWriter:
    """Stores signatures, in the writer's thread."""

    def __init__(self) -> None:
        self._rows = RowInserter(signatures)

    def add(
        self, connection: sa.Connection, items: Sequence[tuple[int, int, NewSignature]]
    ) -> None:
        """Store signatures, each with its conversation and seq."""
        if not items:
            return
        rows = [
            (conversation, seq, *msgspec.structs.astuple(signature))
            for conversation, seq, signature in items
        ]
        self._rows.insert(connection, rows)


def forget_contents(connection: sa.Connection, conversation: int, seq: int, since: int = 0) -> None:
    """Forget the salts with which the contents of a message could be guessed: that of the message `seq`, and
    those of its edits. An edit with a seq from `since` on, if that is not 0, keeps its own."""
    edits = sa.select(changes.c.seq).where(
        changes.c.conversation_id == conversation,
        changes.c.target == seq,
        changes.c.kind == "edited",
    )
    if since:
        edits = edits.where(changes.c.seq < since)
    connection.execute(
        sa.update(signatures)
        .where(
            signatures.c.conversation_id == conversation,
            sa.or_(signatures.c.seq == seq, signatures.c.seq.in_(edits)),
        )
        .values(salt=None, attributes=None)
    )


def forget_contents_between(
    connection: sa.Connection, conversation: int, first: int, last: int
) -> None:
    """As `forget_contents`, for the messages from `first` to `last`."""
    edits = sa.select(changes.c.seq).where(
        changes.c.conversation_id == conversation,
        changes.c.target.between(first, last),
        changes.c.kind == "edited",
    )
    for seqs in (signatures.c.seq.between(first, last), signatures.c.seq.in_(edits)):
        connection.execute(
            sa.update(signatures)
            .where(signatures.c.conversation_id == conversation, seqs)
            .values(salt=None, attributes=None)
        )
