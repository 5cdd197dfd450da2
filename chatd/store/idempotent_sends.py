"""Idempotent sends: messages that clients send with a key, and the outcomes, stored for a week.

A client that lost the connection before the reply sends the same key again, and nothing is sent twice. Jobs
for the Database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from twisted.python.failure import Failure

from chatd.base.model import DELIVERED, QUEUED, REFUSED, STORED
from chatd.store.engine import placeholder
from chatd.store.messages import MessageWriter
from chatd.store.new_entries import NewMessage, Stored
from chatd.store.once import store_once
from chatd.store.outcomes import KeptRefusal, read_refusal, sent_state
from chatd.store.pending import NewPost, PendingWriter
from chatd.store.row_inserter import RowInserter
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
    """An earlier send, in its current state. A number that is not known is 0. `at` is in ms since 1970 UTC.
    `refusal`: another realm has refused it."""

    conversation: int
    seq: int
    id: int
    attachment_id: int | None
    at: int
    state: str
    refusal: KeptRefusal | None = None


class NamedPost(msgspec.Struct, frozen=True):
    """A message to a group of another realm that has a key."""

    name: SendKey
    post: NewPost


def name_of(new: NewMessage) -> SendKey | None:
    """Return the SendKey of a message, or None if it was sent without a key."""
    if new.key is None or new.sender_id is None:
        return None
    return SendKey(new.sender_id, new.key, str(new.conversation))


class SendsWriter:
    """Stores messages that have keys, each once, in the writer's thread."""

    def __init__(self, messages: MessageWriter, pending_writer: PendingWriter) -> None:
        self._messages = messages
        self._pending = pending_writer
        self._rows = RowInserter(sends)
        self._pruned = 0

    def store(
        self, connection: sa.Connection, items: Sequence[NewMessage]
    ) -> list[Stored | RecordedSend | Failure]:
        """Store the `items` that were not sent before. Returns the outcome of each. All of them have keys."""
        names = [_name_of(item) for item in items]

        def store(fresh: list[NewMessage]) -> Sequence[Stored | Failure]:
            stored = self._messages.send(connection, fresh)
            rows = [
                _row(_name_of(item), item, place)
                for item, place in zip(fresh, stored, strict=True)
                if not isinstance(place, Failure)
            ]
            self._note(connection, rows)
            return stored

        return store_once(names, items, find(connection, names), store, _recorded)

    def put(
        self, connection: sa.Connection, items: Sequence[NamedPost]
    ) -> list[Stored | RecordedSend | Failure]:
        """As `store`, for messages to groups of other realms."""
        names = [item.name for item in items]

        def store(fresh: list[NamedPost]) -> list[Stored | Failure]:
            stored = self._pending.store(connection, [item.post for item in fresh])
            rows = [
                _row(item.name, item.post.new, place)
                for item, place in zip(fresh, stored, strict=True)
                if not isinstance(place, Failure)
            ]
            self._note(connection, rows)
            return stored

        return store_once(names, items, find(connection, names), store, _recorded_post)

    def _note(self, connection: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        self._rows.insert(connection, rows)
        now = rows[-1][3]
        if now >= self._pruned + PRUNE_EVERY and prune(connection, now - KEPT_FOR) < MAX_PRUNED:
            self._pruned = now


def _row(name: SendKey, new: NewMessage, place: Stored) -> tuple[Any, ...]:
    """The values of a row, in the order of the table's columns."""
    return (*name, new.at, new.conversation or None, None, place.id, new.attachment_id, None)


def _recorded(new: NewMessage, place: Stored | Failure) -> RecordedSend | Failure:
    """What is known of a message that was stored, or refused, a moment ago."""
    return place if isinstance(place, Failure) else _recorded_message(new, place)


def _recorded_message(new: NewMessage, place: Stored) -> RecordedSend:
    # Senders do not wait for deliveries of copies of a group's messages.
    waits = not place.seq or (new.copies is not None and new.copies.sender_id is not None)
    file, state = new.attachment_id, QUEUED if waits else STORED
    return RecordedSend(new.conversation, place.seq, place.id, file, new.at, state)


def _recorded_post(item: NamedPost, place: Stored | Failure) -> RecordedSend | Failure:
    return place if isinstance(place, Failure) else _recorded_message(item.post.new, place)


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
    row = connection.execute(sa.select(sends).where(_which(name))).one()
    conversation, seq, ident = row.conversation_id or 0, row.seq or 0, row.message_id or 0
    refusal = read_refusal(row.refused)
    entry = None
    if ident:
        entry = sent_state(connection, name.account_id, ident)
    if entry is not None:
        conversation, seq, ident, state, refusal = entry
    elif refusal is not None:
        state = REFUSED  # it was dismissed
    else:
        state = DELIVERED  # to a group elsewhere, by someone who is no member
    return RecordedSend(conversation, seq, ident, row.attachment_id, row.at, state, refusal)


def _which(name: SendKey) -> Any:
    return sa.and_(
        sends.c.account_id == name.account_id, sends.c.key == name.key, sends.c.place == name.place
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
