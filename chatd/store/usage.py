"""Bytes of messages used in a day, by account and by other realm. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, Delete, Select, and_, delete, or_, select

from chatd.store.engine import placeholder
from chatd.store.prepared import prepared
from chatd.store.schema import message_bytes

# An account by its id, or another realm by its key.
Owner: TypeAlias = int | str

PAGE = 1000  # owners in one query


def used_on(connection: Connection, day: int) -> list[tuple[Owner, int]]:
    """The use of a day (days since 1970 UTC)."""
    rows = connection.execute(*_of_day(day))
    return [(realm or account_id, used) for realm, account_id, used in rows]


@prepared
def _of_day(day: Any) -> Select[Any]:
    columns = message_bytes.c.realm, message_bytes.c.account_id, message_bytes.c.bytes
    return select(*columns).where(message_bytes.c.day == day)


@prepared
def _before(day: Any) -> Delete:
    return delete(message_bytes).where(message_bytes.c.day < day)


def save(connection: Connection, day: int, used: Sequence[tuple[Owner, int]]) -> None:
    """Add what these owners have used on a day since it was saved last, and remove the days before."""
    mark = placeholder(connection)
    rows = [
        (day, owner, "", size) if isinstance(owner, int) else (day, 0, owner, size)
        for owner, size in used
    ]
    connection.exec_driver_sql(
        f"INSERT INTO message_bytes (day, account_id, realm, bytes) "  # noqa: S608
        f"VALUES ({mark}, {mark}, {mark}, {mark}) "
        "ON CONFLICT (day, account_id, realm) "
        "DO UPDATE SET bytes = message_bytes.bytes + excluded.bytes",
        rows,
    )
    connection.execute(*_before(day))


def save_and_read(
    connection: Connection, day: int, used: Sequence[tuple[Owner, int]]
) -> list[tuple[Owner, int]]:
    """As `save`. Returns what these owners have used on that day at all nodes."""
    save(connection, day, used)
    found: list[tuple[Owner, int]] = []
    for start in range(0, len(used), PAGE):
        owners = [owner for owner, _ in used[start : start + PAGE]]
        accounts = [owner for owner in owners if isinstance(owner, int)]
        realms = [owner for owner in owners if isinstance(owner, str)]
        whose = or_(
            and_(message_bytes.c.account_id.in_(accounts), message_bytes.c.realm == ""),
            and_(message_bytes.c.account_id == 0, message_bytes.c.realm.in_(realms)),
        )
        columns = message_bytes.c.realm, message_bytes.c.account_id, message_bytes.c.bytes
        rows = connection.execute(select(*columns).where(message_bytes.c.day == day, whose))
        found += [(realm or account_id, size) for realm, account_id, size in rows]
    return found
