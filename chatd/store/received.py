"""Which parcels of other realms have come that leave no entry in a log. Jobs for the Database.

Those that do are known by their entries. Numbers are compared one by one: one that is lower than others may
be new, because a realm that was restored from a backup sends old parcels after newer ones.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select

from chatd.store.prepared import prepared
from chatd.store.schema import received

KEPT = 1000  # numbers of each realm that are known; all below them count as known, too

_INSERT = insert(received)


def is_known(connection: Connection, realm: str, number: int) -> bool:
    """Whether a realm's parcel with this number has come before."""
    if connection.scalar(*_known(realm, number)) is not None:
        return True
    count, lowest = _extent(connection, realm)
    return count >= KEPT and number < lowest


def note(connection: Connection, realm: str, number: int) -> None:
    """Note a realm's parcel that is not known yet."""
    connection.execute(_INSERT, {"realm": realm, "number": number})
    count, lowest = _extent(connection, realm)
    if count > KEPT:
        connection.execute(
            delete(received).where(received.c.realm == realm, received.c.number == lowest)
        )


def _extent(connection: Connection, realm: str) -> tuple[int, int]:
    """How many numbers of a realm are noted, and the lowest of them."""
    count, lowest = connection.execute(*_count_and_lowest(realm)).one()
    return count, lowest or 0


@prepared
def _known(realm: Any, number: Any) -> Select[Any]:
    same = received.c.realm == realm, received.c.number == number
    return select(received.c.number).where(*same)


@prepared
def _count_and_lowest(realm: Any) -> Select[int, Any]:
    return select(func.count(), func.min(received.c.number)).where(received.c.realm == realm)


def forget(connection: Connection, realms: Collection[str]) -> None:
    """Forget the parcels of realms that are forgotten themselves."""
    connection.execute(delete(received).where(received.c.realm.in_(realms)))
