"""The names of the members of many groups. A query for the Database."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatd.store.schema import accounts, groups, participants, remote_members

_GROUP: sa.BindParameter[int] = sa.bindparam("group")
_OWN: sa.BindParameter[int] = sa.bindparam("own")
_LIMIT: sa.BindParameter[int] = sa.bindparam("limit")

_HERE = (
    sa.select(participants.c.joined_at, accounts.c.name)
    .join_from(participants, accounts)
    .where(participants.c.conversation_id == _GROUP)
)
# These read an index from its end, and only as many rows as they return.
_OTHERS = (
    _HERE.where(participants.c.account_id != _OWN)
    .order_by(participants.c.admin.desc(), participants.c.joined_at.desc())
    .limit(_LIMIT)
)
_ELSEWHERE = (
    sa.select(remote_members.c.joined_at, remote_members.c.address)
    .where(remote_members.c.conversation_id == _GROUP)
    .order_by(remote_members.c.admin.desc(), remote_members.c.joined_at.desc())
    .limit(_LIMIT)
)
_OWN_NAME = _HERE.where(participants.c.account_id == _OWN)


def names_in_groups(
    connection: sa.Connection, keys: Sequence[str], own: int, limit: int
) -> dict[str, list[str]]:
    """The names of members by the keys of their groups, longest-standing first. Of more than `limit` members
    some are left out, but neither the account `own` nor, as long as there is room, admins."""
    ids = sa.select(groups.c.key, groups.c.conversation_id).where(groups.c.key.in_(keys))
    found = {}
    for key, group in connection.execute(ids).all():
        members: list[tuple[int, str]] = []
        for query in (_OWN_NAME, _OTHERS, _ELSEWHERE):
            if left := limit - len(members):
                given = {"group": group, "own": own, "limit": left}
                members += [(row[0], row[1]) for row in connection.execute(query, given)]
        found[key] = [name for _, name in sorted(members)]
    return found
