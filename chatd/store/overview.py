"""The list of an account's conversations, each with its newest message and unread count. A query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, ScalarSelect, Select, case, func, literal, or_, select

from chatd.base.model import MAX_COUNTED, Account, ConversationInfo, GroupInfo
from chatd.store.history import COLUMNS, message_of
from chatd.store.schema import accounts, attachments, groups, messages, participants, rosters


def overview(
    connection: Connection, account: Account, given: Mapping[int, int], limit: int
) -> tuple[list[tuple[ConversationInfo, int | None]], int]:
    """Return the first `limit` of the account's conversations, newest activity first, and the number of the
    others. Each has the id of the other party's account, if that is one of this realm.

    `given` has read marks that are ahead of the stored ones (conversation -> seq). Direct conversations
    without messages are left out, for example if another realm has refused all of them.
    """
    query = _conversations(account)
    rows = connection.execute(query.limit(limit)).all()
    remaining = 0
    if len(rows) == limit:
        counted = select(func.count()).select_from(query.order_by(None).subquery())
        remaining = connection.execute(counted).scalar_one() - limit
    marks = {row.here: max(row.read_seq, given.get(row.here, 0)) for row in rows}
    behind = {row.here: marks[row.here] for row in rows if (row.seq or 0) > marks[row.here]}
    passed = {place: mark for place, mark in behind.items() if place in given}
    unread = _count_unread(connection, account, list(behind), passed)
    found = [
        (_info(row, account, marks[row.here], unread.get(row.here, 0)), row.peer_id) for row in rows
    ]
    return found, remaining


def _newest() -> ScalarSelect[int]:
    """The id of the newest message of a participant's conversation."""
    each = messages.alias("each")
    return (
        select(each.c.id)
        .where(each.c.conversation_id == participants.c.conversation_id)
        .order_by(each.c.seq.desc())
        .limit(1)
        .correlate(participants)
        .scalar_subquery()
    )


def _conversations(account: Account) -> Select[Any]:
    """Select the account's conversations, newest activity first. Activity is the newest message, or that the
    account joined."""
    arrived = participants.c.joined_at
    activity = case((messages.c.at > arrived, messages.c.at), else_=arrived)
    return (
        select(
            *COLUMNS,
            participants.c.conversation_id.label("here"),
            participants.c.read_seq,
            participants.c.admin,
            accounts.c.id.label("peer_id"),
            accounts.c.display_name,
            groups.c.name.label("group"),
            groups.c.code.label("group_code"),
            groups.c.closed,
            groups.c.title,
            rosters.c.members,
        )
        .select_from(participants)
        .outerjoin(messages, messages.c.id == _newest())
        .outerjoin(attachments, attachments.c.id == messages.c.attachment_id)
        .outerjoin(groups, groups.c.conversation_id == participants.c.conversation_id)
        .outerjoin(rosters, rosters.c.conversation_id == participants.c.conversation_id)
        .outerjoin(accounts, accounts.c.key == participants.c.peer_key)
        .where(
            participants.c.account_id == account.id,
            or_(messages.c.id.is_not(None), participants.c.peer_key.is_(None)),
        )
        .order_by(
            activity.desc(),
            func.coalesce(messages.c.id, 0).desc(),
            participants.c.conversation_id.desc(),
        )
    )


def _count_unread(
    connection: Connection, account: Account, behind: list[int], passed: Mapping[int, int]
) -> dict[int, int]:
    """Count the messages of others after the read marks of the conversations `behind`. `passed` has marks
    that are ahead of the stored ones. Counts end at MAX_COUNTED, which bounds the cost of a long backlog."""
    if not behind:
        return {}
    conversation, mark = participants.c.conversation_id, participants.c.read_seq
    unread = (
        select(literal(1))
        .where(
            messages.c.conversation_id == conversation,
            messages.c.seq > (case(passed, value=conversation, else_=mark) if passed else mark),
            messages.c.sender_id.is_distinct_from(account.id),
        )
        .limit(MAX_COUNTED)
        .correlate(participants)
        .subquery()
    )
    count = select(func.count()).select_from(unread).scalar_subquery()
    rows = connection.execute(
        select(conversation, count).where(
            participants.c.account_id == account.id, conversation.in_(behind)
        )
    )
    return {row[0]: row[1] for row in rows}


def _info(row: Row[Any], account: Account, read: int, unread: int) -> ConversationInfo:
    last = message_of(row, account)
    seq = max(row.seq or 0, read)
    if row.group is None:
        name = row.display_name or row.peer
        return ConversationInfo(row.here, name, unread, read, seq, last, user=row.peer)
    group = GroupInfo(
        row.group,
        row.group_code or "",
        row.members,
        row.closed,
        member=True,
        admin=row.admin,
        title=row.title,
    )
    return ConversationInfo(row.here, row.group, unread, read, seq, last, group=group)
