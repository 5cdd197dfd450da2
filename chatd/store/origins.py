"""Finds messages by their names among realms. Queries for the Database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

from sqlalchemy import Connection, Select, select

from chatd.store.schema import messages

# Numbers below this are of version 1 of the protocol between realms.
FIRST_NUMBER = 1 << 32

# The key of the realm of an entry's author (None: this realm), and its number there
Origin: TypeAlias = tuple[str | None, int]


def is_stored(connection: Connection, origin: Origin) -> bool:
    """Whether the message of this origin is stored."""
    return bool(stored_origins(connection, (origin,)))


def stored_origins(connection: Connection, origins: Sequence[Origin]) -> set[Origin]:
    """Return those of `origins` whose messages are stored."""
    numbers: defaultdict[str | None, list[int]] = defaultdict(list)
    for realm, number in origins:
        numbers[realm].append(number)
    return {
        (realm, number)
        for realm, some in numbers.items()
        for number in connection.scalars(_stored(realm, some))
        if number is not None
    }


def _stored(realm: str | None, numbers: Sequence[int]) -> Select[int | None]:
    if realm is None:
        return select(messages.c.number).where(
            messages.c.number.in_(numbers), messages.c.origin_id.is_(None)
        )
    return select(messages.c.origin_id).where(
        messages.c.origin_realm == realm, messages.c.origin_id.in_(numbers)
    )
