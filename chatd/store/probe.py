"""Finding out whether the database answers. A job and a query for the Database."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from chatd.store.schema import settings


def glance(connection: Connection) -> None:
    """Read something that is always quick."""
    connection.scalar(select(settings.c.name).limit(1))


def nothing(_connection: Connection) -> None:
    """For a transaction that changes nothing."""


def write(connection: Connection) -> None:
    """Write something that changes nothing."""
    connection.execute(update(settings).values(value=settings.c.value))
