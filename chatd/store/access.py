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
from chatd.store.prepared import prepared
from chatd.store.schema import (
    bans,
    changes,
    groups,
    invitations,
    invited,
    messages,
    participants,
    remote_members,
)

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
    """What an account sees of a conversation: the entries from the seq `first` on. In a prepared statement,
    both are parameters."""

    conversation: Any
    first: Any = 0

    def has(self, table: sa.Table, *more: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        """A condition on rows of `messages` or `changes`. A change of a message that is not seen is not seen
        either."""
        seen = sa.and_(
            table.c.conversation_id == self.conversation, table.c.seq >= self.first, *more
        )
        if table is changes and (not isinstance(self.first, int) or self.first):
            return seen & (changes.c.target.is_(None) | (changes.c.target >= self.first))
        return seen


def view_of(connection: sa.Connection, account_id: int, conversation: int) -> LogView | None:
    """What the account sees of a conversation; None if it takes no part in it."""
    first = connection.scalar(*_first_seq(account_id, conversation))
    return None if first is None else LogView(conversation, first)


@prepared
def _first_seq(account_id: Any, conversation: Any) -> sa.Select[Any]:
    return sa.select(participants.c.first_seq).where(
        participants.c.account_id == account_id, participants.c.conversation_id == conversation
    )


def has_message(connection: sa.Connection, view: LogView, seq: int) -> bool:
    """Whether there is a message with that number in the view, also if it was deleted."""
    found = connection.scalar(
        sa.select(messages.c.id).where(view.has(messages, messages.c.seq == seq))
    )
    return found is not None


def first_seqs(connection: sa.Connection, conversation: int) -> dict[int, int]:
    """The first entries that accounts see, of those that do not see all of a conversation."""
    rows = connection.execute(*_first_seqs(conversation))
    return {row[0]: row[1] for row in rows}


@prepared
def _first_seqs(conversation: Any) -> sa.Select[Any]:
    return sa.select(participants.c.account_id, participants.c.first_seq).where(
        participants.c.conversation_id == conversation, participants.c.first_seq > 0
    )


def viewers(connection: sa.Connection, conversation: int, seq: int) -> frozenset[int]:
    """The accounts that see an entry of a conversation."""
    query: sa.Select[Any] = sa.select(participants.c.account_id).where(
        participants.c.conversation_id == conversation, participants.c.first_seq <= seq
    )
    return frozenset(connection.scalars(query))


def is_known(party: Party, since: Any, joining: bool, by_code: bool) -> sa.ColumnElement[bool]:
    """A condition on rows of `groups`: a person knows the group. A private one is known to its members, and
    to people who are `joining` it with its code, or after an invitation from after `since` (ms since 1970
    UTC), and are not banned.

    It is a part of the query that finds the group, so that the time does not tell whether there is one.
    """
    here, key = groups.c.conversation_id, party.key
    if party.id is None:
        of_party = (remote_members.c.conversation_id == here, remote_members.c.key == key)
        asked = sa.exists().where(
            invited.c.conversation_id == here, invited.c.key == key, invited.c.at > since
        )
    else:
        of_party = (
            participants.c.conversation_id == here,
            participants.c.account_id == party.id,
        )
        asked = sa.exists().where(
            invitations.c.account_id == party.id,
            invitations.c.key == groups.c.key,
            invitations.c.home_id == here,
            invitations.c.realm == "",
            invitations.c.declined.is_(False),
            invitations.c.at > since,
        )
    known = groups.c.private.is_(False) | sa.exists().where(*of_party)
    if not joining:
        return known
    banned = sa.exists().where(bans.c.conversation_id == here, bans.c.key == key)
    return known | (~banned if by_code else ~banned & asked)
