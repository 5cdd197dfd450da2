"""Numbers and stores messages in batches, with the parcels for other realms. Jobs for the Database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, select
from twisted.internet.defer import CancelledError, Deferred

from chatd.base.errors import StorageFailed
from chatd.store.conversations import last_seq
from chatd.store.engine import driver_insert
from chatd.store.outbox import NewParcel, OutboxWriter
from chatd.store.schema import messages

MAX_CACHED_SEQS = 100_000


class RemoteCopies(msgspec.Struct, frozen=True):
    """The copies of a message for other realms, named by their keys. `parcel` carries it; it may be a
    function that makes the parcel from the message's seq. `sender_id` is the account to tell if it can't be
    delivered."""

    realms: tuple[str, ...]
    parcel: bytes | Callable[[int], bytes]
    sender_id: int | None = None


class NewMessage(msgspec.Struct, frozen=True):
    """A message on its way into a conversation. `at` is in ms since 1970 UTC.

    `seq` is its number in the conversation if its home realm has given it one, else the conversation numbers
    it. `origin` is the realm that it comes from, and the number of its parcel there. `key` is its idempotency
    key (see chatd.store.idempotent_sends).
    """

    conversation: int
    sender_id: int | None
    sender: str
    at: int
    text: str | None = None
    attachment_id: int | None = None
    seq: int | None = None
    origin: tuple[str, int] | None = None
    copies: RemoteCopies | None = None
    key: str | None = None


class Stored(NamedTuple):
    """A stored message. `first` is the number of its parcel to the first realm that it goes to, and the
    numbers of its parcels to the others follow; `parcel` is that parcel."""

    id: int
    seq: int
    first: int = 0
    parcel: bytes = b""


class ParcelStream:
    """The parcels that arrive over one link, in order. After one that could not be stored, no later one is
    stored, so that the order is kept. `broken` and `_waiting` belong to the reactor's thread, the rest to the
    writer's."""

    def __init__(self) -> None:
        self.broken = False
        self.culprit: tuple[str, int] | None = None  # origin of a failed job, which may run twice
        self._refused: int | None = None
        self._waiting: set[Deferred[Any]] = set()

    async def wait_for(self, turn: Deferred[Any]) -> None:
        """Wait for `turn`. Raises StorageFailed if the link ends first: its parcels arrive again over the
        next link and must not pile up here."""
        self._waiting.add(turn)
        try:
            await turn
        except CancelledError:
            raise StorageFailed from None
        finally:
            self._waiting.discard(turn)

    def end(self) -> None:
        """Note that the link has ended, which ends all waits."""
        for turn in list(self._waiting):
            turn.cancel()

    def check(self, refused: int, items: Sequence[NewMessage]) -> None:
        """Raises StorageFailed after a failure. `refused` counts the transactions that were not committed."""
        if self._refused is None:
            self._refused = refused
        failed = self.culprit is not None and self.culprit != items[0].origin
        if self.broken or failed or refused != self._refused:
            raise StorageFailed


class MessageWriter:
    """Numbers messages and stores them, with the parcels that carry them to other realms. It runs in the
    writer's thread and caches the last number of each conversation, so that a batch is one statement."""

    def __init__(self, outbox: OutboxWriter) -> None:
        self._outbox = outbox
        self._last_seq: dict[int, int] = {}
        self._last_id: int | None = None
        self._statement: str | None = None
        self._refused = 0
        # realm -> the newest number that came from there
        self._newest: dict[str, int] = {}

    def forget(self) -> None:
        """Drop the caches: after a rollback they may be ahead of the database."""
        self._last_seq.clear()
        self._last_id = None
        self._newest.clear()

    def refused(self) -> None:
        """Note that a whole transaction was not committed."""
        self._refused += 1

    def receive(
        self,
        connection: Connection,
        realm: str,
        items: Sequence[NewMessage],
        stream: ParcelStream | None = None,
    ) -> list[Stored | None]:
        """Store those of `items`, all from `realm`, that were not stored before. Returns None for the others.

        Raises StorageFailed if an earlier item of `stream` could not be stored.
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
            known = stored_numbers(connection, realm, numbers)
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
        """Return the newest number of a parcel from `realm` that contained a message."""
        newest = self._newest.get(realm)
        if newest is None:
            newest = self._newest[realm] = connection.execute(
                select(func.coalesce(func.max(messages.c.origin_id), 0)).where(
                    messages.c.origin_realm == realm
                )
            ).scalar_one()
        return newest

    def store(self, connection: Connection, items: Sequence[NewMessage]) -> list[Stored]:
        """Number and insert `items` in this order, and their parcels."""
        if not items:
            return []
        ident = self._last_message_id(connection)
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
            # A home that was restored from a backup may use a seq again: keep numbering upward.
            seqs[conversation] = seq = max(seq + 1, item.seq or 0)
            parcel = None
            if item.copies is None:
                stored.append(Stored(ident, seq))
            else:
                first = self._outbox.next(connection) + len(parcels)
                if item.copies.sender_id is not None:
                    parcel = first
                parcels.extend(_parcels(item, seq))
                stored.append(Stored(ident, seq, first, parcels[-1].parcel))
            rows.append(_row(item, ident, seq, parcel))
        if self._statement is None:
            self._statement = driver_insert(connection, messages)
        connection.exec_driver_sql(self._statement, rows)
        self._last_id = ident
        if parcels:
            self._outbox.store(connection, parcels)
        return stored

    def _last_message_id(self, connection: Connection) -> int:
        if self._last_id is None:
            self._last_id = connection.execute(
                select(func.coalesce(func.max(messages.c.id), 0))
            ).scalar_one()
        return self._last_id


def _row(item: NewMessage, ident: int, seq: int, parcel: int | None) -> tuple[object, ...]:
    """The values of a message, in the order of the table's columns."""
    origin_realm, origin_id = item.origin or (None, None)
    return (
        ident,
        item.conversation,
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


def _parcels(item: NewMessage, seq: int) -> list[NewParcel]:
    """The parcels that carry `item` to other realms."""
    copies = item.copies
    assert copies is not None  # noqa: S101 - the caller has checked it
    parcel = copies.parcel
    if not isinstance(parcel, bytes):
        parcel = parcel(seq)
    return [
        NewParcel(realm, parcel, item.at, copies.sender_id, item.attachment_id)
        for realm in copies.realms
    ]


def is_stored(connection: Connection, realm: str, number: int) -> bool:
    """Whether the message from this parcel of a realm is stored."""
    found = connection.scalar(
        select(messages.c.id).where(
            messages.c.origin_realm == realm, messages.c.origin_id == number
        )
    )
    return found is not None


def stored_numbers(connection: Connection, realm: str, numbers: Sequence[int]) -> set[int]:
    """Return the numbers of those parcels of a realm whose messages are stored."""
    return set(
        connection.scalars(
            select(messages.c.origin_id).where(
                messages.c.origin_realm == realm, messages.c.origin_id.in_(numbers)
            )
        )
    )


def remove(connection: Connection, ident: int) -> None:
    """Remove a message that another realm refused while its sender waited."""
    connection.execute(delete(messages).where(messages.c.id == ident))
