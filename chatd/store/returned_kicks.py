"""Kicks that another realm has returned after a restore, until they have their effect. Jobs and queries.

They are stored with the entries that report them, so that a crash loses none of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.model import Party
from chatd.store.prepared import prepared
from chatd.store.schema import returned_kicks

MAX_KICKS = 10_000  # of one realm


class ReturnedKick(msgspec.Struct, frozen=True):
    """`by` (an address) has kicked `who` from a group, at that time. `back`: they have written since."""

    group: int
    who: Party
    by: str
    at: int
    back: bool


def note_kick(
    connection: sa.Connection, realm: str, group: int, who: Party, by: str, at: int
) -> None:
    """Note that `who` was kicked, as `realm` returns. Beyond MAX_KICKS it is not noted."""
    connection.execute(sa.delete(returned_kicks).where(*_of(realm, group, who.key)))
    count = connection.scalar(sa.select(sa.func.count()).where(returned_kicks.c.realm == realm))
    if (count or 0) >= MAX_KICKS:
        return
    connection.execute(
        sa.insert(returned_kicks).values(
            realm=realm,
            conversation_id=group,
            key=who.key,
            address=who.name,
            member_realm=who.realm,
            by=by,
            at=at,
            back=False,
        )
    )


def set_back(connection: sa.Connection, realm: str, group: int, key: str, back: bool) -> None:
    """Note whether somebody who was kicked has written after that, in the order of what `realm` returns."""
    connection.execute(sa.update(returned_kicks).where(*_of(realm, group, key)).values(back=back))


@prepared
def _of_realm(realm: Any) -> sa.Select[Any]:
    return sa.select(returned_kicks).where(returned_kicks.c.realm == realm)


def kicks_of(connection: sa.Connection, realm: str) -> Sequence[ReturnedKick]:
    rows = connection.execute(*_of_realm(realm))
    return [
        ReturnedKick(
            row.conversation_id,
            Party(row.key, row.address, realm=row.member_realm),
            row.by,
            row.at,
            row.back,
        )
        for row in rows
    ]


def remove_kick(connection: sa.Connection, realm: str, group: int, key: str) -> None:
    connection.execute(sa.delete(returned_kicks).where(*_of(realm, group, key)))


def forget(connection: sa.Connection, realms: Collection[str]) -> None:
    """Forget what these realms have returned."""
    connection.execute(sa.delete(returned_kicks).where(returned_kicks.c.realm.in_(realms)))


def _of(realm: str, group: int, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    columns = returned_kicks.c
    return columns.realm == realm, columns.conversation_id == group, columns.key == key
