"""What an account has not read: the messages after its read marks, and those that it skipped before them.

Queries for the Database. `given` has marks that are ahead of the stored ones: conversation -> mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.model import Account, Message, Party
from chatd.base.names import UNFILTERED, InboxFilter, key_of
from chatd.base.read_marks import MAX_LEFT, ReadMark
from chatd.base.replies import UnreadCount
from chatd.store.history import Page, build_messages, select_messages
from chatd.store.schema import groups, messages, participants, skipped

MAX_LOOKED_AT = 2000  # messages, in a search for those of one sender


class Scope(msgspec.Struct, frozen=True):
    """A part of an account's inbox. `conversation` is that of `only.place`, and `sender` is `only.sender`."""

    only: InboxFilter = UNFILTERED
    conversation: int | None = None
    sender: Party | None = None


def select_unread(
    account: Account, given: Mapping[int, ReadMark], scope: Scope, *columns: Any
) -> list[sa.Select[Any]]:
    """Select columns of the unread messages: of those after the marks, and of those skipped before them.

    These are separate queries, because SQLite would not use the index on messages for a single one. So are
    those for conversations with given marks, which look everything up from the marks. The other way round,
    each of many rows would be compared with each of many marks.
    """
    if scope.conversation is not None:  # only its mark: many would take long to be written as SQL
        given = {place: mark for place, mark in given.items() if place == scope.conversation}
    wanted = [participants.c.account_id == account.id, *conditions_of(account, scope)]
    if given:
        wanted.append(participants.c.conversation_id.not_in(list(given)))
    is_here = messages.c.conversation_id == participants.c.conversation_id
    after = (
        sa.select(*columns)
        .select_from(participants.join(messages, is_here))
        .where(messages.c.seq > participants.c.read_seq, not_deleted(account), *wanted)
    )
    before = (
        sa.select(*columns)
        .select_from(skipped)
        .join(participants, participants.c.conversation_id == skipped.c.conversation_id)
        .join(messages, is_here & (messages.c.seq == skipped.c.seq))
        .where(skipped.c.account_id == account.id, messages.c.deleted_at.is_(None), *wanted)
    )
    parts = [after, before]
    if given:
        conditions = list(conditions_of(account, scope))
        parts += (part.where(*conditions) for part in _beyond_marks(account, given, columns))
    return parts


def _beyond_marks(
    account: Account, given: Mapping[int, ReadMark], columns: Sequence[Any]
) -> list[sa.Select[Any]]:
    """Select columns of what is still unread in the conversations of the marks."""
    marks = _marks(account, given)
    side = (participants.c.account_id == marks.c.account) & (
        participants.c.conversation_id == marks.c.conversation
    )
    mine = (skipped.c.account_id == marks.c.account) & (
        skipped.c.conversation_id == marks.c.conversation
    )
    is_here = messages.c.conversation_id == marks.c.conversation
    read = participants.c.read_seq
    select = sa.select(*columns)
    sides = select.select_from(marks.join(participants, side).join(messages, is_here))
    later = sa.case((marks.c.seq > read, marks.c.seq), else_=read)
    parts = [
        sides.where(messages.c.seq > later, not_deleted(account)),
        select.select_from(
            marks.join(skipped, mine)
            .join(participants, side)
            .join(messages, is_here & (messages.c.seq == skipped.c.seq))
        ).where(
            (skipped.c.seq > marks.c.seq) | is_among(skipped.c.seq, marks.c.but),
            messages.c.deleted_at.is_(None),
        ),
    ]
    if any(mark.left for mark in given.values()):
        is_between = (messages.c.seq > read) & (messages.c.seq <= marks.c.seq)
        is_left = is_among(messages.c.seq, marks.c.but)
        parts.append(sides.where(is_between, is_left, messages.c.deleted_at.is_(None)))
    return parts


