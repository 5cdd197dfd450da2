"""The members of groups, and changes of them. Jobs and queries for the Database.

A change costs the same whatever the group's size: instead of a new Roster it returns a Delta, which the
holder of the group's Roster applies.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base import errors
from chatd.base.model import PAST_JOINED, Group, Party
from chatd.store import avatars, names
from chatd.store.access import first_seqs
from chatd.store.accounts import DELETED
from chatd.store.bans import banned_keys, lift_ban
from chatd.store.ended_groups import note_ended
from chatd.store.epochs import epoch_of
from chatd.store.groups import find_former, find_group, find_group_by_code, find_known
from chatd.store.roster import Delta, Roster
from chatd.store.schema import (
    accounts,
    bans,
    groups,
    participants,
    remote_members,
    rosters,
)
from chatd.store.shut_groups import open_again


class Bounds(msgspec.Struct, frozen=True):
    """Limits: the members of a group, its members from one other realm, and the groups that an account is
    in."""

    members: int
    realm_members: int
    account_groups: int


def find_named(
    connection: sa.Connection,
    key: str,
    viewer: Party | None = None,
    joining: bool = False,
    now: int = 0,
) -> Group | None:
    """The group of that name, else of that code, if the `viewer` knows it `now`; without a viewer, in any
    case. Else the group that had that name or code before it moved."""
    if viewer is None:
        found = find_group(connection, key) or find_group_by_code(connection, key)
    else:
        found = find_known(
            connection, key, viewer, now, by_code=False, joining=joining
        ) or find_known(connection, key, viewer, now, by_code=True, joining=joining)
    return found or find_former(connection, key, viewer)


def roster_of(connection: sa.Connection, group: Group) -> Roster:
    """Read all members. Only for a group whose roster is not in memory."""
    rows = connection.execute(
        sa.select(participants.c.account_id, participants.c.admin)
        .where(participants.c.conversation_id == group.id)
        .order_by(participants.c.joined_at, participants.c.account_id)
    )
    members = {row[0]: row[1] for row in rows}
    guests: dict[str, bool] = {}
    realms: dict[str, int] = {}
    for key, admin, realm in connection.execute(
        sa.select(remote_members.c.key, remote_members.c.admin, remote_members.c.realm)
        .where(remote_members.c.conversation_id == group.id)
        .order_by(remote_members.c.joined_at, remote_members.c.key)
    ):
        guests[key] = admin
        realms[realm] = realms.get(realm, 0) + 1
    banned, epoch = banned_keys(connection, group.id), epoch_of(connection, group.id)
    firsts = first_seqs(connection, group.id)
    return Roster(group, members, guests, realms, banned, epoch, firsts)


def member_ids(connection: sa.Connection, group: int) -> frozenset[int]:
    """The accounts of this realm that are members."""
    return frozenset(
        connection.scalars(
            sa.select(participants.c.account_id).where(participants.c.conversation_id == group)
        )
    )


def member_names(
    connection: sa.Connection, group: int, start: int, limit: int | None
) -> list[tuple[int | None, str, bool]]:
    """The `limit` members (or all) from `start` on, longest-standing first: account id, address as shown,
    whether an admin."""
    here = (
        sa.select(
            participants.c.account_id,
            accounts.c.name.label("name"),
            participants.c.admin,
            participants.c.joined_at.label("since"),
        )
        .join_from(participants, accounts)
        .where(participants.c.conversation_id == group)
    )
    elsewhere = sa.select(
        sa.null(), remote_members.c.address, remote_members.c.admin, remote_members.c.joined_at
    ).where(remote_members.c.conversation_id == group)
    both = sa.union_all(here, elsewhere).subquery()
    rows = connection.execute(
        sa.select(both).order_by(both.c.since, both.c.name).offset(start).limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in rows]


_GROUP: sa.BindParameter[int] = sa.bindparam("group")
_KEY: sa.BindParameter[str] = sa.bindparam("key")
_ACCOUNT: sa.BindParameter[int] = sa.bindparam("account")
_REALM: sa.BindParameter[str] = sa.bindparam("realm")
_MOST: sa.BindParameter[int] = sa.bindparam("most")


def _up_to(most: Any, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    """The number of rows, counted up to `most`."""
    rows = sa.select(sa.literal(1)).where(*conditions).limit(most).correlate(None).subquery()
    return sa.select(sa.func.count()).select_from(rows).scalar_subquery()


def _joining(
    there: sa.Exists, used: sa.ScalarSelect[int], *conditions: sa.ColumnElement[bool]
) -> sa.Select[Any]:
    """Everything that decides about a join, in one statement. It is built once, because building it takes
    longer than running it."""
    banned = sa.exists().where(bans.c.conversation_id == _GROUP, bans.c.key == _KEY)
    return (
        sa.select(rosters.c.members, rosters.c.joined_at, groups.c.past, there, banned, used)
        .join(groups, groups.c.conversation_id == rosters.c.conversation_id)
        .where(rosters.c.conversation_id == _GROUP, groups.c.key.is_not(None), *conditions)
    )


_GROUPS_OF = _up_to(_MOST, participants.c.account_id == _ACCOUNT, participants.c.peer_key.is_(None))
# A command of an account that is deleted meanwhile must not leave it in a group.
_IS_ACCOUNT = sa.exists().where(accounts.c.id == _ACCOUNT, ~accounts.c.key.startswith(DELETED))
_JOINING_HERE = _joining(
    sa.exists().where(
        participants.c.conversation_id == _GROUP, participants.c.account_id == _ACCOUNT
    ),
    _GROUPS_OF,
    _IS_ACCOUNT,
)
_JOINING_ELSEWHERE = _joining(
    sa.exists().where(remote_members.c.conversation_id == _GROUP, remote_members.c.key == _KEY),
    _up_to(_MOST, remote_members.c.conversation_id == _GROUP, remote_members.c.realm == _REALM),
)
_GROW = (
    sa.update(rosters)
    .where(rosters.c.conversation_id == sa.bindparam("of"))
    .values(members=rosters.c.members + 1)
)
_COUNT_GROUPS = sa.select(_GROUPS_OF).where(_IS_ACCOUNT)
# The realms of a group's guests: one lookup in the index for each, whatever the number of guests.
_FIRST_REALM = sa.select(sa.func.min(remote_members.c.realm).label("realm")).where(
    remote_members.c.conversation_id == _GROUP
)
_REALMS = _FIRST_REALM.cte("found", recursive=True)
_NEXT_REALM = sa.select(sa.func.min(remote_members.c.realm)).where(
    remote_members.c.conversation_id == _GROUP, remote_members.c.realm > _REALMS.c.realm
)
_REALMS = _REALMS.union_all(
    sa.select(_NEXT_REALM.scalar_subquery()).where(_REALMS.c.realm.is_not(None))
)
_ALL_REALMS = sa.select(_REALMS.c.realm).where(_REALMS.c.realm.is_not(None))


def realms_of(connection: sa.Connection, group: int) -> tuple[str, ...]:
    """The keys of the other realms with members of a group, in alphabetical order."""
    return tuple(connection.scalars(_ALL_REALMS, {"group": group}))


def check_groups(connection: sa.Connection, account_id: int, name: str, limit: int) -> None:
    """Raises TooManyGroups if the account is in `limit` groups, UnknownUser if it was deleted."""
    used = connection.scalar(_COUNT_GROUPS, {"account": account_id, "most": limit})
    if used is None:
        raise errors.UnknownUser(name=name)
    if used >= limit:
        raise errors.TooManyGroups(name=name, limit=limit)


def join_group(
    connection: sa.Connection,
    group: Group,
    party: Party,
    now: int,
    bounds: Bounds,
    newest: int,
    invited: bool,
) -> Delta:
    """Make `party` a member, with nothing unread after `newest`, the last entry of the log, and the one that
    reports this join. An invitation by an admin lifts a ban.

    Raises AlreadyMember, UnknownGroup, Banned, GroupFull, RealmFull, TooManyGroups.
    """
    asked: dict[str, Any] = {"group": group.id, "key": party.key}
    if party.id is None:
        query, most = _JOINING_ELSEWHERE, bounds.realm_members
        asked["realm"] = party.realm
    else:
        query, most = _JOINING_HERE, bounds.account_groups
        asked["account"] = party.id
    found = connection.execute(query, {**asked, "most": most}).first()
    if found is None:
        # The group has ended meanwhile, or the account was deleted.
        raise errors.UnknownGroup(name=group.name)
    members, joined_at, past, is_member, is_banned, used = found
    if is_member:
        raise errors.AlreadyMember(name=party.name, group=group.name)
    if is_banned and not invited:
        raise errors.Banned(group=group.name)
    if members >= bounds.members or used >= most:
        raise _no_room(group, party, members, bounds, most)
    if is_banned:
        lift_ban(connection, group, party)
    since = max(now, joined_at + 1)  # keeps the order of joins in the same millisecond
    seq = newest + 1
    first = seq if past == PAST_JOINED else 0
    _add(connection, group, party, since, (seq, first))
    unbanned = (party.key,) if is_banned else ()
    return Delta(group.id, ((party, False),), unbanned=unbanned, first=first)


def check_not_member(connection: sa.Connection, group: Group, party: Party) -> None:
    """Raises AlreadyMember if `party` is a member."""
    table, is_party = row_of(group, party)
    if connection.scalar(sa.select(table.c.joined_at).where(is_party)) is not None:
        raise errors.AlreadyMember(name=party.name, group=group.name)


def member_since(connection: sa.Connection, group: Group, party: Party) -> int:
    """When a member has joined, in ms since 1970 UTC."""
    table, is_party = row_of(group, party)
    return connection.scalar(sa.select(table.c.joined_at).where(is_party)) or 0


def set_since(connection: sa.Connection, group: Group, party: Party, since: int) -> None:
    """Note that a member had joined at that time: a restored realm has lost it."""
    table, is_party = row_of(group, party)
    connection.execute(sa.update(table).where(is_party).values(joined_at=since))


def first_seq(connection: sa.Connection, group: Group, party: Party) -> int:
    """The first entry that a member sees."""
    table, is_party = row_of(group, party)
    return connection.scalar(sa.select(table.c.first_seq).where(is_party)) or 0


def _no_room(
    group: Group, party: Party, members: int, bounds: Bounds, most: int
) -> errors.ChatError:
    if members >= bounds.members:
        return errors.GroupFull(group=group.name, limit=bounds.members)
    if party.id is None:
        return errors.RealmFull(group=group.name, limit=most, realm=party.realm)
    return errors.TooManyGroups(name=party.name, limit=most)


def _add(
    connection: sa.Connection, group: Group, party: Party, since: int, seqs: tuple[int, int]
) -> None:
    """Add a member since that time, with the seqs of their read mark and of the first entry they see."""
    seq, first = seqs
    row: dict[str, Any] = {"conversation_id": group.id, "joined_at": since, "first_seq": first}
    if party.id is None:
        row |= {"key": party.key, "address": party.name, "realm": party.realm}
        connection.execute(sa.insert(remote_members), row)
    else:
        row |= {"account_id": party.id, "read_seq": seq}
        connection.execute(sa.insert(participants), row)
    connection.execute(_GROW, {"of": group.id, "joined_at": since})


def row_of(group: Group, party: Party) -> tuple[sa.Table, Any]:
    """The table that has a member's row, and the condition that selects it."""
    if party.id is None:
        here = remote_members.c.conversation_id == group.id
        return remote_members, here & (remote_members.c.key == party.key)
    here = participants.c.conversation_id == group.id
    return participants, here & (participants.c.account_id == party.id)


