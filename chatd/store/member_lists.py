"""The names of the members of many groups, in one query for the Database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chatd.store.schema import accounts, groups, participants, remote_members


def names_in_groups(
    connection: sa.Connection, keys: Sequence[str], own: int, limit: int
) -> dict[str, list[str]]:
    """The names of members by the keys of their groups, longest-standing first. Of more than `limit` members
    some are left out, but neither the account `own` nor, as long as there is room, admins."""
    here = (
        sa.select(participants.c.joined_at, accounts.c.name)
        .join_from(participants, accounts)
        .where(participants.c.conversation_id == groups.c.conversation_id)
    )
    # These read an index from its end, and only as many rows as they return.
    others = here.where(participants.c.account_id != own).order_by(
        participants.c.admin.desc(), participants.c.joined_at.desc()
    )
    elsewhere = (
        sa.select(remote_members.c.joined_at, remote_members.c.address.label("name"))
        .where(remote_members.c.conversation_id == groups.c.conversation_id)
        .order_by(remote_members.c.admin.desc(), remote_members.c.joined_at.desc())
    )
    parts = (here.where(participants.c.account_id == own), others, elsewhere)
    rows = connection.execute(
        sa.select(groups.c.key, *(_joined(part, limit) for part in parts)).where(
            groups.c.key.in_(keys)
        )
    )
    return {row[0]: _first(row[1:], limit) for row in rows}


def _joined(members: sa.Select[Any], limit: int) -> sa.ScalarSelect[str]:
    """The first `limit` members of a group in one text: `time name,time name`. Names have neither spaces nor
    commas."""
    first = members.limit(limit).correlate(groups).subquery()
    shown = sa.cast(first.c.joined_at, sa.Text) + " " + first.c.name
    return sa.select(sa.func.aggregate_strings(shown, ",")).scalar_subquery()


def _first(parts: Sequence[str | None], limit: int) -> list[str]:
    """The names in these texts: those of the first texts, if they are more than `limit`."""
    members: list[tuple[int, str]] = []
    for part in parts:
        for each in part.split(",") if part else ():
            time, _, name = each.partition(" ")
            members.append((int(time), name))
    return [name for _, name in sorted(members[:limit])]
