"""Conversations, who takes part in them, and groups. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, true, update
from sqlalchemy.exc import IntegrityError

from chatd.errors import AlreadyMember, GroupExists, UnknownConversation, UnknownGroup
from chatd.model import Account, Group, GroupInfo
from chatd.names import key_of
from chatd.store.database import CodeTaken
from chatd.store.schema import accounts, conversations, groups, messages, participants

_GROUP = (
    groups.c.conversation_id,
    groups.c.name,
    groups.c.key,
    groups.c.code,
    groups.c.closed,
)


def last_seq(connection: Connection, conversation: int) -> int:
    """The number of the conversation's newest message; 0 where there is none."""
    newest: int = connection.execute(
        select(func.coalesce(func.max(messages.c.seq), 0)).where(
            messages.c.conversation_id == conversation
        )
    ).scalar_one()
    return newest


def takes_part(connection: Connection, account_id: int, conversation: int) -> bool:
    """Whether the conversation is one of the account's."""
    found = connection.scalar(
        select(participants.c.account_id).where(
            participants.c.account_id == account_id,
            participants.c.conversation_id == conversation,
        )
    )
    return found is not None


def find_direct(connection: Connection, account_id: int, peer_key: str) -> int | None:
    """The account's direct conversation with the address whose key that is."""
    return connection.scalar(
        select(participants.c.conversation_id).where(
            participants.c.account_id == account_id, participants.c.peer_key == peer_key
        )
    )


def open_direct(connection: Connection, one: Account, other: Account, now: int) -> int:
    """The direct conversation of two accounts of this realm (or of one with itself), made if need be."""
    found = find_direct(connection, one.id, other.key)
    if found is not None:
        return found
    conversation = _add_conversation(connection, "direct", now)
    sides = {one.id: other, other.id: one}
    connection.execute(
        insert(participants),
        [
            {
                "account_id": account_id,
                "conversation_id": conversation,
                "peer": peer.name,
                "peer_key": peer.key,
                "joined_at": now,
            }
            for account_id, peer in sides.items()
        ],
    )
    return conversation


def _add_conversation(connection: Connection, kind: str, now: int) -> int:
    key = connection.execute(
        insert(conversations).values(kind=kind, created_at=now)
    ).inserted_primary_key
    assert key is not None  # noqa: S101 - an insert that did not fail has a key
    return int(key[0])


def add_group(connection: Connection, name: str, code: str, creator: int, now: int) -> Group:
    """Make a group with its creator as admin. Raises GroupExists, CodeTaken.

    Nobody can take another group's code for a name, and so receive those who join by it.
    """
    key = key_of(name)
    if find_group(connection, key) or find_group_by_code(connection, key):
        raise GroupExists(name=name)
    if find_group(connection, code) or find_group_by_code(connection, code):
        raise CodeTaken
    conversation = _add_conversation(connection, "group", now)
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
    conversation, name, key, code, closed = row
    return Group(conversation, name, key or "", code or "", closed)


def find_group(connection: Connection, key: str) -> Group | None:
    return _group(connection.execute(select(*_GROUP).where(groups.c.key == key)).first())


def find_group_by_code(connection: Connection, code: str) -> Group | None:
    return _group(connection.execute(select(*_GROUP).where(groups.c.code == code)).first())


def members_of(connection: Connection, group: int) -> dict[int, bool]:
    """The members' account ids, longest-standing first, and whether each is an admin."""
    rows = connection.execute(
        select(participants.c.account_id, participants.c.admin)
        .where(participants.c.conversation_id == group)
        .order_by(participants.c.joined_at, participants.c.account_id)
    )
    return {row[0]: row[1] for row in rows}


def member_names(connection: Connection, group: int) -> dict[int, tuple[str, bool]]:
    """As `members_of`, with their names."""
    rows = connection.execute(
        select(participants.c.account_id, accounts.c.name, participants.c.admin)
        .join_from(participants, accounts)
        .where(participants.c.conversation_id == group)
        .order_by(participants.c.joined_at, participants.c.account_id)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def join_group(connection: Connection, group: Group, account: Account, now: int) -> None:
    """Make `account` a member who has nothing unread yet. Raises AlreadyMember, UnknownGroup."""
    alive = find_group(connection, group.key)
    if alive is None or alive.id != group.id:
        raise UnknownGroup(name=group.name)  # it has ended meanwhile
    newest = connection.scalar(
        select(func.max(participants.c.joined_at)).where(participants.c.conversation_id == group.id)
    )
    try:
        connection.execute(
            insert(participants).values(
                account_id=account.id,
                conversation_id=group.id,
                read_seq=last_seq(connection, group.id),
                joined_at=max(now, (newest or 0) + 1),  # the order holds within a moment, too
            )
        )
    except IntegrityError:
        raise AlreadyMember(name=account.name, group=group.name) from None


def leave_group(connection: Connection, group: int, account_id: int) -> None:
    """Take a member out. The last admin's role passes to the longest-standing member; with the last
    member the group ends, and its name and code are free again."""
    connection.execute(
        delete(participants).where(
            participants.c.conversation_id == group, participants.c.account_id == account_id
        )
    )
    left = members_of(connection, group)
    if not left:
        connection.execute(
            update(groups).where(groups.c.conversation_id == group).values(key=None, code=None)
        )
    elif not any(left.values()):
        set_admin(connection, group, next(iter(left)))


def set_admin(connection: Connection, group: int, account_id: int) -> None:
    connection.execute(
        update(participants)
        .where(participants.c.conversation_id == group, participants.c.account_id == account_id)
        .values(admin=True)
    )


def set_closed(connection: Connection, group: int, closed: bool) -> None:
    connection.execute(
        update(groups).where(groups.c.conversation_id == group).values(closed=closed)
    )


def list_groups(
    connection: Connection, account_id: int, mine: bool, limit: int
) -> tuple[list[GroupInfo], int]:
    """The first `limit` groups by name, all or the account's own, and how many more there are."""
    size = (
        select(func.count())
        .where(participants.c.conversation_id == groups.c.conversation_id)
        .scalar_subquery()
    )
    me = participants.alias("me")
    query = (
        select(groups.c.name, groups.c.code, size, groups.c.closed, me.c.account_id, me.c.admin)
        .select_from(groups)
        .join(
            me,
            (me.c.conversation_id == groups.c.conversation_id) & (me.c.account_id == account_id),
            isouter=not mine,
        )
        .where(groups.c.key.is_not(None) if not mine else true())
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


def move_marks(connection: Connection, account_id: int, marks: Mapping[int, int]) -> None:
    """Move read marks forward, never back: conversation -> seq."""
    for conversation, seq in marks.items():
        connection.execute(
            update(participants)
            .where(
                participants.c.account_id == account_id,
                participants.c.conversation_id == conversation,
                participants.c.read_seq < seq,
            )
            .values(read_seq=seq)
        )


def mark_read(connection: Connection, account_id: int, conversation: int, seq: int) -> None:
    """Move one mark forward, at most to the newest message. Raises UnknownConversation."""
    if not takes_part(connection, account_id, conversation):
        raise UnknownConversation(name=conversation)
    move_marks(connection, account_id, {conversation: min(seq, last_seq(connection, conversation))})
