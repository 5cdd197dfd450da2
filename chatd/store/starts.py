"""The numbers that this realm may have given to entries that it does not have. Jobs for the Database.

Each start begins a new term of numbers (chatd.store.outbox). Between the last number that is known at a start
and the first one of its term there is a gap. If the realm was restored from a backup, its entries since then
have numbers in that gap, and other realms may have them.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import sqlalchemy as sa

from chatd.store.schema import change_requests, changes, messages, outbox, peer_marks, pending
from chatd.store.settings import get_setting, put_setting

_GAPS = "gaps in numbers"
KEPT = 100  # gaps, the newest ones

# The first and the last number that this realm does not know of
Gap: TypeAlias = tuple[int, int]

_decode = msgspec.json.Decoder(list[Gap]).decode

_NEWEST = sa.select(
    *(
        sa.select(sa.func.max(column)).where(column.is_not(None)).scalar_subquery()
        for column in (
            messages.c.number,
            changes.c.number,
            pending.c.number,
            change_requests.c.number,
            outbox.c.id,
        )
    )
)

_ACKNOWLEDGED = sa.select(sa.func.max(peer_marks.c.acknowledged))


def gaps_since(connection: sa.Connection, number: int) -> list[Gap]:
    """Return the gaps that end after a number, in order."""
    return [gap for gap in _gaps(connection) if gap[1] > number]


def start_before(connection: sa.Connection, number: int) -> int | None:
    """Return the first number of the start before the first gap that ends after a number which this realm has
    given; 0 if that is not known. None if there was no start since."""
    before = 0
    for _, last in _gaps(connection):
        if last > number:
            return before
        before = last
    return None


def begin_start(connection: sa.Connection, first: int, since: int | None = None) -> None:
    """Note the gap before the numbers of a start, which are higher than `first`, unless that is done. It
    begins with the number `since`, or after the last one that is known."""
    gaps = _gaps(connection)
    if gaps and gaps[-1][1] >= first:
        return
    gaps.append((since or _newest(connection) + 1, first))
    put_setting(connection, _GAPS, msgspec.json.encode(gaps[-KEPT:]).decode())


def _gaps(connection: sa.Connection) -> list[Gap]:
    stored = get_setting(connection, _GAPS)
    return [] if stored is None else _decode(stored)


def newest_given(connection: sa.Connection) -> int:
    """The highest number that this realm is known to have given, also if its entry is gone."""
    acknowledged = connection.scalar(_ACKNOWLEDGED)
    return max(_newest(connection), acknowledged or 0)


def _newest(connection: sa.Connection) -> int:
    """The highest number that is known here."""
    return max(found or 0 for found in connection.execute(_NEWEST).one())
