"""The outbox: parcels that wait for delivery to other realms, in order. Jobs and queries for the Database.

A parcel that goes to several realms is stored once (chatd.store.payloads).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.store.driver import execute_many
from chatd.store.engine import placeholder
from chatd.store.macs import encode_values, is_whole, keyed_hash, mac_of, report_altered
from chatd.store.number_pages import MAX_NUMBERS, ROWS, pages_of
from chatd.store.parcel_numbers import ParcelNumbers
from chatd.store.payloads import WITH_PAYLOADS, drop_payloads, parcel_column, share
from chatd.store.prepared import prepared
from chatd.store.row_inserter import RowInserter
from chatd.store.schema import outbox
from chatd.store.sealing import Draft, Numbered, make_parcels


class NewParcel(msgspec.Struct, frozen=True):
    """A parcel for another realm, or the draft of an entry that is signed when it is stored. `sender_id` is
    the account to tell if it can't be delivered, `attachment_id` the file that goes with it. `created_at` is
    in ms since 1970 UTC. `number` is that of the entry that it carries; 0: it gets the next one. Of parcels
    with the same `subject`, only the newest waits.
    """

    realm: str
    parcel: bytes | Draft
    created_at: int
    sender_id: int | None = None
    attachment_id: int | None = None
    number: int = 0
    subject: str | None = None


class QueuedParcel(msgspec.Struct, frozen=True):
    """A parcel in the outbox. `id` is its number: of one realm's parcels, no two have the same."""

    id: int
    parcel: bytes
    created_at: int
    sender_id: int | None
    attachment_id: int | None


class BlankedParcel(msgspec.Struct, frozen=True):
    """A parcel in the outbox for a realm that has lost its content."""

    realm: str
    number: int
    parcel: bytes


class Depth(msgspec.Struct, frozen=True):
    """How many parcels wait for a realm, and since when the oldest does (ms since 1970 UTC)."""

    queued: int = 0
    oldest: int | None = None


