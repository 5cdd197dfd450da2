"""Named values that the realm remembers (the table `settings`). Jobs for the Database."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, select

from chatd.store.engine import placeholder
from chatd.store.schema import settings

_VALUE = select(settings.c.value).where(settings.c.name == bindparam("wanted"))


def get_setting(connection: Connection, name: str) -> str | None:
    """Return the value under `name`, or None."""
    found: str | None = connection.scalar(_VALUE, {"wanted": name})
    return found


def put_setting(connection: Connection, name: str, value: str) -> None:
    """Store `value` under `name`, in place of an older one."""
    mark = placeholder(connection)
    connection.exec_driver_sql(
        f"INSERT INTO settings (name, value) VALUES ({mark}, {mark}) "  # noqa: S608 - only marks
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def remove_setting(connection: Connection, name: str) -> None:
    connection.execute(delete(settings).where(settings.c.name == name))


def get_or_add_setting(connection: Connection, name: str, default: str) -> str:
    """Return the value under `name`. If there is none, store and return `default`."""
    found = get_setting(connection, name)
    if found is None:
        put_setting(connection, name, default)
    return default if found is None else found