def leave_group(connection: sa.Connection, group: Group, party: Party) -> Delta:
    """Remove a member, if they are one. The last admin's role passes to the longest-standing member; with the
    last member the group ends, and its name and code are free again."""
    table, is_party = row_of(group, party)
    if not connection.execute(sa.delete(table).where(is_party)).rowcount:
        return Delta(group.id)
    return _settle(connection, group, ((party, None),))


def realm_leaves(connection: sa.Connection, group: Group, realm: str) -> Delta:
    """Remove all members of a realm that does not know them."""
    is_theirs = (remote_members.c.conversation_id == group.id) & (remote_members.c.realm == realm)
    gone = connection.execute(
        sa.select(remote_members.c.key, remote_members.c.address).where(is_theirs)
    ).all()
    if not gone:
        return Delta(group.id)
    connection.execute(sa.delete(remote_members).where(is_theirs))
    roles = tuple((Party(key, address, realm=realm), None) for key, address in gone)
    return _settle(connection, group, roles)


def _settle(
    connection: sa.Connection, group: Group, roles: tuple[tuple[Party, bool | None], ...]
) -> Delta:
    """Pass on the admin's role, or end the group, after these members have gone."""
    sized = rosters.c.conversation_id == group.id
    connection.execute(
        sa.update(rosters).where(sized).values(members=rosters.c.members - len(roles))
    )
    if _longest_standing(connection, group, admin=True) is not None:
        return Delta(group.id, roles)
    heir = _longest_standing(connection, group, admin=False)
    if heir is None:
        return end_group(connection, group, roles)
    return Delta(group.id, roles + set_admin(connection, group, heir).roles)


