"""Bans of groups that have ended, which are removed a few at a time. Jobs and queries for the Database.

Nobody can join a group that has ended, so its bans have no effect any more.
"""

from __future__ import annotations

import sqlalchemy as sa

from chatd.store.bans import forget_bans
from chatd.store.schema import ended_groups

BANS = 500  # that one transaction removes, about 1 ms


def note_ended(connection: sa.Connection, conversation: int) -> None:
    """A group has ended. Removes its bans; if there are many, a part of them, and notes that the others are
    to be removed."""
    if forget_bans(connection, conversation, BANS):
        connection.execute(sa.insert(ended_groups).values(conversation_id=conversation))


def next_ended(connection: sa.Connection) -> int | None:
    """The conversation of a group that has ended and may have bans."""
    return connection.scalar(sa.select(ended_groups.c.conversation_id).limit(1))


def clear_ended(connection: sa.Connection, conversation: int) -> None:
    """Remove the next bans of a group that has ended."""
    if not forget_bans(connection, conversation, BANS):
        here = ended_groups.c.conversation_id == conversation
        connection.execute(sa.delete(ended_groups).where(here))
