"""The clock that nodes of a realm share: that of the database."""

from __future__ import annotations

from sqlalchemy import Connection

from chatd.store.engine import backend_of


def database_time(connection: Connection, now: int) -> int:
    """Return the time by the clock of the database's server, in ms since 1970 UTC. SQLite has no clock of its
    own: there it is `now`."""
    return backend_of(connection).time(connection, now)