def end_group(
    connection: sa.Connection, group: Group, roles: tuple[tuple[Party, bool | None], ...]
) -> Delta:
    """End a group whose last members, those of `roles`, have gone."""
    names.free(connection, group.key, "group")
    connection.execute(
        sa.update(groups).where(groups.c.conversation_id == group.id).values(key=None, code=None)
    )
    note_ended(connection, group.id)
    open_again(connection, group.id)
    avatars.forget(connection, avatars.place_of_group(group.key))
    return Delta(group.id, roles, ended=True)


def _longest_standing(connection: sa.Connection, group: Group, admin: bool) -> Party | None:
    """The member, among the admins or the others, who joined first."""
    here = connection.execute(
        sa.select(participants.c.joined_at, accounts.c.key, accounts.c.name, accounts.c.id)
        .join_from(participants, accounts)
        .where(participants.c.conversation_id == group.id, participants.c.admin.is_(admin))
        .order_by(participants.c.joined_at)
        .limit(1)
    ).first()
    there = connection.execute(
        sa.select(
            remote_members.c.joined_at,
            remote_members.c.key,
            remote_members.c.address,
            remote_members.c.realm,
        )
        .where(remote_members.c.conversation_id == group.id, remote_members.c.admin.is_(admin))
        .order_by(remote_members.c.joined_at)
        .limit(1)
    ).first()
    if here is not None and (there is None or here[0] <= there[0]):
        return Party(here[1], here[2], here[3])
    return None if there is None else Party(there[1], there[2], realm=there[3])


def set_admin(connection: sa.Connection, group: Group, party: Party, admin: bool = True) -> Delta:
    table, is_party = row_of(group, party)
    changed = connection.execute(
        sa.update(table).where(is_party, table.c.admin.is_not(admin)).values(admin=admin)
    )
    return Delta(group.id, ((party, admin),) if changed.rowcount else ())


def has_other_admin(connection: sa.Connection, group: Group, party: Party) -> bool:
    """Whether a group has an admin besides `party`."""
    for table in (participants, remote_members):
        of_party, is_party = row_of(group, party)
        others = [table.c.conversation_id == group.id, table.c.admin.is_(True)]
        if table is of_party:
            others.append(~is_party)
        if connection.scalar(sa.select(table.c.joined_at).where(*others).limit(1)) is not None:
            return True
    return False
