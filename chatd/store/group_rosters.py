"""Signed rosters: those of groups here, and those that other realms have signed. Jobs and queries for the
Database.

chatd.federation.group_rosters makes and checks them. Here, statements, proofs and rows are only bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.base.model import Group
from chatd.store.conversations import last_seq
from chatd.store.epochs import epoch_of
from chatd.store.groups import find_mirror, group_of
from chatd.store.schema import (
    accounts,
    bans,
    groups,
    heads,
    home_rosters,
    mirror_rosters,
    participants,
    remote_members,
)

MAX_KEPT = 64 << 20  # bytes of the rosters of one other realm


class RosterMember(NamedTuple):
    """A member of a group, or a banned person (`admin` is None). `address` has no realm if it is this one."""

    address: str
    admin: bool | None
    since: int
    first: int


class RosterBase(msgspec.Struct, frozen=True):
    """What a roster of a group of this realm is made of. `epoch` and `seq` are those of its log."""

    group: Group
    epoch: int
    seq: int
    members: tuple[RosterMember, ...]


class StoredRoster(msgspec.Struct, frozen=True):
    """A signed roster. Without `rows`, they have not come yet."""

    number: int
    statement: bytes
    proof: bytes
    rows: bytes | None


def roster_base(connection: sa.Connection, conversation: int) -> RosterBase | None:
    """What the roster of a group is made of, or None if it has ended or lives elsewhere."""
    group = group_of(connection, conversation)
    if group is None or not group.key or group.realm is not None:
        return None
    seq = last_seq(connection, conversation)
    return RosterBase(group, epoch_of(connection, conversation), seq, _members(connection, group))


def _members(connection: sa.Connection, group: Group) -> tuple[RosterMember, ...]:
    one, two, three = participants.c, remote_members.c, bans.c
    here = sa.select(accounts.c.name, one.admin, one.joined_at, one.first_seq).join_from(
        participants, accounts
    )
    queries = (
        here.where(one.conversation_id == group.id),
        sa.select(two.address, two.admin, two.joined_at, two.first_seq).where(
            two.conversation_id == group.id
        ),
        sa.select(three.address, sa.null(), three.at, sa.literal(0)).where(
            three.conversation_id == group.id
        ),
    )
    return tuple(RosterMember(*row) for query in queries for row in connection.execute(query))


def keep_own(connection: sa.Connection, base: RosterBase, signed: StoredRoster, now: int) -> None:
    """Store the roster of a group of this realm, in place of the one before."""
    place = base.group.id
    connection.execute(sa.delete(home_rosters).filter_by(conversation_id=place))
    values = msgspec.structs.asdict(signed)
    connection.execute(
        sa.insert(home_rosters).values(conversation_id=place, epoch=base.epoch, at=now, **values)
    )


def made_at(connection: sa.Connection, conversation: int) -> int | None:
    """When the newest roster of a group of this realm was made (ms since 1970 UTC); None if there is none."""
    return connection.scalar(sa.select(home_rosters.c.at).filter_by(conversation_id=conversation))


def own_roster(connection: sa.Connection, realm: str, conversation: int) -> StoredRoster | None:
    """The roster of a group of this realm, for a realm with members; otherwise None."""
    asks = sa.exists().where(
        remote_members.c.conversation_id == conversation, remote_members.c.realm == realm
    )
    columns = (home_rosters.c[name] for name in StoredRoster.__struct_fields__)
    row = connection.execute(
        sa.select(*columns).where(home_rosters.c.conversation_id == conversation, asks)
    ).first()
    return None if row is None else StoredRoster(*row)


def newest_own(connection: sa.Connection, conversation: int) -> StoredRoster | None:
    """The newest roster of a group of this realm."""
    columns = (home_rosters.c[name] for name in StoredRoster.__struct_fields__)
    row = connection.execute(
        sa.select(*columns).where(home_rosters.c.conversation_id == conversation)
    ).first()
    return None if row is None else StoredRoster(*row)


def realms_with_members(connection: sa.Connection, conversation: int) -> list[str]:
    """The keys of the other realms with members of a group here."""
    return list(
        connection.scalars(
            sa.select(remote_members.c.realm)
            .where(remote_members.c.conversation_id == conversation)
            .distinct()
        )
    )


class SharedRoster(NamedTuple):
    """A group here with members of another realm: the number of its newest roster (None: there is none), and
    whether the group has changed since."""

    group: int
    number: int | None
    is_stale: bool


def shared_rosters(
    connection: sa.Connection, realm: str, after: int, limit: int
) -> list[SharedRoster]:
    """The first groups here, with ids above `after`, that have members of a realm."""
    here = groups.c.conversation_id
    shared = sa.exists().where(
        remote_members.c.conversation_id == here, remote_members.c.realm == realm
    )
    rows = connection.execute(
        sa.select(here, home_rosters.c.number, home_rosters.c.epoch, heads.c.epoch.label("now"))
        .outerjoin_from(groups, home_rosters, home_rosters.c.conversation_id == here)
        .outerjoin(heads, heads.c.conversation_id == here)
        .where(here > after, groups.c.realm.is_(None), groups.c.key.is_not(None), shared)
        .order_by(here)
        .limit(limit)
    )
    return [SharedRoster(row[0], row.number, row.epoch != (row.now or 0)) for row in rows]


# Rosters of groups elsewhere


def lacking_rosters(
    connection: sa.Connection, realm: str, numbers: dict[int, int]
) -> dict[int, int]:
    """Those of the rosters of a realm, by its ids of groups, that this one has not completely: of groups with
    members here."""
    known = mirror_rosters.c
    same = (known.conversation_id == groups.c.conversation_id) & (known.realm == groups.c.realm)
    rows = connection.execute(
        sa.select(groups.c.home_id, known.number, known.rows.is_(None).label("lacks"))
        .outerjoin_from(groups, mirror_rosters, same)
        .where(
            groups.c.realm == realm,
            groups.c.home_id.in_(numbers),
            groups.c.key.is_not(None),
            sa.exists().where(participants.c.conversation_id == groups.c.conversation_id),
        )
    )
    return {
        row.home_id: numbers[row.home_id]
        for row in rows
        if row.number is None
        or row.number < numbers[row.home_id]
        or (row.lacks and row.number == numbers[row.home_id])
    }


def keep_theirs(connection: sa.Connection, realm: str, home_id: int, signed: StoredRoster) -> bool:
    """As `keep_roster`, for the group elsewhere with that id in its home."""
    group = find_mirror(connection, realm, home_id)
    return group is not None and keep_roster(connection, group.id, realm, signed)


def keep_roster(
    connection: sa.Connection, conversation: int, realm: str, signed: StoredRoster
) -> bool:
    """Store the roster of a group that was signed by its home, the realm with that key, unless a later one of
    that home is here, or the rosters of that realm are too many. Returns whether it was stored."""
    known = roster_of_mirror(connection, conversation, realm)
    if known is not None and (known.number, known.rows is not None) >= (
        signed.number,
        signed.rows is not None,
    ):
        return False
    if signed.rows is not None:
        size = _size_of_others(connection, realm, conversation) + len(signed.rows)
        if size > MAX_KEPT:
            return False
    place = {"conversation_id": conversation, "realm": realm}
    connection.execute(sa.delete(mirror_rosters).filter_by(**place))
    values = msgspec.structs.asdict(signed)
    connection.execute(sa.insert(mirror_rosters).values(**place, **values))
    return True


def _size_of_others(connection: sa.Connection, realm: str, conversation: int) -> int:
    """The bytes of a realm's rosters of other groups."""
    used = connection.scalar(
        sa.select(sa.func.sum(sa.func.length(mirror_rosters.c.rows))).where(
            mirror_rosters.c.realm == realm, mirror_rosters.c.conversation_id != conversation
        )
    )
    return used or 0


def roster_of_mirror(
    connection: sa.Connection, conversation: int, home: str
) -> StoredRoster | None:
    """The newest roster of a group that the realm with the key `home` has signed, its home or a former
    one."""
    columns = (mirror_rosters.c[name] for name in StoredRoster.__struct_fields__)
    row = connection.execute(
        sa.select(*columns).filter_by(conversation_id=conversation, realm=home)
    ).first()
    return None if row is None else StoredRoster(*row)
