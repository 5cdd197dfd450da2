"""Who sees what of a conversation: its participants, each from the first entry that they may see.

Everything that an account reads of a log is selected with one of these conditions. A member who has left has
no row in `participants`, and so sees nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.store.schema import changes, messages, participants

# In SQL, for rows of `participants` and `messages` of one conversation
SEES = "messages.seq >= participants.first_seq"

# A difference, because SQLite would prefer an index on `seq` to one that finds few messages.
_visible = participants.c.first_seq - messages.c.seq <= 0


def sees_message(account_id: int) -> sa.ColumnElement[bool]:
    """A condition that joins each message with the account's side of its conversation, if it sees it."""
    return sa.and_(
        participants.c.conversation_id == messages.c.conversation_id,
        participants.c.account_id == account_id,
        _visible,
    )


class View(msgspec.Struct, frozen=True):
    """What an account sees of a conversation: the entries from the seq `first` on."""

    conversation: int
    first: int = 0

    def has(self, table: sa.Table, *more: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        """A condition on rows of `messages` or `changes`. A change of a message that is not seen is not seen
        either."""
        seen = sa.and_(
            table.c.conversation_id == self.conversation, table.c.seq >= self.first, *more
        )
        if table is changes and self.first:
            return seen & (changes.c.target.is_(None) | (changes.c.target >= self.first))
        return seen


def view_of(connection: sa.Connection, account_id: int, conversation: int) -> View | None:
    """What the account sees of a conversation; None if it takes no part in it."""
    first = connection.scalar(
        sa.select(participants.c.first_seq).where(
            participants.c.account_id == account_id, participants.c.conversation_id == conversation
        )
    )
    return None if first is None else View(conversation, first)


def has_message(connection: sa.Connection, view: View, seq: int) -> bool:
    """Whether there is a message with that number in the view, also if it was deleted."""
    found = connection.scalar(
        sa.select(messages.c.id).where(view.has(messages, messages.c.seq == seq))
    )
    return found is not None


def first_seqs(connection: sa.Connection, conversation: int) -> dict[int, int]:
    """The first entries that accounts see, of those that do not see all of a conversation."""
    rows = connection.execute(
        sa.select(participants.c.account_id, participants.c.first_seq).where(
            participants.c.conversation_id == conversation, participants.c.first_seq > 0
        )
    )
    return {row[0]: row[1] for row in rows}


def viewers(connection: sa.Connection, conversation: int, seq: int) -> frozenset[int]:
    """The accounts that see an entry of a conversation."""
    query: sa.Select[Any] = sa.select(participants.c.account_id).where(
        participants.c.conversation_id == conversation, participants.c.first_seq <= seq
    )
    return frozenset(connection.scalars(query))
