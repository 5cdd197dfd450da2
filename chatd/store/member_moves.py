"""Replaces members of groups of this realm who have moved. Jobs for the Database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatd.base.errors import ChatError
from chatd.base.model import Group, Party
from chatd.store.bans import is_banned
from chatd.store.luggage import take_moving_group
from chatd.store.members import Bounds, check_groups, leave_group, row_of
from chatd.store.roster import Delta
from chatd.store.schema import participants, remote_members, rosters


def replace_member(
    connection: sa.Connection,
    group: Group,
    old: Party,
    new: Party,
    own: str,
    bounds: Bounds,
    newest: int,
) -> Delta | None:
    """Give the place of a member to their new address: role, since when, and what they see. `own` is the key
    of this realm. If the new address may not be a member, or there is no room, the old one only leaves.
    Returns None if the old address is no member."""
    table, is_old = row_of(group, old)
    row = connection.execute(
        sa.select(table.c.admin, table.c.joined_at, table.c.first_seq).where(is_old)
    ).first()
    if row is None:
        return None
    there, is_new = row_of(group, new)
    known = connection.execute(
        sa.select(there.c.admin, there.c.joined_at, there.c.first_seq).where(is_new)
    ).first()
    if known is None and not _may_join(connection, group, new, bounds):
        return leave_group(connection, group, old)
    connection.execute(sa.delete(table).where(is_old))
    if known is not None:
        admin, first = row.admin or known.admin, min(row.first_seq, known.first_seq)
        since = min(row.joined_at, known.joined_at)
        connection.execute(
            sa.update(there).where(is_new).values(admin=admin, joined_at=since, first_seq=first)
        )
        connection.execute(
            sa.update(rosters)
            .where(rosters.c.conversation_id == group.id)
            .values(members=rosters.c.members - 1)
        )
        return Delta(group.id, ((old, None), (new, admin)), first=first)
    _insert(connection, group, new, row, own, newest)
    return Delta(group.id, ((old, None), (new, row.admin)), first=row.first_seq)


def _may_join(connection: sa.Connection, group: Group, new: Party, bounds: Bounds) -> bool:
    if is_banned(connection, group.id, new.key):
        return False
    if new.id is not None:
        try:
            check_groups(connection, new.id, new.name, bounds.account_groups)
        except ChatError:
            return False
        return True
    of_realm = sa.select(sa.func.count()).where(
        remote_members.c.conversation_id == group.id, remote_members.c.realm == new.realm
    )
    return (connection.scalar(of_realm) or 0) < bounds.realm_members


def _insert(
    connection: sa.Connection,
    group: Group,
    new: Party,
    row: Any,
    own: str,
    newest: int,
) -> None:
    values: dict[str, Any] = {
        "conversation_id": group.id,
        "joined_at": row.joined_at,
        "first_seq": row.first_seq,
        "admin": row.admin,
    }
    if new.id is None:
        values |= {"key": new.key, "address": new.name, "realm": new.realm}
        connection.execute(sa.insert(remote_members), values)
        return
    moving = take_moving_group(connection, new.id, own, group.id)
    read = newest if moving is None else min(newest, moving.read_seq)
    connection.execute(sa.insert(participants), {**values, "account_id": new.id, "read_seq": read})
