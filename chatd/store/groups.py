"""Groups by name, code and home, and their attributes. Jobs and queries for the Database.

They are the groups of this realm, and those of other realms that have members here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, func, insert, select, true, update

from chatd.base.errors import GroupExists
from chatd.base.group_settings import SHUT, Columns
from chatd.base.model import (
    PAST_ALL,
    PAST_JOINED,
    PRIVATE,
    PUBLIC,
    FormerHome,
    Group,
    NewGroup,
    Party,
)
from chatd.base.names import key_of
from chatd.base.replies import GroupInfo
from chatd.store import names
from chatd.store.access import is_known
from chatd.store.conversations import add_conversation
from chatd.store.invitations import LIFE
from chatd.store.jobs import CodeTaken
from chatd.store.lineage import find_moved, former_of, place_of_home
from chatd.store.prepared import prepared
from chatd.store.roster import Delta
from chatd.store.schema import groups, participants, rosters, shut_groups
from chatd.store.shut_groups import Shutting, open_again, put_shutting, shutting_of

_SHUT = (
    select(shut_groups.c.reason)
    .where(shut_groups.c.conversation_id == groups.c.conversation_id)
    .scalar_subquery()
    .label(SHUT)
)
_GROUP = (
    groups.c.conversation_id,
    groups.c.name,
    groups.c.key,
    groups.c.code,
    groups.c.closed,
    groups.c.realm,
    groups.c.home_id,
    groups.c.title,
    groups.c.topic,
    groups.c.private,
    groups.c.past,
    _SHUT,
    groups.c.moves,
)


def add_group(connection: Connection, new: NewGroup, code: str, creator: int, now: int) -> Group:
    """Make a group with its creator as admin. `new` has a name. A private one is closed, and stays that if it
    becomes public. Raises GroupExists, CodeTaken."""
    name = new.name or ""
    if find_group_by_code(connection, code):
        raise CodeTaken
    if why := names.taken(connection, name):
        raise GroupExists(name=name, is_=why)
    names.take(connection, name, "group")
    conversation = add_conversation(connection, "group", now)
    fields: dict[str, Any] = {
        "name": name,
        "key": key_of(name),
        "code": code,
        "closed": new.private,
        "title": None if new.title == name else new.title,
        "private": new.private,
        "past": PAST_JOINED if new.private else PAST_ALL,
    }
    connection.execute(insert(groups).values(conversation_id=conversation, **fields))
    connection.execute(
        insert(participants).values(
            account_id=creator,
            conversation_id=conversation,
            admin=True,
            joined_at=now,
            read_seq=1,  # the entry that reports this
        )
    )
    connection.execute(
        insert(rosters).values(conversation_id=conversation, members=1, joined_at=now)
    )
    return Group(conversation, **fields)


def _group(connection: Connection, row: Sequence[Any] | None) -> Group | None:
    if row is None:
        return None
    conversation, name, key, code, *others, moves = row
    former = former_of(connection, conversation) if moves else ()
    group = Group(conversation, name, key or "", code or "", *others)
    return msgspec.structs.replace(group, former=former) if former else group


def find_group(connection: Connection, key: str) -> Group | None:
    """The group with that name. Former names do not count."""
    return _group(connection, connection.execute(*_by_name(key, by_code=False)).first())


def group_of(connection: Connection, conversation: int) -> Group | None:
    """The group with that conversation, even if it has ended."""
    query = select(*_GROUP).where(groups.c.conversation_id == conversation)
    return _group(connection, connection.execute(query).first())


def group_at(connection: Connection, realm: str, home_id: int, own: str) -> Group | None:
    """The group that lives, or has lived, in the realm with that key, and has or had that id there, even if
    it has ended. `own` is the key of this realm."""
    place = place_of_home(connection, realm, home_id)
    if place is None and realm == own:
        place = home_id
    return None if place is None else group_of(connection, place)


def homes_of(group: Group, own: str) -> tuple[FormerHome, ...]:
    """The homes that a group has had, the present one first. `own` is the key of this realm."""
    ident = group.home_id or group.id
    name = group.key.partition("@")[0]
    return FormerHome(group.realm or own, ident, name), *group.former


def find_group_by_code(connection: Connection, code: str) -> Group | None:
    return _group(connection, connection.execute(*_by_name(code, by_code=True)).first())


def find_known(
    connection: Connection, name: str, viewer: Party, now: int, *, by_code: bool, joining: bool
) -> Group | None:
    """The group with that key, or with that code, if the viewer knows it `now`."""
    shape = {"by_code": by_code, "joining": joining, "is_here": viewer.id is not None}
    found = connection.execute(*_known(name, viewer.id, viewer.key, now - LIFE, **shape))
    return _group(connection, found.first())


def find_former(connection: Connection, name: str, viewer: Party | None) -> Group | None:
    """The group that had that address, or in this realm that code, before it moved, if the viewer knows it.
    See `find_moved`."""
    found = find_moved(connection, name, viewer)
    return group_of(connection, found[0]) if found else None


@prepared
def _by_name(name: Any, *, by_code: bool) -> Select[Any]:
    return select(*_GROUP).where((groups.c.code if by_code else groups.c.key) == name)


@prepared
def _known(
    name: Any, ident: Any, key: Any, since: Any, *, by_code: bool, joining: bool, is_here: bool
) -> Select[Any]:
    viewer = Party(key, "", ident if is_here else None)
    column = groups.c.code if by_code else groups.c.key
    return select(*_GROUP).where(column == name, is_known(viewer, since, joining, by_code))


def find_mirror(connection: Connection, realm: str, home_id: int) -> Group | None:
    """The mirror of a group of another realm, even if the group has ended."""
    row = connection.execute(
        select(*_GROUP).where(groups.c.realm == realm, groups.c.home_id == home_id)
    ).first()
    return _group(connection, row)


# What a list shows of a group
INFO = (
    groups.c.name.label("group"),
    groups.c.code.label("group_code"),
    groups.c.closed,
    groups.c.title,
    groups.c.private,
    rosters.c.members,
    _SHUT,
)


def info_of(row: Row[Any], role: bool | None) -> GroupInfo:
    """A group in a list, from a row with the columns INFO. `role` is that of the user who asks: whether they
    are an admin, or None for non-members, who do not see the code."""
    return GroupInfo(
        row.group,
        "" if role is None else row.group_code or "",
        row.members,
        row.closed or row.private,
        member=role is not None,
        admin=bool(role),
        title=row.title,
        visibility=PRIVATE if row.private else PUBLIC,
        shut=row.shut,
    )


def list_groups(
    connection: Connection, account_id: int, mine: bool, limit: int
) -> tuple[list[GroupInfo], int]:
    """The first `limit` groups by name, and the number of the others. They are all groups of this realm, or
    the account's own, wherever they live. Private groups and codes are for members only."""
    total: int = connection.execute(*_count(account_id, mine=mine)).scalar_one()
    rows = connection.execute(*_first(account_id, limit, mine=mine))
    found = [info_of(row, row.admin) for row in rows]
    return found, total - len(found)


