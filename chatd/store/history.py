"""Reading messages: the inbox, the history of a conversation, and searching. Queries for the Database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.model import Account, Attachment, Message, UnreadCount
from chatd.base.names import UNFILTERED, InboxFilter, key_of
from chatd.store import files
from chatd.store.outbox import waits
from chatd.store.schema import attachments, groups, messages, participants


class Page(msgspec.Struct, frozen=True):
    """Messages, oldest first, and how many more there are."""

    messages: list[Message]
    remaining: int = 0


# Whether a message still waits for the realm of its recipient.
_QUEUED = waits(participants.c.realm, messages.c.parcel)

# What an account reads of a message. Queries of other modules that select these columns first can pass their
# rows to `message_of`.
COLUMNS = (
    messages.c.id,
    messages.c.conversation_id,
    messages.c.seq,
    messages.c.at,
    messages.c.sender,
    messages.c.sender_id,
    messages.c.text,
    participants.c.peer,
    groups.c.name,
    _QUEUED,
    *files.COLUMNS,
)


def _select(account: Account) -> sa.Select[Any]:
    return (
        sa.select(*COLUMNS)
        .select_from(messages)
        .join(
            participants,
            sa.and_(
                participants.c.conversation_id == messages.c.conversation_id,
                participants.c.account_id == account.id,
            ),
        )
        .outerjoin(groups, groups.c.conversation_id == messages.c.conversation_id)
        .outerjoin(attachments, attachments.c.id == messages.c.attachment_id)
    )


def _message(row: Sequence[Any], account: Account) -> Message:
    ident, conversation, seq, at, sender, sender_id, text, peer, group, queued, *file = row
    to = None if group is not None else peer if sender_id == account.id else account.name
    attachment = None if file[0] is None else Attachment(*file)
    return Message(ident, conversation, seq, at, sender, to, group, text, attachment, bool(queued))


def message_of(row: Sequence[Any], account: Account) -> Message | None:
    """The message at the beginning of a row, as the account reads it; None if an outer join found none."""
    return None if row[0] is None else _message(row[: len(COLUMNS)], account)


def _unread(
    account: Account,
    given: Mapping[int, int],
    only: InboxFilter = UNFILTERED,
    conversation: int | None = None,
) -> sa.ColumnElement[bool]:
    """Messages of others after the account's read mark. `given` has marks that are ahead of the stored ones
    (conversation -> seq). `conversation` is that of `only.place`."""
    conditions = [
        participants.c.account_id == account.id,
        messages.c.conversation_id == participants.c.conversation_id,
        messages.c.seq > participants.c.read_seq,
        messages.c.sender_id.is_distinct_from(account.id),
    ]
    if conversation is not None:
        conditions.append(participants.c.conversation_id == conversation)
    else:
        if only.here:
            conditions.append(participants.c.realm.is_(None))
        elif only.realm is not None:
            conditions.append(participants.c.realm == key_of(only.realm))
        if only.direct:
            conditions.append(participants.c.peer_key.is_not(None))
    if given:
        passed = sa.values(
            sa.column("conversation", sa.BigInteger), sa.column("seq", sa.BigInteger), name="passed"
        )
        marks = passed.data(list(given.items())).cte("given")
        conditions.append(
            ~sa.exists().where(
                marks.c.conversation == messages.c.conversation_id, marks.c.seq >= messages.c.seq
            )
        )
    return sa.and_(*conditions)


def unread(
    connection: sa.Connection,
    account: Account,
    only: InboxFilter,
    conversation: int | None,
    given: Mapping[int, int],
    limit: int,
) -> Page:
    """The oldest `limit` unread messages of a part of the inbox. `conversation` is that of `only.place`."""
    condition = _unread(account, given, only, conversation)
    wanted = (
        sa.select(messages.c.id)
        .where(condition)
        .order_by(messages.c.id)
        .limit(limit)
        .correlate(None)  # with tables of its own, though the outer query has the same ones
    )
    found = connection.execute(
        _select(account).where(messages.c.id.in_(wanted)).order_by(messages.c.id)
    ).all()
    remaining = 0
    if len(found) == limit:
        total = connection.execute(
            sa.select(sa.func.count(messages.c.id)).where(condition)
        ).scalar_one()
        remaining = total - limit
    return Page([_message(row, account) for row in found], remaining)


def unread_counts(
    connection: sa.Connection, account: Account, given: Mapping[int, int]
) -> list[UnreadCount]:
    """The number of unread messages in each conversation that has any."""
    count = sa.func.count(messages.c.id)
    rows = connection.execute(
        sa.select(messages.c.conversation_id, participants.c.peer, groups.c.name, count)
        .select_from(messages)
        .join(participants, participants.c.conversation_id == messages.c.conversation_id)
        .outerjoin(groups, groups.c.conversation_id == messages.c.conversation_id)
        .where(_unread(account, given))
        .group_by(messages.c.conversation_id, participants.c.peer, groups.c.name)
        .order_by(sa.func.min(messages.c.id))
    )
    return [UnreadCount(conversation, n, peer, group) for conversation, peer, group, n in rows]


def history(
    connection: sa.Connection,
    account: Account,
    conversation: int,
    limit: int,
    before: int | None = None,
) -> Page:
    """The last `limit` messages of a conversation, or the last ones before the seq `before`."""
    query = _select(account).where(messages.c.conversation_id == conversation)
    if before is not None:
        query = query.where(messages.c.seq < before)
    rows = connection.execute(query.order_by(messages.c.seq.desc()).limit(limit)).all()
    return Page([_message(row, account) for row in reversed(rows)])


def search(connection: sa.Connection, account: Account, text: str, limit: int) -> Page:
    """The newest `limit` messages in the account's conversations whose text or file name contains `text`,
    ignoring case."""
    rows = connection.execute(
        _select(account)
        .where(
            sa.or_(
                messages.c.text.icontains(text, autoescape=True),
                attachments.c.name.icontains(text, autoescape=True),
            )
        )
        .order_by(messages.c.id.desc())
        .limit(limit)
    ).all()
    return Page([_message(row, account) for row in reversed(rows)])
