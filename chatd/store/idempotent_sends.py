"""Idempotent sends: messages that clients send with a key, and the outcomes, stored for a week.

A client that lost the connection before the reply sends the same key again, and nothing is sent twice. Jobs
for the Database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.store import messages as message_store
from chatd.store import outbox as outbox_store
from chatd.store.engine import driver_insert, placeholder
from chatd.store.messages import MessageWriter, NewMessage, Stored
from chatd.store.outbox import NewParcel, OutboxWriter
from chatd.store.schema import sends

KEPT_FOR = 7 * 24 * 3600 * 1000  # ms
PRUNE_EVERY = 3600 * 1000  # ms
MAX_PRUNED = 1000  # at a time, because other jobs wait meanwhile
PROBED = 16  # keys that one statement looks up


class SendKey(NamedTuple):
    """Identifies a send: the account, the client's key, and the place, which is the id of a conversation, or
    the key of `group@realm` if that realm numbers the messages."""

    account_id: int
    key: str
    place: str


class RecordedSend(NamedTuple):
    """The outcome of an earlier send. A number that is not known is 0. `queued`: it still waits for the other
    realm. `at` is in ms since 1970 UTC."""

    conversation: int
    seq: int
    id: int
    attachment_id: int | None
    queued: bool
    at: int


class NewPost(msgspec.Struct, frozen=True):
    """A message to a group of another realm. `conversation` is the id of its mirror here, or 0."""

    name: SendKey
    conversation: int
    parcel: NewParcel


def name_of(new: NewMessage) -> SendKey | None:
    """Return the SendKey of a message, or None if it was sent without a key."""
    if new.key is None or new.sender_id is None:
        return None
    return SendKey(new.sender_id, new.key, str(new.conversation))


class SendsWriter:
    """Stores messages that have keys, each once, in the writer's thread."""

    def __init__(self, messages: MessageWriter, outbox_writer: OutboxWriter) -> None:
        self._messages = messages
        self._outbox = outbox_writer
        self._statement: str | None = None
        self._pruned = 0

    def store(
        self, connection: sa.Connection, items: Sequence[NewMessage]
    ) -> list[Stored | RecordedSend]:
        """Store the `items` that were not sent before. Returns the outcome of each. All of them have keys."""
        names = [_name_of(item) for item in items]
        known = find(connection, names)
        fresh: dict[SendKey, NewMessage] = {}
        for name, item in zip(names, items, strict=True):
            if name not in known:
                fresh.setdefault(name, item)
        stored = dict(
            zip(fresh, self._messages.store(connection, list(fresh.values())), strict=True)
        )
        rows = []
        for name, item in fresh.items():
            place, file = stored[name], item.attachment_id
            copies = item.copies
            # Senders do not wait for deliveries of a group's messages.
            waits = copies is not None and copies.sender_id is not None
            realm, parcel = (copies.realms[0], place.number) if waits and copies else (None, None)
            rows.append(
                (*name, item.at, item.conversation, place.seq, place.id, file, realm, parcel)
            )
            known[name] = RecordedSend(item.conversation, place.seq, place.id, file, waits, item.at)
        self._note(connection, rows)
        # The first item with a key stores it. Repetitions in the same batch find it stored.
        return [stored.pop(name) if name in stored else known[name] for name in names]

    def put(self, connection: sa.Connection, items: Sequence[NewPost]) -> list[int | RecordedSend]:
        """Put the `items` that were not sent before into the outbox. Returns the number of each parcel, or
        the outcome of the earlier send."""
        known = find(connection, [item.name for item in items])
        fresh: dict[SendKey, NewPost] = {}
        for item in items:
            if item.name not in known:
                fresh.setdefault(item.name, item)
        numbers: dict[SendKey, int] = {}
        if fresh:
            parcels = [item.parcel for item in fresh.values()]
            numbers = dict(zip(fresh, self._outbox.store(connection, parcels), strict=True))
        rows = []
        for name, item in fresh.items():
            parcel, conversation = item.parcel, item.conversation
            to = (parcel.attachment_id, parcel.realm, numbers[name])
            rows.append((*name, parcel.created_at, conversation or None, None, None, *to))
            known[name] = RecordedSend(
                conversation, 0, 0, parcel.attachment_id, True, parcel.created_at
            )
        self._note(connection, rows)
        names = [item.name for item in items]
        return [numbers.pop(name) if name in numbers else known[name] for name in names]

    def _note(self, connection: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        if self._statement is None:
            self._statement = driver_insert(connection, sends)
        connection.exec_driver_sql(self._statement, list(rows))
        now = rows[-1][3]
        if now >= self._pruned + PRUNE_EVERY and prune(connection, now - KEPT_FOR) < MAX_PRUNED:
            self._pruned = now


def _name_of(new: NewMessage) -> SendKey:
    name = name_of(new)
    assert name is not None  # noqa: S101 - the caller passes only messages with keys
    return name


def find(connection: sa.Connection, names: Sequence[SendKey]) -> dict[SendKey, RecordedSend]:
    """Return the outcomes of those of `names` that were sent before."""
    return {name: _get(connection, name) for name in _sent_before(connection, names)}


def _sent_before(connection: sa.Connection, names: Sequence[SendKey]) -> set[SendKey]:
    size = 1 if len(names) == 1 else PROBED
    mark = placeholder(connection)
    # EXISTS uses the index of the primary key, which SQLite does not do for `IN` with rows. Each statement
    # has 1 or PROBED keys, padded with the last one, so that it is prepared only once.
    probe = (
        f"WITH asked (a, k, p) AS (VALUES {', '.join([f'({mark}, {mark}, {mark})'] * size)}) "  # noqa: S608
        "SELECT a, k, p FROM asked WHERE EXISTS "
        '(SELECT 1 FROM sends WHERE account_id = a AND "key" = k AND place = p)'
    )
    found: set[SendKey] = set()
    for start in range(0, len(names), size):
        asked = names[start : start + size]
        padded = [*asked, *[asked[-1]] * (size - len(asked))]
        values = tuple(value for name in padded for value in name)
        found.update(SendKey(*row) for row in connection.exec_driver_sql(probe, values))
    return found


def _get(connection: sa.Connection, name: SendKey) -> RecordedSend:
    row = connection.execute(
        sa.select(
            sends.c.conversation_id,
            sends.c.seq,
            sends.c.message_id,
            sends.c.attachment_id,
            outbox_store.waits(sends.c.realm, sends.c.parcel),
            sends.c.at,
        ).where(_which(name))
    ).one()
    conversation, seq, ident, file, queued, at = row
    return RecordedSend(conversation or 0, seq or 0, ident or 0, file, bool(queued), at)


def _which(name: SendKey) -> Any:
    return sa.and_(
        sends.c.account_id == name.account_id, sends.c.key == name.key, sends.c.place == name.place
    )


def undo(
    connection: sa.Connection, name: SendKey, ident: int, realm: str, parcel_number: int
) -> None:
    """Remove a send that another realm refused before the sender got a reply: its message (`ident`, 0 if
    there is none) and its parcel. The client may send it again, and only that one must arrive."""
    connection.execute(sa.delete(sends).where(_which(name)))
    outbox_store.remove(connection, realm, parcel_number)
    if ident:
        message_store.remove(connection, ident)


def record_numbers(
    connection: sa.Connection, name: SendKey, conversation: int, seq: int, ident: int
) -> None:
    """Record the numbers that a group's home has given to the message sent as `name`."""
    connection.execute(
        sa.update(sends)
        .where(_which(name))
        .values(conversation_id=conversation or None, seq=seq or None, message_id=ident or None)
    )


def prune(connection: sa.Connection, before: int) -> int:
    """Remove sends before `before` (ms since 1970 UTC), at most some MAX_PRUNED, oldest first. Returns their
    number."""
    old = (
        sa.select(sends.c.at)
        .where(sends.c.at < before)
        .order_by(sends.c.at)
        .offset(MAX_PRUNED - 1)
        .limit(1)
    )
    last = connection.scalar(old)
    gone = connection.execute(
        sa.delete(sends).where(sends.c.at < before if last is None else sends.c.at <= last)
    )
    return int(gone.rowcount)
