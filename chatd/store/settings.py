"""Named values that the realm remembers (the table `settings`). Jobs for the Database."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from chatd.store.schema import settings


def get_setting(connection: Connection, name: str) -> str | None:
    """Return the value under `name`, or None."""
    found: str | None = connection.scalar(select(settings.c.value).where(settings.c.name == name))
    return found


def put_setting(connection: Connection, name: str, value: str) -> None:
    """Store `value` under `name`, in place of an older one."""
    changed = connection.execute(
        update(settings).where(settings.c.name == name).values(value=value)
    )
    if not changed.rowcount:
        connection.execute(insert(settings).values(name=name, value=value))


def get_or_add_setting(connection: Connection, name: str, default: str) -> str:
    """Return the value under `name`. If there is none, store and return `default`."""
    found = get_setting(connection, name)
    if found is None:
        put_setting(connection, name, default)
    return default if found is None else found
