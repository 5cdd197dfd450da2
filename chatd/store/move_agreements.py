"""Moves of groups that are proposed, agreed, or under way. Jobs and queries for the Database.

An admin in the group's home and one of the new realm have to agree. Both realms keep what they know of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.names import key_of
from chatd.store import names
from chatd.store.lineage import find_moved
from chatd.store.prepared import prepared
from chatd.store.schema import accounts, changes, groups, participants, remote_members
from chatd.store.schema import group_moves as table

LIFE = 7 * 24 * 3600 * 1000  # ms until a move that is not agreed ends
MAX_AT_ONCE = 100  # moves that are looked up at a time


class GroupMove(msgspec.Struct, frozen=True):
    """A move of the group of a conversation. `realm` is the key of the other one of the two realms. Who has
    agreed in the home is `offered_by`, and in the new realm `accepted_by`, as its signed `consent` says.
    There the group will have the id `new_id` and the name `new_name`. `at` is the time of the last agreement
    (ms since 1970 UTC). Once the home has closed the group, `steps` prove all its moves."""

    conversation: int
    realm: str
    offered_by: str | None = None
    accepted_by: str | None = None
    consent: bytes | None = None
    new_id: int | None = None
    new_name: str | None = None
    at: int = 0
    steps: bytes | None = None

    @property
    def is_agreed(self) -> bool:
        return self.offered_by is not None and self.accepted_by is not None

    def is_open(self, now: int) -> bool:
        """Whether it has not ended."""
        return self.steps is not None or self.at > now - LIFE


_COLUMNS = [
    table.c.conversation_id if each == "conversation" else table.c[each]
    for each in GroupMove.__struct_fields__
]


def move_of(connection: sa.Connection, conversation: int) -> GroupMove | None:
    """The move of a group, also if it has ended."""
    row = connection.execute(*_move_of(conversation)).first()
    return None if row is None else GroupMove(*row)


@prepared
def _move_of(conversation: Any) -> sa.Select[Any]:
    return sa.select(*_COLUMNS).where(table.c.conversation_id == conversation)


def put_move(connection: sa.Connection, move: GroupMove) -> None:
    """Keep a move, in place of what was known of the group's."""
    connection.execute(sa.delete(table).where(table.c.conversation_id == move.conversation))
    row = msgspec.structs.asdict(move)
    row["conversation_id"] = row.pop("conversation")
    connection.execute(sa.insert(table).values(row))


def is_agreed(connection: sa.Connection, move: GroupMove) -> bool:
    """Whether an admin in each of the two realms agrees."""
    agree = move.offered_by, move.accepted_by
    return move.is_agreed and all(rules(connection, move.conversation, each) for each in agree)


def rules(connection: sa.Connection, conversation: int, name: str | None) -> bool:
    """Whether the person with that name or address, who has agreed to a move, is an admin of the group.
    Admins who were removed or demoted since do not decide any more."""
    here = (
        sa.select(participants.c.admin)
        .join_from(participants, accounts, accounts.c.id == participants.c.account_id)
        .where(participants.c.conversation_id == conversation)
    )
    there = sa.select(remote_members.c.admin).where(
        remote_members.c.conversation_id == conversation
    )
    key = key_of(name or "")
    found = (
        there.where(remote_members.c.key == key)
        if "@" in key
        else here.where(accounts.c.key == key)
    )
    return bool(connection.scalar(found))


def end_move(connection: sa.Connection, move: GroupMove, own: str, *, done: bool = False) -> None:
    """Forget a move. Unless it is `done`, the name that this realm, with that key, has reserved is free."""
    connection.execute(sa.delete(table).where(table.c.conversation_id == move.conversation))
    # A home may have closed its group without this realm's consent. Then it has named it.
    is_reserved = move.accepted_by is not None and move.realm != own and not done
    if is_reserved and _is_elsewhere(connection, move.conversation):
        free_name(connection, move.new_name or "", move.conversation)


def _is_elsewhere(connection: sa.Connection, conversation: int) -> bool:
    query = sa.select(groups.c.realm).where(groups.c.conversation_id == conversation)
    return connection.scalar(query) is not None


def free_name(connection: sa.Connection, name: str, conversation: int) -> None:
    """Release a name that was reserved, unless a group has it, or has had it before it moved."""
    key = key_of(name)
    has = sa.select(groups.c.conversation_id).where(groups.c.key == key)
    if connection.scalar(has) is None and conversation not in find_moved(connection, key):
        names.free(connection, key, "group")


def under_way(connection: sa.Connection, realm: str) -> Sequence[GroupMove]:
    """The moves from that realm to this one that both have agreed to."""
    rows = connection.execute(
        sa.select(*_COLUMNS)
        .join(groups, groups.c.conversation_id == table.c.conversation_id)
        .where(
            table.c.realm == realm,
            groups.c.realm == realm,
            (table.c.offered_by.is_not(None) & table.c.accepted_by.is_not(None))
            | table.c.steps.is_not(None),
        )
        .order_by(table.c.conversation_id)
        .limit(MAX_AT_ONCE)
    )
    return [GroupMove(*row) for row in rows]


def coming(connection: sa.Connection, key: str, guest: str) -> int | None:
    """The conversation of the group that moves to this realm, and will have the name with that key here, if
    people of the realm `guest` have been in it."""
    here = changes.c.conversation_id == table.c.conversation_id
    known = (table.c.realm == guest) | sa.exists().where(here, changes.c.origin_realm == guest)
    rows = connection.execute(
        sa.select(table.c.conversation_id, table.c.new_name)
        .join(groups, groups.c.conversation_id == table.c.conversation_id)
        .where(groups.c.realm == table.c.realm, table.c.new_name.is_not(None), known)
    )
    return next((row[0] for row in rows if key_of(row[1]) == key), None)


def end_old(connection: sa.Connection, now: int, own: str) -> int:
    """Forget moves that have ended, also those that a home says, and this realm has not agreed to. Returns
    their number."""
    has_ended = table.c.steps.is_(None) | table.c.accepted_by.is_(None)
    rows = connection.execute(
        sa.select(*_COLUMNS).where(table.c.at <= now - LIFE, has_ended).limit(MAX_AT_ONCE)
    ).all()
    for row in rows:
        end_move(connection, GroupMove(*row), own)
    return len(rows)


def admins_here(connection: sa.Connection, conversation: int) -> list[int]:
    """The accounts that are admins of a group."""
    rows = connection.scalars(
        sa.select(participants.c.account_id)
        .where(participants.c.conversation_id == conversation, participants.c.admin.is_(True))
        .order_by(participants.c.joined_at)
        .limit(MAX_AT_ONCE)
    )
    return list(rows)
