"""Messages: storing them in batches, and reading them. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    column,
    exists,
    func,
    insert,
    or_,
    select,
    values,
)

from chatd.model import Account, Attachment, Message, UnreadCount
from chatd.store.conversations import last_seq
from chatd.store.schema import attachments, groups, messages, participants

MAX_CACHED_SEQS = 100_000


class NewMessage(msgspec.Struct, frozen=True):
    """A message on its way into a conversation, which will number it. `at` is in ms since 1970 UTC."""

    conversation: int
    sender_id: int
    sender: str
    at: int
    text: str | None = None
    attachment_id: int | None = None


class MessageWriter:
    """Numbers messages and stores them. Lives in the writer's thread, and keeps there the last number
    of each conversation it wrote to, so that a batch is one statement."""

    def __init__(self) -> None:
        self._last_seq: dict[int, int] = {}
        self._last_id: int | None = None
        self._statement: str | None = None

    def _insert(self, connection: Connection) -> str:
        """The insert as SQLAlchemy writes it for this database, its columns in the table's order.

        The driver is given it as it is: processing what needs none takes longer than storing it.
        """
        if self._statement is None:
            compiler: Any = type(connection.dialect)
            style = "qmark" if connection.dialect.name == "sqlite" else "format"
            self._statement = str(insert(messages).compile(dialect=compiler(paramstyle=style)))
        return self._statement

    def forget(self) -> None:
        """Something was rolled back: what is kept here may be ahead of what is stored."""
        self._last_seq.clear()
        self._last_id = None

    def store(self, connection: Connection, items: Sequence[NewMessage]) -> list[tuple[int, int]]:
        """Store `items` in this order; the id and seq of each."""
        ident = self._last_id
        if ident is None:
            ident = connection.execute(
                select(func.coalesce(func.max(messages.c.id), 0))
            ).scalar_one()
        seqs = self._last_seq
        if len(seqs) > MAX_CACHED_SEQS:
            seqs.clear()
        rows = []
        stored = []
        for item in items:
            ident += 1
            conversation = item.conversation
            seq = seqs.get(conversation)
            if seq is None:
                seq = last_seq(connection, conversation)
            seqs[conversation] = seq = seq + 1
            stored.append((ident, seq))
            rows.append(
                (
                    ident,
                    conversation,
                    seq,
                    item.sender_id,
                    item.sender,
                    item.at,
                    item.text,
                    item.attachment_id,
                    None,
                    None,
                )
            )
        connection.exec_driver_sql(self._insert(connection), rows)
        self._last_id = ident
        return stored


class Page(msgspec.Struct, frozen=True):
    """Messages, oldest first, and how many more there are."""

    messages: list[Message]
    remaining: int = 0


# What an account reads of a message: the message, what carries it, and where it stands.
_COLUMNS = (
    messages.c.id,
    messages.c.conversation_id,
    messages.c.seq,
    messages.c.at,
    messages.c.sender,
    messages.c.sender_id,
    messages.c.text,
    participants.c.peer,
    groups.c.name,
    attachments.c.id,
    attachments.c.code,
    attachments.c.name,
    attachments.c.size,
    attachments.c.sha256,
    attachments.c.mime,
    attachments.c.stored,
    attachments.c.created_at,
)


def _select(account: Account) -> Select[Any]:
    return (
        select(*_COLUMNS)
        .select_from(messages)
        .join(
            participants,
            and_(
                participants.c.conversation_id == messages.c.conversation_id,
                participants.c.account_id == account.id,
            ),
        )
        .outerjoin(groups, groups.c.conversation_id == messages.c.conversation_id)
        .outerjoin(attachments, attachments.c.id == messages.c.attachment_id)
    )


def _message(row: Sequence[Any], account: Account) -> Message:
    ident, conversation, seq, at, sender, sender_id, text, peer, group, file_id, *file = row
    to = None if group is not None else peer if sender_id == account.id else account.name
    attachment = None if file_id is None else Attachment(file_id, *file)
    return Message(ident, conversation, seq, at, sender, to, group, text, attachment)


class Part(msgspec.Struct, frozen=True):
    """A part of the inbox: a conversation, what comes from a realm (by its key; "" is this one), direct
    messages only."""

    conversation: int | None = None
    realm: str | None = None
    direct: bool = False


WHOLE = Part()


def _unread(account: Account, part: Part, given: Mapping[int, int]) -> ColumnElement[bool]:
    """What stands after the mark and was not sent by oneself; `given` are marks that are further on
    than the stored ones (conversation -> seq)."""
    conditions = [
        participants.c.account_id == account.id,
        messages.c.conversation_id == participants.c.conversation_id,
        messages.c.seq > participants.c.read_seq,
        messages.c.sender_id.is_distinct_from(account.id),
    ]
    if part.conversation is not None:
        conditions.append(participants.c.conversation_id == part.conversation)
    if part.realm is not None:
        conditions.append(
            participants.c.realm == part.realm if part.realm else participants.c.realm.is_(None)
        )
    if part.direct:
        conditions.append(participants.c.peer_key.is_not(None))
    if given:
        passed = values(
            column("conversation", BigInteger), column("seq", BigInteger), name="passed"
        )
        marks = passed.data(list(given.items())).cte("given")
        conditions.append(
            ~exists().where(
                marks.c.conversation == messages.c.conversation_id,
                marks.c.seq >= messages.c.seq,
            )
        )
    return and_(*conditions)


def unread(
    connection: Connection,
    account: Account,
    part: Part,
    given: Mapping[int, int],
    limit: int,
) -> Page:
    """The oldest `limit` unread messages, of one part or of all."""
    condition = _unread(account, part, given)
    wanted = (
        select(messages.c.id)
        .where(condition)
        .order_by(messages.c.id)
        .limit(limit)
        .correlate(None)  # it brings its own tables, though they have the same names outside
    )
    found = connection.execute(
        _select(account).where(messages.c.id.in_(wanted)).order_by(messages.c.id)
    ).all()
    remaining = 0
    if len(found) == limit:
        total = connection.execute(select(func.count(messages.c.id)).where(condition)).scalar_one()
        remaining = total - limit
    return Page([_message(row, account) for row in found], remaining)


def unread_counts(
    connection: Connection, account: Account, given: Mapping[int, int]
) -> list[UnreadCount]:
    """How many unread messages each conversation has, those that have any."""
    count = func.count(messages.c.id)
    rows = connection.execute(
        select(messages.c.conversation_id, participants.c.peer, groups.c.name, count)
        .select_from(messages)
        .join(participants, participants.c.conversation_id == messages.c.conversation_id)
        .outerjoin(groups, groups.c.conversation_id == messages.c.conversation_id)
        .where(_unread(account, WHOLE, given))
        .group_by(messages.c.conversation_id, participants.c.peer, groups.c.name)
        .order_by(func.min(messages.c.id))
    )
    return [UnreadCount(conversation, n, peer, group) for conversation, peer, group, n in rows]


def history(connection: Connection, account: Account, conversation: int, limit: int) -> Page:
    """The last `limit` messages of a conversation."""
    rows = connection.execute(
        _select(account)
        .where(messages.c.conversation_id == conversation)
        .order_by(messages.c.seq.desc())
        .limit(limit)
    ).all()
    return Page([_message(row, account) for row in reversed(rows)])


def search(connection: Connection, account: Account, text: str, limit: int) -> Page:
    """The newest `limit` messages in the account's conversations whose text, or file's name, holds
    `text`, whatever the case."""
    rows = connection.execute(
        _select(account)
        .where(
            or_(
                messages.c.text.icontains(text, autoescape=True),
                attachments.c.name.icontains(text, autoescape=True),
            )
        )
        .order_by(messages.c.id.desc())
        .limit(limit)
    ).all()
    return Page([_message(row, account) for row in reversed(rows)])
