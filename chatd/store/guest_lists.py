"""Who of one realm is in the groups of another, as both of them know it. Queries for the Database.

The two are compared after one of the realms was restored from a backup (chatd.federation.guest_lists).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.base.names import key_of
from chatd.store.prepared import prepared
from chatd.store.schema import (
    accounts,
    changes,
    groups,
    join_requests,
    participants,
    remote_members,
    rescued_realms,
)

# Where a page of a list begins or ends: a group's id, and the key of an address. Lists are in this order.
Position = tuple[int, str]


class Guest(NamedTuple):
    """A member of a group of another realm: the group's id and name there, and the member's name here."""

    group_id: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    group: str
    user: str


class GuestPage(NamedTuple):
    """Guests in order, and the position up to which these are all; None: to the end."""

    guests: Sequence[Guest]
    upto: Position | None


def guests_here(
    connection: sa.Connection, realm: str, own: str, after: Position, limit: int
) -> GuestPage:
    """The first people of this realm, whose key is `own`, who are in groups of that realm."""
    rows = connection.execute(*_guests_here(realm, f"@{own}", *after, limit)).all()
    guests = [Guest(ident, name.partition("@")[0], user) for ident, name, user, _ in rows]
    return GuestPage(guests, (rows[-1][0], rows[-1][3]) if len(rows) == limit else None)


@prepared
def _guests_here(realm: Any, end: Any, group: Any, after: Any, limit: Any) -> sa.Select[Any]:
    key = accounts.c.key + end
    here = groups.c.realm == realm, groups.c.key.is_not(None)
    return (
        sa.select(groups.c.home_id, groups.c.name, accounts.c.name, key)
        .join(participants, participants.c.conversation_id == groups.c.conversation_id)
        .join(accounts, accounts.c.id == participants.c.account_id)
        .where(*here, _after(groups.c.home_id, key, (group, after)))
        .order_by(groups.c.home_id, key)
        .limit(limit)
    )


def _after(
    group: sa.ColumnElement[int], key: sa.ColumnElement[str], position: Position
) -> sa.ColumnElement[bool]:
    return sa.or_(group > position[0], sa.and_(group == position[0], key > position[1]))


def unknown_of(connection: sa.Connection, realm: str, guests: Sequence[Guest]) -> list[int]:
    """The places in the list of the guests who are not members of these groups of this realm. Left out are
    groups that do not exist here under that name and id, and groups that never had members of that realm."""
    return [
        place
        for place, guest in enumerate(guests)
        if not _is_known(connection, realm, guest) and _had_guests(connection, realm, guest)
    ]


def _is_known(connection: sa.Connection, realm: str, guest: Guest) -> bool:
    member = sa.select(remote_members.c.key).where(
        remote_members.c.conversation_id == guest.group_id,
        remote_members.c.key == key_of(f"{guest.user}@{realm}"),
    )
    return connection.scalar(member) is not None


def _had_guests(connection: sa.Connection, realm: str, guest: Guest) -> bool:
    """Whether the group of a guest has had members of that realm. One that was rescued here has none before
    the realm follows."""
    place = guest.group_id
    name = connection.scalar(
        sa.select(groups.c.name).where(groups.c.conversation_id == place, groups.c.realm.is_(None))
    )
    was = sa.select(changes.c.seq).where(
        changes.c.conversation_id == place,
        changes.c.kind == "member",
        changes.c.origin_realm == realm,
    )
    left = sa.select(rescued_realms.c.realm).filter_by(
        conversation_id=place, realm=realm, followed=False
    )
    return (
        name is not None
        and key_of(name) == key_of(guest.group)
        and connection.scalar(was.limit(1)) is not None
        and connection.scalar(left) is None
    )


def missing_from(
    connection: sa.Connection,
    realm: str,
    listed: Collection[Guest],
    between: tuple[Position, Position | None],
    limit: int,
) -> list[Guest]:
    """The first members of that realm in groups of this one who are not `listed`, which are all between two
    positions."""
    after, upto = between
    bound: Position = upto or (0, "")
    most = len(listed) + limit
    query = _members(realm, *after, *bound, most, bounded=upto is not None)
    known = {(each.group_id, key_of(f"{each.user}@{realm}")) for each in listed}
    found = [
        Guest(ident, name, address.partition("@")[0])
        for ident, name, address, key in connection.execute(*query)
        if (ident, key) not in known
    ]
    return found[:limit]


@prepared
def _members(
    realm: Any, group: Any, after: Any, last_group: Any, upto: Any, limit: Any, *, bounded: bool
) -> sa.Select[Any]:
    """The members of a realm after a position, and if it is `bounded`, up to another one."""
    table = remote_members
    place = table.c.conversation_id, table.c.key
    found = (
        sa.select(table.c.conversation_id, groups.c.name, table.c.address, table.c.key)
        .join(groups, groups.c.conversation_id == table.c.conversation_id)
        .where(table.c.realm == realm, _after(*place, (group, after)))
        .order_by(*place)
        .limit(limit)
    )
    return found.where(~_after(*place, (last_group, upto))) if bounded else found


def has_asked(connection: sa.Connection, account_id: int, realm: str) -> bool:
    """Whether an account waits for an answer to a join of a group of that realm."""
    asked: Any = sa.select(join_requests.c.key).where(
        join_requests.c.account_id == account_id, join_requests.c.realm == realm
    )
    return connection.scalar(asked.limit(1)) is not None
