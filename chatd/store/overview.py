"""The list of an account's conversations, each with its newest message and unread count. A query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, ScalarSelect, Select, case, func, or_, select

from chatd.base.model import Account, Message
from chatd.base.read_marks import ReadMark
from chatd.base.replies import ConversationInfo
from chatd.store.groups import INFO as GROUP
from chatd.store.groups import info_of
from chatd.store.history import COLUMNS, build_checked
from chatd.store.preferences import COLUMNS as PREFERENCES
from chatd.store.preferences import preferences_in
from chatd.store.schema import (
    accounts,
    attachments,
    groups,
    messages,
    participants,
    preferences,
    requests,
    rosters,
    skipped,
)
from chatd.store.unread import not_deleted


def overview(
    connection: Connection, account: Account, given: Mapping[int, ReadMark], limit: int
) -> tuple[list[tuple[ConversationInfo, int | None]], int]:
    """Return the first `limit` of the account's conversations, newest activity first, and the number of the
    others. Each has the id of the other party's account, if that is one of this realm.

    `given` has read marks that are ahead of the stored ones, by conversation. Direct conversations without
    messages are left out, for example if another realm has refused all of them.
    """
    query = _conversations(account)
    rows = connection.execute(query.limit(limit)).all()
    remaining = 0
    if len(rows) == limit:
        counted = select(func.count()).select_from(query.order_by(None).subquery())
        remaining = connection.execute(counted).scalar_one() - limit
    marks = _marks(connection, account, rows, given)
    behind = {row.here: marks[row.here].seq for row in rows if (row.seq or 0) > marks[row.here].seq}
    passed = {place: mark for place, mark in behind.items() if place in given}
    unread = _count_unread(connection, account, list(behind), passed)
    newest = build_checked(connection, [row for row in rows if row.seq is not None], account)
    last = {message.conversation: message for message in newest}
    found = [
        (
            _info(row, last.get(row.here), marks[row.here], unread.get(row.here, Unread())),
            row.peer_id,
        )
        for row in rows
    ]
    return found, remaining


def _marks(
    connection: Connection,
    account: Account,
    rows: Sequence[Row[Any]],
    given: Mapping[int, ReadMark],
) -> dict[int, ReadMark]:
    """What the account has read of each of these conversations."""
    left: dict[int, set[int]] = {row.here: set() for row in rows}
    for place, seq in connection.execute(
        select(skipped.c.conversation_id, skipped.c.seq).where(
            skipped.c.account_id == account.id, skipped.c.conversation_id.in_(left)
        )
    ):
        left[place].add(seq)
    marks = {}
    for row in rows:
        mark = ReadMark(row.read_seq, frozenset(left[row.here]))
        if row.here in given:
            mark = mark.joined(given[row.here])
        # One's own messages do not count as unread here, not even those to oneself.
        marks[row.here] = ReadMark(mark.seq) if row.peer_id == account.id else mark
    return _without_deleted(connection, marks)


def _without_deleted(connection: Connection, marks: dict[int, ReadMark]) -> dict[int, ReadMark]:
    """The marks, without the deleted messages among those that they leave out."""
    left = {place: mark.left for place, mark in marks.items() if mark.left}
    if not left:
        return marks
    gone = connection.execute(
        select(messages.c.conversation_id, messages.c.seq).where(
            messages.c.conversation_id.in_(left),
            messages.c.seq.in_(set().union(*left.values())),
            messages.c.deleted_at.is_not(None),
        )
    ).all()
    for place, seq in gone:
        marks[place] = ReadMark(marks[place].seq, marks[place].left - {seq})
    return marks


def _newest() -> ScalarSelect[int]:
    """The id of the newest message that a participant sees of a conversation."""
    each = messages.alias("each")
    return (
        select(each.c.id)
        .where(
            each.c.conversation_id == participants.c.conversation_id,
            each.c.seq >= participants.c.first_seq,
        )
        .order_by(each.c.seq.desc())
        .limit(1)
        .correlate(participants)
        .scalar_subquery()
    )


# What the list shows of a conversation
_SHOWN = (
    *COLUMNS,
    participants.c.conversation_id.label("here"),
    participants.c.read_seq,
    participants.c.admin,
    accounts.c.id.label("peer_id"),
    accounts.c.display_name,
    requests.c.state.label("request"),
    *GROUP,
    *PREFERENCES,
)


def _conversations(account: Account) -> Select[Any]:
    """Select the account's conversations, newest activity first. Activity is the newest message, or that the
    account joined."""
    arrived = participants.c.joined_at
    activity = case((messages.c.at > arrived, messages.c.at), else_=arrived)
    return (
        select(*_SHOWN)
        .select_from(participants)
        .outerjoin(
            preferences,
            (preferences.c.account_id == participants.c.account_id)
            & (preferences.c.conversation_id == participants.c.conversation_id),
        )
        .outerjoin(
            requests,
            (requests.c.account_id == participants.c.account_id)
            & (requests.c.sender == participants.c.peer_key),
        )
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


class Unread(msgspec.Struct, frozen=True):
    """How many messages of a conversation are unread, and the seq of the first one."""

    count: int = 0
    first: int | None = None


def _count_unread(
    connection: Connection, account: Account, behind: list[int], passed: Mapping[int, int]
) -> dict[int, Unread]:
    """Count the messages of others after the read marks of the conversations `behind`. `passed` has marks
    that are ahead of the stored ones. It reads only an index."""
    if not behind:
        return {}
    conversation, mark = participants.c.conversation_id, participants.c.read_seq
    seq = messages.c.seq
    rows = connection.execute(
        select(conversation, func.count(seq), func.min(seq))
        .join(messages, messages.c.conversation_id == conversation)
        .where(
            participants.c.account_id == account.id,
            conversation.in_(behind),
            seq > (case(passed, value=conversation, else_=mark) if passed else mark),
            messages.c.sender_id.is_distinct_from(account.id),
            not_deleted(account),
        )
        .group_by(conversation)
    )
    return {row[0]: Unread(row[1], row[2]) for row in rows}


def _info(row: Row[Any], last: Message | None, mark: ReadMark, after: Unread) -> ConversationInfo:
    seq = max(row.seq or 0, mark.seq)
    read = min(mark.left) - 1 if mark.left else mark.seq  # everything up to there
    unread = after.count + len(mark.left)
    first = min(mark.left) if mark.left else after.first
    return ConversationInfo(
        row.here,
        row.group or row.display_name or row.peer,
        unread,
        read,
        seq,
        last,
        user=row.peer,
        group=None if row.group is None else info_of(row, row.admin),
        first_unread=first,
        preferences=preferences_in(row.notify, row.until, row.archived),
        request=row.request,
    )
