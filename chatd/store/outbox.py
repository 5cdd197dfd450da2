"""The outbox: what still has to reach other realms, in order. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    select,
    update,
)

from chatd.store.engine import driver_insert
from chatd.store.schema import outbox, settings

_COUNTER = "last parcel"
ROWS = 32  # that are taken out by one statement
RESERVED = 10_000  # numbers at a time
MAX_SKIPPED = 1 << 32
MAX_SEEN = 1 << 52  # half of what a number may be


class NewParcel(msgspec.Struct, frozen=True):
    """Something for another realm. `sender_id` is the account to be told if it can't be delivered,
    `attachment_id` the file that goes with it; `created_at` is in ms since 1970 UTC."""

    realm: str
    parcel: bytes
    created_at: int
    sender_id: int | None = None
    attachment_id: int | None = None


class QueuedParcel(msgspec.Struct, frozen=True):
    """A parcel that waits. `id` is its number among all that this realm ever sent."""

    id: int
    parcel: bytes
    created_at: int
    sender_id: int | None
    attachment_id: int | None


class Depth(msgspec.Struct, frozen=True):
    """What waits for a realm: how many parcels, and since when the oldest (ms since 1970 UTC)."""

    queued: int = 0
    oldest: int | None = None


class OutboxWriter:
    """Numbers parcels and stores them. Lives in the writer's thread.

    A number is never given again, not even when nothing waits any more: the other realm tells by it what
    it has had. So that this need not be written down each time, numbers are reserved in advance; those
    that a start finds reserved are left out.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._reserved = 0
        self._statement: str | None = None

    def forget(self) -> None:
        """Something was rolled back: what is kept here may be ahead of what is stored."""
        self._last = None

    def last(self, connection: Connection) -> int:
        """The newest number."""
        if self._last is None:
            kept = connection.scalar(select(settings.c.value).where(settings.c.name == _COUNTER))
            newest = connection.scalar(select(func.max(outbox.c.id)))
            if kept is None:
                connection.execute(insert(settings).values(name=_COUNTER, value="0"))
            self._last = self._reserved = max(int(kept or 0), newest or 0)
        return self._last

    def next(self, connection: Connection) -> int:
        """The number that the next parcel gets."""
        return self.last(connection) + 1

    def _advance(self, connection: Connection, last: int) -> None:
        self._last = last
        if last > self._reserved:
            self._reserved = last + RESERVED
            connection.execute(
                update(settings)
                .where(settings.c.name == _COUNTER)
                .values(value=str(self._reserved))
            )

    def skip(self, connection: Connection, seen: int) -> None:
        """Number what comes after `seen`, which another realm has had from here: if it is more than is
        known here, an older state was put back, and its numbers must not be given again.

        More than a realm could have sent since then is not believed, nor, however often it is said, what
        brings the numbers near their end.
        """
        last = self.last(connection)
        if last < seen <= min(last + MAX_SKIPPED, MAX_SEEN):
            self._advance(connection, seen)

    def store(self, connection: Connection, items: Sequence[NewParcel]) -> list[int]:
        """Store `items` in this order; their numbers."""
        number = self.last(connection)
        rows = []
        numbers = []
        for item in items:
            number += 1
            numbers.append(number)
            rows.append(
                (
                    item.realm,
                    number,
                    item.sender_id,
                    item.attachment_id,
                    item.created_at,
                    item.parcel,
                )
            )
        if self._statement is None:
            self._statement = driver_insert(connection, outbox)
        connection.exec_driver_sql(self._statement, rows)
        self._advance(connection, number)
        return numbers


_WAITING = (
    outbox.c.id,
    outbox.c.parcel,
    outbox.c.created_at,
    outbox.c.sender_id,
    outbox.c.attachment_id,
)


def waiting(connection: Connection, realm: str, after: int, limit: int) -> list[QueuedParcel]:
    """What waits for a realm, numbered above `after`, in order."""
    rows = connection.execute(
        select(*_WAITING)
        .where(outbox.c.realm == realm, outbox.c.id > after)
        .order_by(outbox.c.id)
        .limit(limit)
    )
    return [QueuedParcel(*row) for row in rows]


def get(connection: Connection, realm: str, number: int) -> QueuedParcel | None:
    row = connection.execute(
        select(*_WAITING).where(outbox.c.realm == realm, outbox.c.id == number)
    ).first()
    return None if row is None else QueuedParcel(*row)


def too_old(connection: Connection, before: int, limit: int) -> list[tuple[str, QueuedParcel]]:
    """What has waited since before then (ms since 1970 UTC), and for which realm."""
    rows = connection.execute(
        select(outbox.c.realm, *_WAITING)
        .where(outbox.c.created_at < before)
        .order_by(outbox.c.id)
        .limit(limit)
    )
    return [(row[0], QueuedParcel(*row[1:])) for row in rows]


def done(connection: Connection, realm: str, numbers: Sequence[int]) -> None:
    """These need not wait any more."""
    # Always as many in one statement, the last one again and again if need be: so it is prepared once.
    padded = [*numbers, *[numbers[-1]] * (-len(numbers) % ROWS)]
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    connection.exec_driver_sql(
        f"DELETE FROM outbox WHERE realm = {mark} AND id IN ({', '.join([mark] * ROWS)})",  # noqa: S608
        [(realm, *padded[start : start + ROWS]) for start in range(0, len(padded), ROWS)],
    )


def remove(connection: Connection, realm: str, number: int) -> bool:
    """Take a parcel out; whether it was still there."""
    gone = connection.execute(delete(outbox).where(outbox.c.realm == realm, outbox.c.id == number))
    return bool(gone.rowcount)


def depths(connection: Connection) -> dict[str, Depth]:
    """What waits for each realm that something waits for."""
    rows = connection.execute(
        select(outbox.c.realm, func.count(), func.min(outbox.c.created_at)).group_by(outbox.c.realm)
    )
    return {realm: Depth(queued, oldest) for realm, queued, oldest in rows}


def setting(connection: Connection, name: str, default: str) -> str:
    """What is remembered under `name`; `default` is, from now on, if nothing was."""
    found: str | None = connection.scalar(select(settings.c.value).where(settings.c.name == name))
    if found is None:
        connection.execute(insert(settings).values(name=name, value=default))
        return default
    return found


def waits(realm: ColumnElement[str], number: ColumnElement[int]) -> ColumnElement[bool]:
    """A condition: the parcel of that number still waits for that realm. Rows without a parcel are not looked
    up."""
    waiting = exists().where(outbox.c.realm == realm, outbox.c.id == number)
    return case((number.is_not(None), waiting), else_=false())