def _listed(account_id: Any, mine: bool) -> Select[Any]:
    me = participants.alias("me")
    is_shown = me.c.account_id.is_not(None) | groups.c.private.is_(False)
    is_listed = groups.c.key.is_not(None) & groups.c.realm.is_(None) & is_shown
    return (
        select(*INFO, me.c.admin)
        .select_from(groups)
        .join(rosters, rosters.c.conversation_id == groups.c.conversation_id)
        .join(
            me,
            (me.c.conversation_id == groups.c.conversation_id) & (me.c.account_id == account_id),
            isouter=not mine,
        )
        .where(true() if mine else is_listed)
        .order_by(groups.c.key)
    )


@prepared
def _count(account_id: Any, *, mine: bool) -> Select[Any]:
    return select(func.count()).select_from(_listed(account_id, mine).order_by(None).subquery())


@prepared
def _first(account_id: Any, limit: Any, *, mine: bool) -> Select[Any]:
    return _listed(account_id, mine).limit(limit)


def set_columns(
    connection: Connection, group: Group, columns: Columns, at: int | None = None
) -> Delta:
    """Set attributes of a group, as they are since the time `at`. The Delta has those that were different."""
    wanted = dict(columns)
    shut = _set_shut(connection, group, wanted.pop(SHUT), at) if SHUT in wanted else {}
    if not wanted:
        return Delta(group.id, fields=shut)
    here, names = groups.c.conversation_id == group.id, list(wanted)
    row = connection.execute(select(*(groups.c[name] for name in names)).where(here)).one()
    changed = {
        name: wanted[name] for name, value in zip(names, row, strict=True) if value != wanted[name]
    }
    if changed:
        connection.execute(update(groups).where(here).values(changed))
    return Delta(group.id, fields={**changed, **shut})


def _set_shut(
    connection: Connection, group: Group, reason: str | bool | None, at: int | None
) -> dict[str, Any]:
    """Close a group for that reason, or open it. Returns what was different. Who has closed it stays known if
    it is closed for that reason already."""
    before = shutting_of(connection, group.id)
    if (None if before is None else before.reason) == reason:
        return {}
    if not isinstance(reason, str):
        return open_again(connection, group.id).fields
    return put_shutting(connection, group.id, Shutting(reason, at)).fields


def set_code(connection: Connection, group: Group, code: str) -> Delta:
    """Give a group another code. Raises CodeTaken."""
    if find_group_by_code(connection, code) is not None:
        raise CodeTaken
    here = (groups.c.conversation_id == group.id) & groups.c.key.is_not(None)
    changed = connection.execute(update(groups).where(here).values(code=code))
    return Delta(group.id, fields={"code": code} if changed.rowcount else {})
