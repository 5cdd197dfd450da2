"""Whether changes of messages have an effect, here and in other realms. Queries for the Database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import sqlalchemy as sa

from chatd.base.entries import Deletion, Edit, Pin, React
from chatd.base.errors import RequestPending
from chatd.store.guard import is_row_intact
from chatd.store.outcomes import KEPT_REQUEST
from chatd.store.retention import is_removed
from chatd.store.schema import changes, participants, pins, reaction_counts, reactions

if TYPE_CHECKING:
    from chatd.store.message_changes import WantedChange


def check_accepted(connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any]) -> None:
    """Raises RequestPending if the message waits to be accepted: the other realm would refuse the change, and
    the two sides would differ. A deletion crosses."""
    if row.refused != KEPT_REQUEST or wanted.origin is not None:
        return
    peer = sa.select(participants.c.peer).where(
        participants.c.account_id == wanted.author.id,
        participants.c.conversation_id == wanted.conversation,
    )
    raise RequestPending(name=connection.scalar(peer))


def is_empty(connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any]) -> bool:
    """Whether a message came without content: a deletion follows, or an edit that has the content."""
    if row.deleted_at is None or is_removed(connection, wanted.conversation, wanted.seq):
        return False
    return not is_deleted(connection, wanted.conversation, wanted.seq)


def is_deleted(connection: sa.Connection, conversation: int, seq: int) -> bool:
    """Whether somebody has deleted the message, as its log says."""
    deleted = sa.select(changes.c.seq).where(
        changes.c.conversation_id == conversation,
        changes.c.target == seq,
        changes.c.kind == "deleted",
    )
    return connection.scalar(deleted.limit(1)) is not None


def waits_for_content(connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any]) -> bool:
    """Whether another realm has reacted to a message, or pinned it, whose content follows with an edit."""
    return (
        wanted.origin is not None
        and isinstance(wanted.change, React | Pin)
        and is_empty(connection, wanted, row)
    )


def own_reaction(wanted: WantedChange, change: React) -> sa.ColumnElement[bool]:
    return sa.and_(
        reactions.c.conversation_id == wanted.conversation,
        reactions.c.seq == wanted.seq,
        reactions.c.emoji == change.emoji,
        reactions.c.key == wanted.author.key,
    )


def own_pin(wanted: WantedChange) -> sa.ColumnElement[bool]:
    return (pins.c.conversation_id == wanted.conversation) & (pins.c.seq == wanted.seq)


def has_effect(connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any]) -> bool:
    """Whether a change changes the row of its message, its reactions or its pin."""
    change = wanted.change
    if row.deleted_at is not None and not waits_for_content(connection, wanted, row):
        return isinstance(change, Deletion) and _is_news(connection, wanted, row)
    match change:
        case Edit(text):
            # A message that another realm sends again has the text of its last edit already.
            again = wanted.origin is not None and row.edited_at is None
            if change.is_blank:
                return False
            return again or text != row.text or not is_row_intact(connection, row)
        case Deletion():
            return True
        case React(on=on):
            mine = own_reaction(wanted, change)
            return (connection.scalar(sa.select(reactions.c.at).where(mine)) is None) is on
        case Pin(on):
            return (connection.scalar(sa.select(pins.c.at).where(own_pin(wanted))) is None) is on
        case _:
            assert_never(change)


def _is_news(connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any]) -> bool:
    """Whether the deletion of a message without content changes anything: here, or in other realms. They may
    have what was removed here, and what a group's home has lost and got back without content."""
    if _is_marked(connection, wanted):
        return True
    elsewhere = row.group is not None or is_removed(connection, wanted.conversation, wanted.seq)
    return elsewhere and not is_deleted(connection, wanted.conversation, wanted.seq)


def _is_marked(connection: sa.Connection, wanted: WantedChange) -> bool:
    """Whether a message has reactions or is pinned."""
    reacted = sa.select(reaction_counts.c.emoji).where(
        reaction_counts.c.conversation_id == wanted.conversation,
        reaction_counts.c.seq == wanted.seq,
    )
    pinned = sa.select(pins.c.at).where(own_pin(wanted))
    return any(connection.scalar(each.limit(1)) is not None for each in (reacted, pinned))