class OutboxWriter(ParcelNumbers):
    """Numbers parcels and stores them, in the writer's thread."""

    def __init__(self, now: Callable[[], int], random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(now, random_bytes)
        self._rows = RowInserter(outbox)

    def store(self, connection: sa.Connection, items: Sequence[NewParcel]) -> list[int]:
        """Store `items` in this order, and return their numbers."""
        last = self.next(connection) - 1
        numbers = []
        replacing = False
        for item in items:
            number = item.number or last + 1
            last = number if number > last else last
            numbers.append(number)
            replacing = replacing or item.subject is not None
        sealed, keyed = _sealed(items, numbers), keyed_hash(connection)
        rows = []
        for item, number in zip(items, numbers, strict=True):
            realm, parcel = item.realm, sealed.get(number, item.parcel)
            place = realm, number, item.sender_id, item.attachment_id, item.created_at
            mac = None
            if keyed is not None:  # as `mac_of`, without a call
                hashed = keyed.copy()
                hashed.update(encode_values((realm, number, parcel)))
                mac = hashed.digest()
            rows.append((*place, parcel, item.subject, mac))
        if replacing:
            rows = _newest(connection, rows)
        if len(rows) > 1 and len(set(numbers)) < len(rows):
            rows = share(connection, rows)
        self._rows.insert(connection, rows)
        self._last = last
        return numbers


def _newest(connection: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Of new rows with the same realm and subject, the last one. Removes those that wait already."""
    kept = {}
    for row in rows:
        realm, number, *_, subject, _ = row
        if subject is not None:
            connection.execute(
                sa.delete(outbox).where(outbox.c.realm == realm, outbox.c.subject == subject)
            )
        kept[realm, number if subject is None else subject] = row
    return list(kept.values())


def blank(
    connection: sa.Connection, numbers: Sequence[int], blanked: Callable[[bytes], bytes]
) -> list[BlankedParcel]:
    """Replace the parcels with these numbers, to all realms, by what `blanked` makes of them. They keep their
    numbers and places; their files are not sent any more."""
    found: list[BlankedParcel] = []
    for start in range(0, len(numbers), MAX_NUMBERS):
        rows = connection.execute(*_to_all(list(numbers[start : start + MAX_NUMBERS])))
        found += [BlankedParcel(realm, number, blanked(parcel)) for realm, number, parcel in rows]
    keyed = keyed_hash(connection)
    for each in found:
        mac = mac_of(keyed, (each.realm, each.number, each.parcel))
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.realm == each.realm, outbox.c.id == each.number)
            .values(parcel=each.parcel, payload_id=None, attachment_id=None, mac=mac)
        )
    drop_payloads(connection, numbers)
    return found


@prepared
def realm_after(realm: Any) -> sa.Select[Any]:
    """The next realm in order for which parcels wait."""
    return sa.select(sa.func.min(outbox.c.realm)).where(outbox.c.realm > realm)


def _realms() -> sa.CTE:
    """The realms for which parcels wait, and NULL in the end. They are read from the index one by one,
    because each may have many parcels, but in one statement, because there may be many realms."""
    first = sa.select(sa.func.min(outbox.c.realm).label("realm"))
    realms = first.cte("realms", recursive=True)
    following = sa.select(sa.func.min(outbox.c.realm)).where(outbox.c.realm > realms.c.realm)
    return realms.union_all(
        sa.select(following.scalar_subquery()).where(realms.c.realm.is_not(None))
    )


_REALMS = _realms()
_WAITING_REALMS = sa.select(_REALMS.c.realm).where(_REALMS.c.realm.is_not(None))


def waiting_realms(connection: sa.Connection) -> list[str]:
    """The realms for which parcels wait, in order."""
    return list(connection.scalars(_WAITING_REALMS))


@prepared
def _to_all(numbers: Any) -> sa.Select[Any]:
    """The parcels with these numbers, to whichever realms."""
    return (
        sa.select(outbox.c.realm, outbox.c.id, parcel_column())
        .select_from(WITH_PAYLOADS)
        .where(outbox.c.realm.in_(_WAITING_REALMS), outbox.c.id.in_(numbers))
        .order_by(outbox.c.realm, outbox.c.id)
    )


def _sealed(items: Sequence[NewParcel], numbers: Sequence[int]) -> dict[int, bytes]:
    """Sign the drafts among `items`. Returns their parcels by number."""
    drafts = [
        Numbered(item.parcel, number)
        for item, number in zip(items, numbers, strict=True)
        if not isinstance(item.parcel, bytes)
    ]
    made = make_parcels(drafts)
    return {draft.number: parcel for draft, (parcel, _) in zip(drafts, made, strict=True)}


# What is sent in place of a parcel that was altered on disk. The other realm refuses it, and its sender is
# told.
NO_PARCEL = msgspec.msgpack.encode(None)

_WAITING = (
    outbox.c.mac,
    outbox.c.id,
    parcel_column(),
    outbox.c.created_at,
    outbox.c.sender_id,
    outbox.c.attachment_id,
)


def waiting(connection: sa.Connection, realm: str, after: int, limit: int) -> list[QueuedParcel]:
    """Return the parcels for a realm with numbers above `after`, in order."""
    rows = connection.execute(*_waiting(realm, after, limit))
    return [_queued(connection, realm, row) for row in rows]


@prepared
def _waiting(realm: Any, after: Any, limit: Any) -> sa.Select[Any]:
    here = outbox.c.realm == realm, outbox.c.id > after
    found = sa.select(*_WAITING).select_from(WITH_PAYLOADS).where(*here)
    return found.order_by(outbox.c.id).limit(limit)


def waiting_span(connection: sa.Connection, realm: str) -> tuple[int, int] | None:
    """Return the numbers of the first and the last parcel that wait for a realm."""
    oldest, newest = connection.execute(*_span(realm)).one()
    return None if oldest is None else (oldest, newest)


def any_has(connection: sa.Connection, realms: Sequence[str], count: int) -> bool:
    """Whether at least `count` parcels wait for any of these realms."""
    last = (connection.scalar(*_nth(realm, count - 1)) for realm in realms)
    return any(each is not None for each in last)


@prepared
def _nth(realm: Any, before: Any) -> sa.Select[Any]:
    here = sa.select(outbox.c.id).where(outbox.c.realm == realm)
    return here.order_by(outbox.c.id).offset(before).limit(1)


@prepared
def _span(realm: Any) -> sa.Select[Any]:
    # As two queries, each of which reads one entry of the index.
    ends = (
        sa.select(end(outbox.c.id)).where(outbox.c.realm == realm).scalar_subquery()
        for end in (sa.func.min, sa.func.max)
    )
    return sa.select(*ends)


def get(connection: sa.Connection, realm: str, number: int) -> QueuedParcel | None:
    row = connection.execute(
        sa.select(*_WAITING)
        .select_from(WITH_PAYLOADS)
        .where(outbox.c.realm == realm, outbox.c.id == number)
    ).first()
    return None if row is None else _queued(connection, realm, row)


def _queued(connection: sa.Connection, realm: str, row: Any) -> QueuedParcel:
    mac, number, parcel, *rest = row
    if not is_whole(keyed_hash(connection), (realm, number, parcel), mac):
        report_altered(f"parcel {number} for {realm}")
        parcel = NO_PARCEL
    return QueuedParcel(number, parcel, *rest)


def too_old(connection: sa.Connection, before: int, limit: int) -> list[tuple[str, QueuedParcel]]:
    """Return at most `limit` parcels that are older than `before` (ms since 1970 UTC), with their realms.
    Only the front of each queue is read: an older parcel behind a younger one has its turn after that."""
    found: list[tuple[str, QueuedParcel]] = []
    for realm in connection.scalars(*_with_old_fronts(before)).all():
        page = waiting(connection, realm, 0, limit - len(found))
        old = takewhile(lambda each: each.created_at < before, page)
        found += [(realm, each) for each in old]
    return found


@prepared
def _with_old_fronts(before: Any) -> sa.Select[Any]:
    """The realms whose first parcel is older."""
    front = sa.select(outbox.c.created_at).where(outbox.c.realm == _REALMS.c.realm)
    oldest = front.order_by(outbox.c.id).limit(1).scalar_subquery()
    return _WAITING_REALMS.where(oldest < before)


def done(connection: sa.Connection, realm: str, numbers: Sequence[int]) -> None:
    """Remove parcels that were delivered."""
    mark = placeholder(connection)
    execute_many(
        connection,
        f"DELETE FROM outbox WHERE realm = {mark} AND id IN ({', '.join([mark] * ROWS)})",  # noqa: S608
        [(realm, *page) for page in pages_of(numbers)],
    )
    drop_payloads(connection, numbers)


def remove(connection: sa.Connection, realm: str, number: int) -> bool:
    """Remove a parcel. Returns whether it was still there."""
    gone = connection.execute(
        sa.delete(outbox).where(outbox.c.realm == realm, outbox.c.id == number)
    )
    drop_payloads(connection, [number])
    return bool(gone.rowcount)


def depths(connection: sa.Connection) -> dict[str, Depth]:
    """Return the Depth for each realm for which parcels wait. Read marks do not count."""
    rows = connection.execute(
        sa.select(outbox.c.realm, sa.func.count(), sa.func.min(outbox.c.created_at))
        .where(outbox.c.subject.is_(None))
        .group_by(outbox.c.realm)
    )
    return {realm: Depth(queued, oldest) for realm, queued, oldest in rows}


def waits(realm: sa.ColumnElement[str], number: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """A condition: the parcel with this number still waits for this realm. Rows without a parcel need no
    lookup."""
    waiting = sa.exists().where(outbox.c.realm == realm, outbox.c.id == number)
    return sa.case((number.is_not(None), waiting), else_=sa.false())
