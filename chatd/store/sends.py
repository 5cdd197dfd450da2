"""Sends that clients have named by keys of their own, and what was answered to them: kept for a week, so
that a client that never heard the answer may ask again and nothing is sent twice. Jobs for the Database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    Connection,
    and_,
    delete,
    select,
    update,
)

from chatd.store import messages as message_store
from chatd.store import outbox as outbox_store
from chatd.store.engine import driver_insert
from chatd.store.messages import MessageWriter, NewMessage, Stored
from chatd.store.outbox import NewParcel, OutboxWriter
from chatd.store.schema import sends

KEPT_FOR = 7 * 24 * 3600 * 1000  # ms
TIDY_EVERY = 3600 * 1000  # ms
MAX_TIDIED = 1000  # at a time: others wait for it
PROBED = 16  # that are looked up by one statement


class SendKey(NamedTuple):
    """What stands for one send: whose, the client's key, and where to: the conversation's id, or
    `group@realm` (by its key) if the group is numbered there."""

    account_id: int
    key: str
    place: str


class RecordedSend(NamedTuple):
    """Where that stands which was sent before; 0 is a number that is not known. `queued`: it waits for the
    other realm still."""

    conversation: int
    seq: int
    id: int
    attachment_id: int | None
    queued: bool


class NewPost(msgspec.Struct, frozen=True):
    """A message to a group of another realm. `conversation` is what is known of that here, or 0."""

    name: SendKey
    conversation: int
    parcel: NewParcel


def name_of(new: NewMessage) -> SendKey | None:
    """What stands for a message that has a key."""
    if new.key is None or new.sender_id is None:
        return None
    return SendKey(new.sender_id, new.key, str(new.conversation))


class SendsWriter:
    """Stores what has a key, once. Lives in the writer's thread; what has no key does not come here."""

    def __init__(self, messages: MessageWriter, outbox_writer: OutboxWriter) -> None:
        self._messages = messages
        self._outbox = outbox_writer
        self._statement: str | None = None
        self._tidied = 0

    def store(
        self, connection: Connection, items: Sequence[NewMessage]
    ) -> list[Stored | RecordedSend]:
        """Store those of `items`, which have keys, that were not sent before; where each of them stands."""
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
            crossing = item.crossing
            # A group's messages go out by themselves; their sender has nothing to wait for.
            waits = crossing is not None and crossing.sender_id is not None
            realm, parcel = (
                (crossing.realms[0], place.first) if waits and crossing else (None, None)
            )
            rows.append(
                (*name, item.at, item.conversation, place.seq, place.id, file, realm, parcel)
            )
            known[name] = RecordedSend(item.conversation, place.seq, place.id, file, waits)
        self._note(connection, rows)
        # Who comes first has stored it; the same again, in the same batch, finds it stored.
        return [stored.pop(name) if name in stored else known[name] for name in names]

    def put(self, connection: Connection, items: Sequence[NewPost]) -> list[int | RecordedSend]:
        """Put those of `items` into the outbox that were not sent before; the number of each parcel, or
        where it stands."""
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
            known[name] = RecordedSend(conversation, 0, 0, parcel.attachment_id, True)
        self._note(connection, rows)
        names = [item.name for item in items]
        return [numbers.pop(name) if name in numbers else known[name] for name in names]

    def _note(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        if self._statement is None:
            self._statement = driver_insert(connection, sends)
        connection.exec_driver_sql(self._statement, list(rows))
        now = rows[-1][3]
        if now >= self._tidied + TIDY_EVERY and tidy(connection, now - KEPT_FOR) < MAX_TIDIED:
            self._tidied = now


def _name_of(new: NewMessage) -> SendKey:
    name = name_of(new)
    assert name is not None  # noqa: S101 - nothing else is given to it
    return name


def find(connection: Connection, names: Sequence[SendKey]) -> dict[SendKey, RecordedSend]:
    """What is known of those of `names` that were sent before: hardly any, mostly."""
    return {name: _get(connection, name) for name in _sent_before(connection, names)}


def _sent_before(connection: Connection, names: Sequence[SendKey]) -> set[SendKey]:
    size = 1 if len(names) == 1 else PROBED
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    # Each by the key's index, which SQLite does not use for `IN`. Always as many in one statement, the
    # last one again and again if need be: so it is prepared once.
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


def _get(connection: Connection, name: SendKey) -> RecordedSend:
    row = connection.execute(
        select(
            sends.c.conversation_id,
            sends.c.seq,
            sends.c.message_id,
            sends.c.attachment_id,
            outbox_store.waits(sends.c.realm, sends.c.parcel),
        ).where(_which(name))
    ).one()
    conversation, seq, ident, file, queued = row
    return RecordedSend(conversation or 0, seq or 0, ident or 0, file, bool(queued))


def _which(name: SendKey) -> Any:
    return and_(
        sends.c.account_id == name.account_id, sends.c.key == name.key, sends.c.place == name.place
    )


def take_back(
    connection: Connection, name: SendKey, ident: int, realm: str, parcel_number: int
) -> None:
    """What was sent under `name` was refused before its sender read OK: the message of that id (0: there
    is none), and the parcel with it. Where it is sent again, the one must not arrive after all."""
    connection.execute(delete(sends).where(_which(name)))
    outbox_store.remove(connection, realm, parcel_number)
    if ident:
        message_store.take_back(connection, ident)


def number(connection: Connection, name: SendKey, conversation: int, seq: int, ident: int) -> None:
    """A group's home has numbered what was sent under `name`: to be answered from now on."""
    connection.execute(
        update(sends)
        .where(_which(name))
        .values(conversation_id=conversation or None, seq=seq or None, message_id=ident or None)
    )


def tidy(connection: Connection, before: int) -> int:
    """Forget what was sent before then (ms since 1970 UTC), the oldest first; how many those were."""
    old = (
        select(sends.c.at)
        .where(sends.c.at < before)
        .order_by(sends.c.at)
        .offset(MAX_TIDIED - 1)
        .limit(1)
    )
    last = connection.scalar(old)
    gone = connection.execute(
        delete(sends).where(sends.c.at < before if last is None else sends.c.at <= last)
    )
    return int(gone.rowcount)
