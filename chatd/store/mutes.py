"""Who can't write to groups of this realm. Jobs for the Database.

They are few, and all of them are in memory (chatd.service.mutes).
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from chatd.base.errors import NotMuted, TooManyMutes
from chatd.store.schema import groups, mutes

MAX_MUTES = 10_000  # of a realm
EVERYWHERE = 0  # in place of the id of a group


class Mute(msgspec.Struct, frozen=True):
    """A mute of the person with `key`, whose address is `name`, by `actor`: in the group with the id `place`,
    or EVERYWHERE. Times are in ms since 1970 UTC; `until` is None for a mute without an end."""

    key: str
    place: int
    name: str
    at: int
    until: int | None
    reason: str
    actor: str

    def holds(self, now: int) -> bool:
        """Whether the mute has not expired."""
        return self.until is None or self.until > now


def all_mutes(connection: Connection, now: int) -> list[Mute]:
    """The mutes that have not expired, the oldest first."""
    chosen = select(mutes).where(mutes.c.until.is_(None) | (mutes.c.until > now))
    return [Mute(*row) for row in connection.execute(chosen.order_by(mutes.c.at, mutes.c.key))]


def names_of_groups(connection: Connection, places: set[int]) -> dict[int, str]:
    """The names of groups by their ids."""
    chosen = select(groups.c.conversation_id, groups.c.name)
    rows = connection.execute(chosen.where(groups.c.conversation_id.in_(places)))
    return {row[0]: row[1] for row in rows}


def put_mute(connection: Connection, mute: Mute, now: int) -> None:
    """Store a mute, in place of an earlier one, and remove expired ones. Raises TooManyMutes."""
    connection.execute(delete(mutes).where(mutes.c.until <= now))
    _remove(connection, mute.key, mute.place)
    count = connection.execute(select(func.count()).select_from(mutes)).scalar_one()
    if count >= MAX_MUTES:
        raise TooManyMutes(limit=MAX_MUTES)
    values = msgspec.structs.asdict(mute)
    connection.execute(insert(mutes).values(conversation_id=values.pop("place"), **values))


def remove_mute(connection: Connection, key: str, place: int, name: str) -> None:
    """Raises NotMuted."""
    if not _remove(connection, key, place):
        raise NotMuted(name=name)


def _remove(connection: Connection, key: str, place: int) -> bool:
    this = mutes.c.key == key, mutes.c.conversation_id == place
    return connection.execute(delete(mutes).where(*this)).rowcount > 0
