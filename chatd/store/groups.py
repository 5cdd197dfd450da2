"""Groups: those of this realm, with members of whatever realm, and what is known here of groups that live
elsewhere. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, null, select, true, union_all, update
from sqlalchemy.exc import IntegrityError

from chatd.errors import AlreadyMember, GroupExists, UnknownGroup
from chatd.model import Group, GroupInfo, Party
from chatd.names import Address, key_of
from chatd.store.conversations import add_conversation, last_seq
from chatd.store.database import CodeTaken
from chatd.store.schema import accounts, groups, participants, remote_members, settings

_SEEN = "who is in groups, "  # in a setting's name, before the realm and the group
_GROUP = (
    groups.c.conversation_id,
    groups.c.name,
    groups.c.key,
    groups.c.code,
    groups.c.closed,
    groups.c.realm,
    groups.c.home_id,
)


class Roster(msgspec.Struct, frozen=True):
    """A group and its members, each with whether an admin: `members` by account id, longest-standing
    first; `guests`, who are of other realms, by the key of their address. `realms` are the keys of their
    realms."""

    group: Group
    members: dict[int, bool]
    guests: dict[str, bool] = {}
    realms: tuple[str, ...] = ()

    def role(self, party: Party) -> bool | None:
        """Whether `party` is an admin; None if not even a member."""
        return self.members.get(party.id) if party.id is not None else self.guests.get(party.key)


def add_group(
    connection: Connection, name: str, key: str, code: str, creator: int, now: int
) -> Group:
    """Make a group with its creator as admin. Raises GroupExists, CodeTaken.

    Nobody can take another group's code for a name, and so receive those who join by it.
    """
    if find_group(connection, key) or find_group_by_code(connection, key):
        raise GroupExists(name=name)
    if find_group(connection, code) or find_group_by_code(connection, code):
        raise CodeTaken
    conversation = add_conversation(connection, "group", now)
    connection.execute(
        insert(groups).values(conversation_id=conversation, name=name, key=key, code=code)
    )
    connection.execute(
        insert(participants).values(
            account_id=creator, conversation_id=conversation, admin=True, joined_at=now
        )
    )
    return Group(conversation, name, key, code, closed=False)


def _group(row: Sequence[Any] | None) -> Group | None:
    if row is None:
        return None
    conversation, name, key, code, closed, realm, home_id = row
    return Group(conversation, name, key or "", code or "", closed, realm, home_id)


def find_group(connection: Connection, key: str) -> Group | None:
    return _group(connection.execute(select(*_GROUP).where(groups.c.key == key)).first())


def find_group_by_code(connection: Connection, code: str) -> Group | None:
    return _group(connection.execute(select(*_GROUP).where(groups.c.code == code)).first())


def find_roster(connection: Connection, key: str) -> Roster | None:
    """The group of that name, or else of that code, and its members."""
    group = find_group(connection, key) or find_group_by_code(connection, key)
    return None if group is None else roster_of(connection, group)


def roster_of(connection: Connection, group: Group) -> Roster:
    rows = connection.execute(
        select(participants.c.account_id, participants.c.admin)
        .where(participants.c.conversation_id == group.id)
        .order_by(participants.c.joined_at, participants.c.account_id)
    )
    members = {row[0]: row[1] for row in rows}
    guests = connection.execute(
        select(remote_members.c.key, remote_members.c.admin, remote_members.c.realm)
        .where(remote_members.c.conversation_id == group.id)
        .order_by(remote_members.c.joined_at, remote_members.c.key)
    ).all()
    realms = tuple(sorted({row[2] for row in guests}))
    return Roster(group, members, {row[0]: row[1] for row in guests}, realms)


def member_names(connection: Connection, group: int) -> list[tuple[int | None, str, bool]]:
    """The members, longest-standing first: account id, address as shown, whether an admin."""
    here = (
        select(
            participants.c.account_id,
            accounts.c.name.label("name"),
            participants.c.admin,
            participants.c.joined_at.label("since"),
        )
        .join_from(participants, accounts)
        .where(participants.c.conversation_id == group)
    )
    elsewhere = select(
        null(), remote_members.c.address, remote_members.c.admin, remote_members.c.joined_at
    ).where(remote_members.c.conversation_id == group)
    both = union_all(here, elsewhere).subquery()
    rows = connection.execute(select(both).order_by(both.c.since, both.c.name))
    return [(row[0], row[1], row[2]) for row in rows]


def join_group(connection: Connection, group: Group, party: Party, now: int) -> int:
    """Make `party` a member who has nothing unread yet: after which seq their messages begin.

    Raises AlreadyMember, UnknownGroup.
    """
    alive = find_group(connection, group.key)
    if alive is None or alive.id != group.id:
        raise UnknownGroup(name=group.name)  # it has ended meanwhile
    newest = max(
        connection.scalar(
            select(func.max(table.c.joined_at)).where(table.c.conversation_id == group.id)
        )
        or 0
        for table in (participants, remote_members)
    )
    since = max(now, newest + 1)  # the order holds within a moment, too
    seq = last_seq(connection, group.id)
    if party.id is None:
        joining = insert(remote_members).values(
            conversation_id=group.id,
            key=party.key,
            address=party.name,
            realm=party.realm,
            joined_at=since,
        )
    else:
        joining = insert(participants).values(
            account_id=party.id, conversation_id=group.id, read_seq=seq, joined_at=since
        )
    try:
        connection.execute(joining)
    except IntegrityError:
        raise AlreadyMember(name=party.name, group=group.name) from None
    return seq


def leave_group(connection: Connection, group: Group, party: Party) -> None:
    """Take a member out. The last admin's role passes to the longest-standing member; with the last
    member the group ends, and its name and code are free again."""
    if party.id is None:
        gone = delete(remote_members).where(
            remote_members.c.conversation_id == group.id, remote_members.c.key == party.key
        )
    else:
        gone = delete(participants).where(
            participants.c.conversation_id == group.id, participants.c.account_id == party.id
        )
    connection.execute(gone)
    left = member_names(connection, group.id)
    if not left:
        connection.execute(
            update(groups).where(groups.c.conversation_id == group.id).values(key=None, code=None)
        )
    elif not any(admin for _, _, admin in left):
        ident, address, _ = left[0]
        heir = Party(key_of(address), address, ident)
        set_admin(connection, group, heir)


def set_admin(connection: Connection, group: Group, party: Party) -> None:
    if party.id is None:
        risen = (
            update(remote_members)
            .where(remote_members.c.conversation_id == group.id, remote_members.c.key == party.key)
            .values(admin=True)
        )
    else:
        risen = (
            update(participants)
            .where(
                participants.c.conversation_id == group.id, participants.c.account_id == party.id
            )
            .values(admin=True)
        )
    connection.execute(risen)


def set_closed(connection: Connection, group: Group, closed: bool) -> None:
    connection.execute(
        update(groups).where(groups.c.conversation_id == group.id).values(closed=closed)
    )


def realm_leaves(connection: Connection, group: Group, realm: str) -> None:
    """Take out all members who are of a realm that knows nothing of them."""
    keys = connection.scalars(
        select(remote_members.c.key).where(
            remote_members.c.conversation_id == group.id, remote_members.c.realm == realm
        )
    ).all()
    for key in keys:
        leave_group(connection, group, Party(key, key, realm=realm))


# Groups that live elsewhere


def join_mirror(
    connection: Connection,
    name: Address,
    realm: str,
    home_id: int,
    account_id: int,
    seq: int,
    now: int,
) -> None:
    """An account is a member of another realm's group, from after `seq` on; it may be known already.

    What was known here under that name, but by another id, is a group that has ended there.
    """
    group = find_group(connection, name.key)
    if group is not None and group.home_id != home_id:
        connection.execute(
            update(groups).where(groups.c.conversation_id == group.id).values(key=None)
        )
        connection.execute(delete(participants).where(participants.c.conversation_id == group.id))
        group = _find_mirror(connection, realm, home_id)
        if group is not None:  # it was taken for ended
            connection.execute(
                update(groups).where(groups.c.conversation_id == group.id).values(key=name.key)
            )
    if group is None:
        conversation = add_conversation(connection, "group", now)
        connection.execute(
            insert(groups).values(
                conversation_id=conversation,
                name=str(name),
                key=name.key,
                realm=realm,
                home_id=home_id,
            )
        )
    else:
        conversation = group.id
    there = connection.scalar(
        select(participants.c.account_id).where(
            participants.c.conversation_id == conversation, participants.c.account_id == account_id
        )
    )
    if there is None:
        connection.execute(
            insert(participants).values(
                account_id=account_id,
                conversation_id=conversation,
                read_seq=max(seq, last_seq(connection, conversation)),
                joined_at=now,
                realm=realm,
            )
        )


def _find_mirror(connection: Connection, realm: str, home_id: int) -> Group | None:
    """What is known here of a group of another realm, even if it has ended."""
    row = connection.execute(
        select(*_GROUP).where(groups.c.realm == realm, groups.c.home_id == home_id)
    ).first()
    return _group(row)


def leave_mirror(connection: Connection, group: Group, account_id: int) -> None:
    """An account is no longer a member of another realm's group."""
    connection.execute(
        delete(participants).where(
            participants.c.conversation_id == group.id, participants.c.account_id == account_id
        )
    )