def not_deleted(account: Account) -> sa.ColumnElement[bool]:
    """A condition for messages after the account's stored marks: they are not deleted.

    The deleted ones are few, and have an index. To look at `deleted_at` would read each row, where counting
    reads only an index.
    """
    side, each = participants.alias("side"), messages.alias("each")
    deleted = (
        sa.select(each.c.id)
        .join(side, side.c.conversation_id == each.c.conversation_id)
        .where(
            side.c.account_id == account.id,
            each.c.seq > side.c.read_seq,
            each.c.deleted_at.is_not(None),
        )
    )
    return messages.c.id.not_in(deleted)


def is_among(seq: sa.ColumnElement[int], numbers: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether `numbers`, as `as_text` writes them, have `seq`."""
    return numbers.contains(sa.literal(",") + sa.cast(seq, sa.Text) + ",")


def as_text(numbers: Iterable[int]) -> str:
    """Numbers as a text: `,3,7,`."""
    return f",{','.join(map(str, numbers))},"


def conditions_of(account: Account, scope: Scope) -> Iterable[sa.ColumnElement[bool]]:
    only, sender = scope.only, scope.sender
    others = messages.c.sender_id.is_distinct_from(account.id)
    yield others | (participants.c.peer_key == account.key) if only.own else others
    if scope.conversation is not None:
        yield participants.c.conversation_id == scope.conversation
    if only.here:
        yield participants.c.realm.is_(None)
    elif only.realm is not None:
        yield participants.c.realm == key_of(only.realm)
    if only.direct:
        yield participants.c.peer_key.is_not(None)
    if sender is not None:
        yield _sent_by(sender)


def _sent_by(sender: Party) -> sa.ColumnElement[bool]:
    if sender.id is not None:
        return messages.c.sender_id == sender.id
    is_theirs = sa.func.lower(messages.c.sender).in_((sender.key, sender.name.lower()))
    return messages.c.sender_id.is_(None) & is_theirs


def _marks(account: Account, given: Mapping[int, ReadMark]) -> sa.CTE:
    """The marks as a table. `but` has the numbers that a mark leaves out."""
    columns = (
        sa.column("account", sa.BigInteger),
        sa.column("conversation", sa.BigInteger),
        sa.column("seq", sa.BigInteger),
        sa.column("but", sa.Text),
    )
    rows = [
        (account.id, conversation, mark.seq, as_text(mark.left))
        for conversation, mark in given.items()
    ]
    return sa.values(*columns, name="passed").data(rows).cte("given")


def unread(
    connection: sa.Connection,
    account: Account,
    given: Mapping[int, ReadMark],
    scope: Scope,
    limit: int,
) -> Page:
    """The oldest `limit` unread messages of a part of the inbox.

    They are the oldest of each of their conversations, so none is left out before the last one.
    """
    found = sa.union_all(*select_unread(account, given, scope, messages.c.id)).subquery()
    wanted = sa.select(found.c.id).order_by(found.c.id).limit(limit)
    rows = connection.execute(
        select_messages(account).where(messages.c.id.in_(wanted)).order_by(messages.c.id)
    ).all()
    remaining = 0
    if len(rows) == limit:
        total = connection.execute(sa.select(sa.func.count()).select_from(found)).scalar_one()
        remaining = total - limit
    page = build_messages(connection, rows, account)
    return Page(page, remaining, marks_of(page))


def marks_of(page: Iterable[Message]) -> dict[int, ReadMark]:
    """What is read with these messages, if they are the oldest unread ones of each conversation."""
    newest: dict[int, int] = {}
    for each in page:
        newest[each.conversation] = max(each.seq, newest.get(each.conversation, 0))
    return {conversation: ReadMark(seq) for conversation, seq in newest.items()}


def unread_counts(
    connection: sa.Connection, account: Account, given: Mapping[int, ReadMark]
) -> list[UnreadCount]:
    """The number of unread messages in each conversation that has any, and the first one."""
    here = messages.c.conversation_id
    wanted = (
        here,
        sa.func.count(messages.c.id).label("n"),
        sa.func.min(messages.c.id).label("id"),
        sa.func.min(messages.c.seq).label("first"),
    )
    parts = [each.group_by(here) for each in select_unread(account, given, Scope(), *wanted)]
    found = sa.union_all(*parts).subquery()
    rows = connection.execute(
        sa.select(
            found.c.conversation_id,
            participants.c.peer,
            groups.c.name,
            sa.func.sum(found.c.n),
            sa.func.min(found.c.first),
        )
        .select_from(found)
        .join(
            participants,
            (participants.c.conversation_id == found.c.conversation_id)
            & (participants.c.account_id == account.id),
        )
        .outerjoin(groups, groups.c.conversation_id == found.c.conversation_id)
        .group_by(found.c.conversation_id, participants.c.peer, groups.c.name)
        .order_by(sa.func.min(found.c.id))
    )
    return [
        UnreadCount(conversation, int(n), peer, group, first)
        for conversation, peer, group, n, first in rows
    ]


def from_sender(
    connection: sa.Connection,
    account: Account,
    given: Mapping[int, ReadMark],
    scope: Scope,
    limit: int,
) -> Page:
    """The oldest unread messages of `scope.sender`, wherever they wrote to the account: `limit` of them, or
    fewer if MAX_LOOKED_AT messages were looked at.

    What others wrote before them is left unread. Where that is more than MAX_LEFT messages in a conversation,
    the page has those beyond it too.
    """
    sender, everybody = scope.sender, msgspec.structs.replace(scope.only, sender=None)
    assert sender is not None  # noqa: S101 - the caller has asked for one
    places = _places(connection, account, given, scope)
    page: list[Message] = []
    marks: dict[int, ReadMark] = {}
    looked_at = 0
    for conversation, last, _ in places:
        if len(page) == limit or looked_at >= MAX_LOOKED_AT:
            break
        room = limit - len(page)
        wanted = _oldest(account, given, Scope(everybody, conversation), last, MAX_LEFT + room)
        rows = connection.execute(wanted).all()
        shown, left = _divide(build_messages(connection, rows, account), sender, room)
        looked_at += len(rows)
        if shown:
            page += shown
            marks[conversation] = ReadMark(shown[-1].seq, left)
    page.sort(key=lambda each: each.id)
    total = sum(count for *_, count in places)
    return Page(page, total - sum(_is_by(sender, each) for each in page), marks)


def _places(
    connection: sa.Connection, account: Account, given: Mapping[int, ReadMark], scope: Scope
) -> list[tuple[int, int, int]]:
    """The conversations that have unread messages, the one with the oldest first. Each with the number of the
    last of these messages, and how many there are."""
    here, seq = messages.c.conversation_id, messages.c.seq
    found = sa.union_all(*select_unread(account, given, scope, messages.c.id, here, seq)).subquery()
    rows = connection.execute(
        sa.select(found.c.conversation_id, sa.func.max(found.c.seq), sa.func.count())
        .group_by(found.c.conversation_id)
        .order_by(sa.func.min(found.c.id))
    )
    return [(conversation, last, count) for conversation, last, count in rows]


def _oldest(
    account: Account, given: Mapping[int, ReadMark], scope: Scope, last: int, limit: int
) -> sa.Select[Any]:
    """Select the oldest `limit` unread messages of a conversation, up to the seq `last`."""
    parts = select_unread(account, given, scope, messages.c.id)
    found = sa.union_all(*(each.where(messages.c.seq <= last) for each in parts)).subquery()
    oldest = sa.select(found.c.id).order_by(found.c.id).limit(limit)
    return select_messages(account).where(messages.c.id.in_(oldest)).order_by(messages.c.id)


def _is_by(sender: Party, message: Message) -> bool:
    return key_of(message.sender) == sender.key


def _divide(
    found: Sequence[Message], sender: Party, room: int
) -> tuple[list[Message], frozenset[int]]:
    """The first `room` messages to show: those of `sender`, and those that would be too many to leave out.
    And the numbers of those that are left out before them."""
    shown: list[Message] = []
    left: set[int] = set()
    for each in found:
        if not _is_by(sender, each) and len(left) < MAX_LEFT:
            left.add(each.seq)
            continue
        shown.append(each)
        if len(shown) == room:
            break
    return shown, frozenset(seq for seq in left if shown and seq < shown[-1].seq)
