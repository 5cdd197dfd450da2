"""Parcels that go to several realms: each is stored once, in `payloads`, until none of them waits for it.
Jobs and queries for the Database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chatd.store.driver import execute_many
from chatd.store.engine import placeholder
from chatd.store.number_pages import MAX_NUMBERS, ROWS, pages_of
from chatd.store.schema import outbox, payloads

# `outbox`, with the parcels that are in `payloads`
WITH_PAYLOADS = outbox.outerjoin(payloads, payloads.c.id == outbox.c.payload_id)


def parcel_column() -> sa.ColumnElement[bytes]:
    """The parcel of a row of `WITH_PAYLOADS`."""
    return sa.func.coalesce(payloads.c.parcel, outbox.c.parcel, type_=sa.LargeBinary)


_NUMBER, _PARCEL = 1, 5  # places in a row of the outbox


def share(connection: sa.Connection, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Store the parcels that go to several realms in `payloads`. Returns the rows, those of such parcels with
    the id of the payload in place of the parcel."""
    counts = Counter((row[_NUMBER], row[_PARCEL]) for row in rows)
    several = {number: parcel for (number, parcel), count in counts.items() if count > 1}
    found = list(several)
    known = set[int]()
    for start in range(0, len(found), MAX_NUMBERS):
        some = found[start : start + MAX_NUMBERS]
        known.update(connection.scalars(sa.select(payloads.c.id).where(payloads.c.id.in_(some))))
    new = [
        {"id": number, "parcel": parcel}
        for number, parcel in several.items()
        if number not in known
    ]
    if not new:
        return list(rows)
    connection.execute(sa.insert(payloads), new)
    ids = {(each["id"], each["parcel"]) for each in new}
    return [
        (*row[:_PARCEL], b"", *row[_PARCEL + 1 :], row[_NUMBER])
        if (row[_NUMBER], row[_PARCEL]) in ids
        else (*row, None)
        for row in rows
    ]


def drop_payloads(connection: sa.Connection, numbers: Sequence[int]) -> None:
    """Remove the payloads among these numbers that no realm waits for any more."""
    if not numbers:
        return
    mark = placeholder(connection)
    execute_many(
        connection,
        f"DELETE FROM payloads WHERE id IN ({', '.join([mark] * ROWS)}) AND NOT EXISTS"  # noqa: S608
        " (SELECT 1 FROM outbox WHERE payload_id = payloads.id)",
        [tuple(page) for page in pages_of(numbers)],
    )
