"""Changes of messages in groups elsewhere that their homes have not sent back yet. Jobs and queries for the
Database.

If a home is restored after it has acknowledged a change, it may not know it any more. Then it gets the parcel
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.store.new_entries import NewChange
from chatd.store.outbox import NewParcel, waits
from chatd.store.prepared import prepared
from chatd.store.schema import change_requests as table
from chatd.store.schema import participants

MAX_REMOVED = 500  # rows in one transaction


class RequestPage(msgspec.Struct, frozen=True):
    """Parcels in order, and the number up to which these are all; None: to the end."""

    parcels: Sequence[NewParcel]
    upto: int | None


def keep(connection: sa.Connection, new: NewChange, realm: str, number: int, parcel: bytes) -> None:
    """Keep what asks the home of a group, `realm`, for a change."""
    connection.execute(
        sa.insert(table).values(
            number=number,
            realm=realm,
            conversation_id=new.conversation,
            target=new.target,
            account_id=new.author_id,
            at=new.at,
            parcel=parcel,
        )
    )


def forget(connection: sa.Connection, number: int) -> None:
    """The change of that number has come back, or was refused."""
    connection.execute(sa.delete(table).where(table.c.number == number))


def forget_changes_of(connection: sa.Connection, conversation: int, target: int) -> None:
    """The message is deleted."""
    connection.execute(sa.delete(table).where(_about(conversation, target)))


def forget_changes_between(
    connection: sa.Connection, conversation: int, first: int, last: int
) -> None:
    """The messages from `first` to `last` have no content any more."""
    within = (table.c.conversation_id == conversation) & table.c.target.between(first, last)
    connection.execute(sa.delete(table).where(within))


def requests_between(
    connection: sa.Connection, conversation: int, first: int, last: int
) -> Sequence[int]:
    """The numbers of the changes of the messages from `first` to `last`."""
    within = (table.c.conversation_id == conversation) & table.c.target.between(first, last)
    return connection.scalars(sa.select(table.c.number).where(within)).all()


def numbers_about(connection: sa.Connection, conversation: int, target: int) -> Sequence[int]:
    """The numbers of the changes of a message."""
    return connection.scalars(sa.select(table.c.number).where(_about(conversation, target))).all()


def has_requests(connection: sa.Connection, conversation: int, target: int) -> bool:
    """Whether there are changes of a message that have not come back."""
    wanted = sa.select(table.c.number).where(_about(conversation, target)).limit(1)
    return connection.scalar(wanted) is not None


def _about(conversation: int, target: int) -> sa.ColumnElement[bool]:
    return (table.c.conversation_id == conversation) & (table.c.target == target)


def lost_in(connection: sa.Connection, realm: str, after: int, limit: int) -> RequestPage:
    """The first changes with numbers above `after` that the realm has acknowledged and not sent back, of
    people who are still members."""
    rows = connection.execute(*_lost(realm, after, limit)).all()
    parcels = [
        NewParcel(realm, row.parcel, row.at, row.account_id, number=row.number) for row in rows
    ]
    return RequestPage(parcels, rows[-1].number if len(rows) == limit else None)


@prepared
def _lost(realm: Any, after: Any, limit: Any) -> sa.Select[Any]:
    is_member = sa.exists().where(
        participants.c.account_id == table.c.account_id,
        participants.c.conversation_id == table.c.conversation_id,
    )
    return (
        sa.select(table.c.number, table.c.parcel, table.c.at, table.c.account_id)
        .where(
            table.c.realm == realm,
            table.c.number > after,
            is_member,
            sa.not_(waits(table.c.realm, table.c.number)),
        )
        .order_by(table.c.number)
        .limit(limit)
    )


def remove_old(connection: sa.Connection, before: int) -> int:
    """Remove changes of before `before` (ms since 1970 UTC) that did not come back, because they changed
    nothing at their homes. Returns their number."""
    return connection.execute(*_remove_old(before, MAX_REMOVED)).rowcount


@prepared
def _remove_old(before: Any, limit: Any) -> sa.Delete:
    old = sa.select(table.c.number).where(table.c.at < before).limit(limit)
    return sa.delete(table).where(table.c.number.in_(old))
