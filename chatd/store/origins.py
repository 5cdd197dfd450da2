"""Finds messages by their names among realms. Queries for the Database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple, TypeAlias

from sqlalchemy import Connection, select

from chatd.store.driver import fetch
from chatd.store.engine import placeholder
from chatd.store.number_pages import ROWS, pages_of
from chatd.store.schema import changes

# Numbers below this are of version 1 of the protocol between realms.
FIRST_NUMBER = 1 << 32

# The key of the realm of an entry's author (None: this realm), and its number there
Origin: TypeAlias = tuple[str | None, int]


# A conversation and the origin of a message that may be in it. Names are compared within a conversation: the
# home of a group could use up the numbers of a realm whose key is not known here, but only for that group.
Placed: TypeAlias = tuple[int, Origin]


class KnownEntry(NamedTuple):
    """An entry that was stored before."""

    seq: int


def is_stored(connection: Connection, placed: Placed) -> bool:
    """Whether the message of this origin is stored in that conversation."""
    return bool(stored_places(connection, (placed,)))


def stored_places(connection: Connection, wanted: Collection[Placed]) -> dict[Placed, KnownEntry]:
    """Return those of `wanted` that are stored."""
    places = _places(connection, [origin for _, origin in wanted])
    return {placed: places[placed] for placed in wanted if placed in places}


def stored_anywhere(connection: Connection, origins: Sequence[Origin]) -> set[Origin]:
    """Return those of `origins` whose messages or changes are stored in any conversation."""
    found = {origin for _, origin in _places(connection, origins)}
    numbers: defaultdict[str | None, list[int]] = defaultdict(list)
    for realm, number in origins:
        numbers[realm].append(number)
    for realm, some in numbers.items():
        made = select(changes.c.origin_id).where(
            changes.c.origin_realm == realm, changes.c.origin_id.in_(some)
        )
        found.update((realm, number) for number in connection.scalars(made) if number is not None)
    return found


def _places(connection: Connection, origins: Sequence[Origin]) -> dict[Placed, KnownEntry]:
    """Return where messages of these origins are stored."""
    numbers: defaultdict[str | None, list[int]] = defaultdict(list)
    for realm, number in origins:
        numbers[realm].append(number)
    mark = placeholder(connection)
    marks = ", ".join([mark] * ROWS)
    own = (
        "SELECT conversation_id, number, seq FROM messages "  # noqa: S608
        f"WHERE number IN ({marks}) AND origin_id IS NULL"
    )
    others = (
        "SELECT conversation_id, origin_id, seq FROM messages "  # noqa: S608
        f"WHERE origin_realm = {mark} AND origin_id IN ({marks})"
    )
    return {
        (conversation, (realm, number)): KnownEntry(seq)
        for realm, some in numbers.items()
        for page in pages_of(some)
        for conversation, number, seq in (
            fetch(connection, own, page)
            if realm is None
            else fetch(connection, others, (realm, *page))
        )
    }