def is_news(connection: Connection, realm: str, group: str, number: int) -> bool:
    """Whether a realm's parcel on who is in a group (by its key in its home) comes for the first time: these
    come in order, but again when an acknowledgement was lost. From now on it has come."""
    name = f"{_SEEN}{realm} {group}"
    seen = connection.scalar(select(settings.c.value).where(settings.c.name == name))
    if seen is None:
        connection.execute(insert(settings).values(name=name, value=str(number)))
    elif int(seen) < number:
        connection.execute(
            update(settings).where(settings.c.name == name).values(value=str(number))
        )
    else:
        return False
    return True


def newest_news(connection: Connection, realm: str) -> int:
    """The newest number of a parcel of a realm that `is_news` was asked about."""
    seen = connection.scalars(
        select(settings.c.value).where(
            settings.c.name.startswith(f"{_SEEN}{realm} ", autoescape=True)
        )
    )
    return max(map(int, seen), default=0)


def list_groups(
    connection: Connection, account_id: int, mine: bool, limit: int
) -> tuple[list[GroupInfo], int]:
    """The first `limit` groups by name, all of this realm or the account's own, wherever they live; and
    how many more there are."""
    size = (
        select(func.count())
        .where(participants.c.conversation_id == groups.c.conversation_id)
        .scalar_subquery()
    )
    guests = (
        select(func.count())
        .where(remote_members.c.conversation_id == groups.c.conversation_id)
        .scalar_subquery()
    )
    me = participants.alias("me")
    query = (
        select(
            groups.c.name,
            groups.c.code,
            size + guests,
            groups.c.closed,
            me.c.account_id,
            me.c.admin,
        )
        .select_from(groups)
        .join(
            me,
            (me.c.conversation_id == groups.c.conversation_id) & (me.c.account_id == account_id),
            isouter=not mine,
        )
        .where(groups.c.key.is_not(None) & groups.c.realm.is_(None) if not mine else true())
        .order_by(groups.c.key)
    )
    total: int = connection.execute(
        select(func.count()).select_from(query.order_by(None).subquery())
    ).scalar_one()
    found = [
        GroupInfo(name, code or "", members, closed, member is not None, bool(admin))
        for name, code, members, closed, member, admin in connection.execute(query.limit(limit))
    ]
    return found, total - len(found)
