"""Probes that show whether the database answers. Jobs and a query for the Database."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from chatd.store.schema import settings


def ping_read(connection: Connection) -> None:
    """Read one row."""
    connection.scalar(select(settings.c.name).limit(1))


def ping_transaction(_connection: Connection) -> None:
    """Take part in a transaction without changing anything."""


def ping_write(connection: Connection) -> None:
    """Write values that are there already."""
    connection.execute(update(settings).values(value=settings.c.value))
