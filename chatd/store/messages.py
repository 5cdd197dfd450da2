"""Messages: storing them in batches, and reading them. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    column,
    delete,
    exists,
    func,
    or_,
    select,
    values,
)

from chatd.errors import StorageFailed
from chatd.model import Account, Attachment, Message, UnreadCount
from chatd.store.conversations import last_seq
from chatd.store.engine import driver_insert
from chatd.store.outbox import NewParcel, OutboxWriter, waits
from chatd.store.schema import attachments, groups, messages, participants

MAX_CACHED_SEQS = 100_000


class Crossing(msgspec.Struct, frozen=True):
    """To which realms (by their keys) a message goes besides, and the parcel that brings it there, which may
    have to be made of the message's seq. `sender_id` is the account to be told if it can't be delivered."""

    realms: tuple[str, ...]
    parcel: bytes | Callable[[int], bytes]
    sender_id: int | None = None


class NewMessage(msgspec.Struct, frozen=True):
    """A message on its way into a conversation. `at` is in ms since 1970 UTC.

    The conversation numbers it, unless `seq` says how its home realm has numbered it. `origin` is the
    realm that it comes from, and the number of its parcel there. `key` is what its sender's client calls
    it (see chatd.store.sends).
    """

    conversation: int
    sender_id: int | None
    sender: str
    at: int
    text: str | None = None
    attachment_id: int | None = None
    seq: int | None = None
    origin: tuple[str, int] | None = None
    crossing: Crossing | None = None
    key: str | None = None


class Stored(NamedTuple):
    """Where a message stands. `first` is the number of its parcel to the first realm that it goes to, those
    to the others follow; `parcel` is that parcel."""

    id: int
    seq: int
    first: int = 0
    parcel: bytes = b""


class Stream:
    """What comes from another realm over one link, in order: once something of it could not be stored,
    nothing that follows is. `broken` says that it is so for certain; the rest is for the writer's thread.
    """

    def __init__(self) -> None:
        self.broken = False
        self.culprit: tuple[str, int] | None = None  # of which a job failed: it may run twice
        self._refused: int | None = None

    def check(self, refused: int, items: Sequence[NewMessage]) -> None:
        """`refused` counts the transactions that were not committed. Raises StorageFailed."""
        if self._refused is None:
            self._refused = refused
        failed = self.culprit is not None and self.culprit != items[0].origin
        if self.broken or failed or refused != self._refused:
            raise StorageFailed


class MessageWriter:
    """Numbers messages and stores them, with the parcels that bring them to other realms. Lives in the
    writer's thread, and keeps there the last number of each conversation it wrote to, so that a batch is
    one statement."""

    def __init__(self, outbox: OutboxWriter) -> None:
        self._outbox = outbox
        self._last_seq: dict[int, int] = {}
        self._last_id: int | None = None
        self._statement: str | None = None
        self._refused = 0
        # realm -> the newest number that came from there
        self._newest: dict[str, int] = {}

    def forget(self) -> None:
        """Something was rolled back: what is kept here may be ahead of what is stored."""
        self._last_seq.clear()
        self._last_id = None
        self._newest.clear()

    def refused(self) -> None:
        """A whole transaction was not committed."""
        self._refused += 1

    def receive(
        self,
        connection: Connection,
        realm: str,
        items: Sequence[NewMessage],
        stream: Stream | None = None,
    ) -> list[Stored | None]:
        """Store those of `items`, all from `realm`, that have not come before; None for the others.

        Raises StorageFailed if what came before them on `stream` was not stored.
        """
        if stream is None:
            return self._receive(connection, realm, items)
        stream.check(self._refused, items)
        try:
            stored = self._receive(connection, realm, items)
        except Exception:
            stream.culprit = items[0].origin
            raise
        stream.culprit = None
        return stored

    def _receive(
        self, connection: Connection, realm: str, items: Sequence[NewMessage]
    ) -> list[Stored | None]:
        numbers = [item.origin[1] for item in items if item.origin is not None]
        newest = self.newest_from(connection, realm)
        known: set[int] = set()
        if min(numbers) <= newest:
            known = set(
                connection.scalars(
                    select(messages.c.origin_id).where(
                        messages.c.origin_realm == realm, messages.c.origin_id.in_(numbers)
                    )
                )
            )
        fresh: dict[int, NewMessage] = {}
        for number, item in zip(numbers, items, strict=True):
            if number in known:
                continue
            known.add(number)
            fresh[number] = item
        stored = dict(zip(fresh, self.store(connection, list(fresh.values())), strict=True))
        self._newest[realm] = max(newest, *numbers)
        return [stored.pop(number, None) for number in numbers]

    def newest_from(self, connection: Connection, realm: str) -> int:
        """The newest number of a parcel from `realm` that brought a message."""
        newest = self._newest.get(realm)
        if newest is None:
            newest = self._newest[realm] = connection.execute(
                select(func.coalesce(func.max(messages.c.origin_id), 0)).where(
                    messages.c.origin_realm == realm
                )
            ).scalar_one()
        return newest

    def store(self, connection: Connection, items: Sequence[NewMessage]) -> list[Stored]:
        """Store `items` in this order; where each of them stands."""
        if not items:
            return []
        ident = self._last_id
        if ident is None:
            ident = connection.execute(
                select(func.coalesce(func.max(messages.c.id), 0))
            ).scalar_one()
        seqs = self._last_seq
        if len(seqs) > MAX_CACHED_SEQS:
            seqs.clear()
        rows = []
        stored: list[Stored] = []
        parcels: list[NewParcel] = []
        for item in items:
            ident += 1
            conversation = item.conversation
            seq = seqs.get(conversation)
            if seq is None:
                seq = last_seq(connection, conversation)
            # A home that was put back to an older state may give a number again: then ours goes on.
            seqs[conversation] = seq = max(seq + 1, item.seq or 0)
            parcel = None
            if item.crossing is None:
                stored.append(Stored(ident, seq))
            else:
                first = self._outbox.next(connection) + len(parcels)
                if item.crossing.sender_id is not None:
                    parcel = first
                parcels.extend(_parcels(item, seq))
                stored.append(Stored(ident, seq, first, parcels[-1].parcel))
            origin_realm, origin_id = item.origin or (None, None)
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
                    origin_realm,
                    origin_id,
                    parcel,
                )
            )
        if self._statement is None:
            self._statement = driver_insert(connection, messages)
        connection.exec_driver_sql(self._statement, rows)
        self._last_id = ident
        if parcels:
            self._outbox.store(connection, parcels)
        return stored


def _parcels(item: NewMessage, seq: int) -> list[NewParcel]:
    """What brings `item` to the realms that it goes to."""
    crossing = item.crossing
    assert crossing is not None  # noqa: S101 - asked for by the caller
    parcel = crossing.parcel
    if not isinstance(parcel, bytes):
        parcel = parcel(seq)
    return [
        NewParcel(realm, parcel, item.at, crossing.sender_id, item.attachment_id)
        for realm in crossing.realms
    ]


def has_come(connection: Connection, realm: str, number: int) -> bool:
    """Whether that parcel of a realm has brought a message already."""
    found = connection.scalar(
        select(messages.c.id).where(
            messages.c.origin_realm == realm, messages.c.origin_id == number
        )
    )
    return found is not None


def take_back(connection: Connection, ident: int) -> None:
    """Remove a message that was refused before its sender read OK."""
    connection.execute(delete(messages).where(messages.c.id == ident))


class Page(msgspec.Struct, frozen=True):
    """Messages, oldest first, and how many more there are."""

    messages: list[Message]
    remaining: int = 0


# Whether a message still waits for the realm of its recipient.
_QUEUED = waits(participants.c.realm, messages.c.parcel)

# What an account reads of a message: the message, what carries it, and where it stands. Queries of other
# files have them first, and give a row of theirs to `message_of`.
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
        select(*COLUMNS)
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
    ident, conversation, seq, at, sender, sender_id, text, peer, group, queued, *file = row
    to = None if group is not None else peer if sender_id == account.id else account.name
    attachment = None if file[0] is None else Attachment(*file)
    return Message(ident, conversation, seq, at, sender, to, group, text, attachment, bool(queued))


def message_of(row: Sequence[Any], account: Account) -> Message | None:
    """The message that a row begins with, as the account reads it; None where an outer join found none."""
    return None if row[0] is None else _message(row[: len(COLUMNS)], account)


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


def history(
    connection: Connection,
    account: Account,
    conversation: int,
    limit: int,
    before: int | None = None,
) -> Page:
    """The last `limit` messages of a conversation, of those with a smaller seq than `before`, if given."""
    query = _select(account).where(messages.c.conversation_id == conversation)
    if before is not None:
        query = query.where(messages.c.seq < before)
    rows = connection.execute(query.order_by(messages.c.seq.desc()).limit(limit)).all()
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
