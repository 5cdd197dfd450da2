"""When other realms were last reached. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import sqlalchemy as sa

from chatd.store.schema import groups, reached, remote_members


class LastContact(msgspec.Struct, frozen=True):
    """When a realm was last reached, and its last long absence: when it was reached before and after that.
    Times are in ms since 1970 UTC, to the hour."""

    at: int
    away_from: int | None = None
    away_to: int | None = None


def contact_with(connection: sa.Connection, realm: str) -> LastContact | None:
    """The last contact with a realm, or None if it was never reached."""
    row = connection.execute(
        sa.select(reached.c.at, reached.c.away_from, reached.c.away_to).filter_by(realm=realm)
    ).first()
    return None if row is None else LastContact(*row)


def note_contacts(connection: sa.Connection, realms: Collection[str], now: int, long: int) -> None:
    """Note that these realms are reached now. An absence of at least `long` ms is remembered. The time also
    moves back: a clock that was ahead must not make a realm look reached in the future."""
    rows = connection.execute(
        sa.select(reached.c.realm, reached.c.at).where(reached.c.realm.in_(realms))
    )
    known = {row.realm: row.at for row in rows}
    for realm in realms:
        before = known.get(realm)
        if before is None:
            connection.execute(sa.insert(reached).values(realm=realm, at=now))
            continue
        away = {"away_from": before, "away_to": now} if now - before >= long else {}
        connection.execute(
            sa.update(reached).where(reached.c.realm == realm).values(at=now, **away)
        )


def forget(connection: sa.Connection, realms: Collection[str]) -> None:
    """Forget realms that are forgotten themselves, but those with which this one has groups in common: they
    may be forgotten because they are lost."""
    homes = sa.select(groups.c.realm).where(groups.c.realm.in_(realms))
    guests = sa.select(remote_members.c.realm).where(remote_members.c.realm.in_(realms))
    connection.execute(
        sa.delete(reached).where(
            reached.c.realm.in_(realms), reached.c.realm.not_in(sa.union(homes, guests))
        )
    )
