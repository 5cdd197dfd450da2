"""Who sees what of a conversation: its participants, each from the first entry that they may see.

Everything that an account reads of a log is selected with one of these conditions. A member who has left has
no row in `participants`, and so sees nothing. A private group is known to its members, and to people who join
it with its code or an invitation; for all others there is no such group.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.model import Party
from chatd.store.schema import (
    bans,
    changes,
    invitations,
    invited,
    messages,
    participants,
    remote_members,
)

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


class LogView(msgspec.Struct, frozen=True):
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


def view_of(connection: sa.Connection, account_id: int, conversation: int) -> LogView | None:
    """What the account sees of a conversation; None if it takes no part in it."""
    first = connection.scalar(
        sa.select(participants.c.first_seq).where(
            participants.c.account_id == account_id, participants.c.conversation_id == conversation
        )
    )
    return None if first is None else LogView(conversation, first)


def has_message(connection: sa.Connection, view: LogView, seq: int) -> bool:
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


def knows_group(
    connection: sa.Connection, group: int, party: Party, joining: bool, by_code: bool
) -> bool:
    """Whether a person knows a private group of this realm: they are in it, or are `joining` it with its code
    or after an invitation, and not banned. The queries are the same whether there is such a group."""
    key = party.key
    of_group, of_guest = invited.c.conversation_id == group, invited.c.key == key
    if party.id is None:
        here = remote_members.c.conversation_id == group
        is_member = sa.exists().where(here, remote_members.c.key == key)
        is_invited = sa.exists().where(of_group, of_guest)
    else:
        here = participants.c.conversation_id == group
        is_member = sa.exists().where(here, participants.c.account_id == party.id)
        is_invited = sa.exists().where(
            invitations.c.account_id == party.id,
            invitations.c.home_id == group,
            invitations.c.realm == "",
            invitations.c.declined.is_(False),
        )
    is_banned = sa.exists().where(bans.c.conversation_id == group, bans.c.key == key)
    member, asked, banned = connection.execute(sa.select(is_member, is_invited, is_banned)).one()
    return bool(member or (joining and not banned and (by_code or asked)))
