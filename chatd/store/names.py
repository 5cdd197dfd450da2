"""The names of accounts and groups of this realm, which share one namespace. Jobs for the Database."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Connection, Engine, Select, delete, exists, insert, select

from chatd.base.names import keep_older_keys, key_of
from chatd.base.uts39 import skeleton, version
from chatd.store.prepared import prepared
from chatd.store.schema import accounts, former_homes, group_moves, groups, names, settings
from chatd.store.settings import get_setting, put_setting

Kind = Literal["user", "group"]
_SKELETONS = "how skeletons are made"  # a setting's name
_OLDER_KEY = "older key "  # in a setting's name, before the key
_INSERT = insert(names)
_OLDER_KEYS = select(settings.c.name).where(settings.c.name.startswith(_OLDER_KEY))


def taken(connection: Connection, name: str) -> str | None:
    """Return why `name` can't be used for a new account or group, in words that follow a name, or None.

    Another account or group may have it, or one that looks like it, or a group may have it as its code,
    because codes of earlier versions look like names.
    """
    if connection.scalar(*_is_used(key_of(name))):
        return "is taken"
    alike = connection.scalar(*_has_like(skeleton(name)))
    return "looks like one that is taken" if alike else None


@prepared
def _is_used(key: Any) -> Select[Any]:
    same = exists(select(names.c.key).where(names.c.key == key))
    code = exists(select(groups.c.code).where(groups.c.code == key))
    return select(same | code)


@prepared
def _has_like(skeleton: Any) -> Select[Any]:
    return select(exists(select(names.c.key).where(names.c.skeleton == skeleton)))


def has_group(connection: Connection, key: str) -> bool:
    """Whether a group has the name with that key."""
    query = select(groups.c.conversation_id).where(groups.c.key == key)
    return connection.scalar(query) is not None


def take(connection: Connection, name: str, kind: Kind) -> None:
    """Reserve a name that is not `taken` for an account or a group."""
    row = {"key": key_of(name), "kind": kind, "skeleton": skeleton(name)}
    connection.execute(_INSERT, row)


def free(connection: Connection, key: str, kind: Kind) -> None:
    """Release the name of an account or group that is gone."""
    connection.execute(delete(names).where(names.c.key == key, names.c.kind == kind))


def renew_skeletons(engine: Engine) -> None:
    """Rebuild the table of names if it was built with other Unicode data than this version's. For the start
    only. Existing names stay, even if they are confusable now."""
    now = version()
    with engine.begin() as connection:
        if get_setting(connection, _SKELETONS) == now:
            return
        connection.execute(delete(names))
        rows = [*_held(connection)]
        if rows:
            connection.execute(insert(names), rows)
        put_setting(connection, _SKELETONS, now)


def load_older_keys(engine: Engine) -> None:
    """Load the names that keep the key of an older version. For the start only."""
    with engine.begin() as connection:
        found = connection.scalars(_OLDER_KEYS)
        keep_older_keys([name.removeprefix(_OLDER_KEY) for name in found])


def _held(connection: Connection) -> list[dict[str, str]]:
    users = select(accounts.c.key, accounts.c.name)
    here = select(groups.c.key, groups.c.name).where(
        groups.c.key.is_not(None), groups.c.realm.is_(None)
    )
    # Former names of groups that have moved away, and names that are kept for groups that will come
    former = select(former_homes.c.name).where(former_homes.c.guests.is_not(None))
    kept = select(group_moves.c.new_name).where(group_moves.c.new_name.is_not(None))
    # By key and kind: in databases of older versions, an account and a group may have the same name.
    held = {
        (key, kind): {"key": key, "kind": kind, "skeleton": skeleton(name)}
        for kind, query in (("user", users), ("group", here))
        for key, name in connection.execute(query)
    }
    for name in (*connection.scalars(former), *connection.scalars(kept)):
        row = {"key": key_of(name), "kind": "group", "skeleton": skeleton(name)}
        held.setdefault((key_of(name), "group"), row)
    return list(held.values())
