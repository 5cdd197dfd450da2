"""The clock that nodes of a realm share: that of the database."""

from __future__ import annotations

from sqlalchemy import Connection


def database_time(connection: Connection, now: int) -> int:
    """Return the time by the clock of the database's server, in ms since 1970 UTC. SQLite has no clock of its
    own: there it is `now`.

    The time at which the transaction has begun would be too early: it may have waited for locks since.
    """
    if connection.dialect.name != "postgresql":
        return now
    found = connection.exec_driver_sql(
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    )
    return int(found.scalar_one())
