"""Addresses that are banned from the groups of this realm. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select

from chatd.base.errors import Banned, NotBanned
from chatd.base.model import Group, Party
from chatd.base.replies import Ban
from chatd.store.prepared import prepared
from chatd.store.schema import bans

MAX_BANS = 10_000  # per group; a further ban replaces the oldest


def is_banned(connection: Connection, group: int, key: str) -> bool:
    found = connection.scalar(
        select(bans.c.key).where(bans.c.conversation_id == group, bans.c.key == key)
    )
    return found is not None


def check_ban(connection: Connection, group: Group, party: Party) -> None:
    """Raises Banned."""
    if is_banned(connection, group.id, party.key):
        raise Banned(group=group.name)


def banned_keys(connection: Connection, group: int) -> set[str]:
    return set(connection.scalars(*_keys(group)))


@prepared
def _keys(group: Any) -> Select[Any]:
    return select(bans.c.key).where(bans.c.conversation_id == group)


def add_ban(connection: Connection, group: Group, party: Party, now: int) -> tuple[str, ...]:
    """Ban `party`. Returns the keys of the bans that had to make room."""
    lift_ban(connection, group, party)
    count = connection.execute(
        select(func.count()).where(bans.c.conversation_id == group.id)
    ).scalar_one()
    oldest = (
        select(bans.c.key)
        .where(bans.c.conversation_id == group.id)
        .order_by(bans.c.at)
        .limit(max(0, count + 1 - MAX_BANS))
    )
    dropped = tuple(connection.scalars(oldest)) if count >= MAX_BANS else ()
    if dropped:
        connection.execute(
            delete(bans).where(bans.c.conversation_id == group.id, bans.c.key.in_(dropped))
        )
    connection.execute(
        insert(bans).values(conversation_id=group.id, key=party.key, address=party.name, at=now)
    )
    return dropped


def lift_ban(connection: Connection, group: Group, party: Party) -> bool:
    """Lift the ban of `party`. Returns whether there was one."""
    gone = connection.execute(
        delete(bans).where(bans.c.conversation_id == group.id, bans.c.key == party.key)
    )
    return gone.rowcount > 0


def unban(connection: Connection, group: Group, party: Party) -> None:
    """Raises NotBanned."""
    if not lift_ban(connection, group, party):
        raise NotBanned(name=party.name, group=group.name)


def bans_of(connection: Connection, group: int, after: str, limit: int) -> Sequence[Ban]:
    """The banned addresses in the order of their keys, after the key `after`."""
    rows = connection.execute(
        select(bans.c.address)
        .where(bans.c.conversation_id == group, bans.c.key > after)
        .order_by(bans.c.key)
        .limit(limit)
    )
    return [Ban(row[0]) for row in rows]


def forget_bans(connection: Connection, group: int, count: int) -> bool:
    """Remove the first `count` bans of a group that has ended. Returns whether there may be more."""
    first = select(bans.c.key).where(bans.c.conversation_id == group).limit(count)
    gone = delete(bans).where(bans.c.conversation_id == group, bans.c.key.in_(first))
    return connection.execute(gone).rowcount == count
