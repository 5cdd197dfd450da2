"""The public keys with which realms sign entries, and the times of their validity. Jobs for the Database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.store.prepared import prepared
from chatd.store.schema import messages, realm_keys
from chatd.store.settings import get_setting, put_setting

_UNSIGNED = "unsigned until"
OWN = ""  # how this realm is named in the table


class StoredKey(msgspec.Struct, frozen=True):
    """A key of the realm with the key `realm` (OWN: this realm). Times are in ms since 1970 UTC."""

    realm: str
    id: bytes
    public: bytes
    since: int
    until: int | None = None


_ALL = sa.select(*(realm_keys.c[name] for name in StoredKey.__struct_fields__))


def all_keys(connection: sa.Connection) -> list[StoredKey]:
    return [StoredKey(*row) for row in connection.execute(_ALL)]


def begin_signing(connection: sa.Connection, now: int, grace: int) -> int:
    """Return until when entries of version 1 are accepted without a signature: `grace` ms after the first
    start of this version, on a database that has messages. Otherwise 0."""
    found = get_setting(connection, _UNSIGNED)
    if found is None:
        is_new = connection.scalar(sa.select(messages.c.id).limit(1)) is None
        found = str(0 if is_new else now + grace)
        put_setting(connection, _UNSIGNED, found)
    return int(found)


def use_own(connection: sa.Connection, ident: bytes, public: bytes, now: int) -> None:
    """Note that this realm signs with a key from now on, and no longer with others."""
    connection.execute(*_end_others(ident, now))
    # A key that was replaced is in use again if its file came back from a backup.
    if not connection.execute(*_use(ident)).rowcount:
        _add(connection, [StoredKey(OWN, ident, public, now)])


@prepared
def _end_others(ident: Any, now: Any) -> sa.Update:
    others = realm_keys.c.realm == OWN, realm_keys.c.id != ident, realm_keys.c.until.is_(None)
    return sa.update(realm_keys).where(*others).values(until=now)


@prepared
def _use(ident: Any) -> sa.Update:
    mine = realm_keys.c.realm == OWN, realm_keys.c.id == ident
    return sa.update(realm_keys).where(*mine).values(until=None)


@prepared
def _change(realm: Any, ident: Any, since: Any, until: Any) -> sa.Update:
    same = realm_keys.c.realm == realm, realm_keys.c.id == ident
    return sa.update(realm_keys).where(*same).values(since=since, until=until)


def learn(connection: sa.Connection, keys: Sequence[StoredKey], gone: Sequence[bytes] = ()) -> None:
    """Store what a realm has announced of these keys, which are all of one realm, and remove those with the
    ids `gone`."""
    for key in keys:
        known = connection.execute(*_change(key.realm, key.id, key.since, key.until))
        if not known.rowcount:
            _add(connection, [key])
    if keys and gone:
        connection.execute(
            sa.delete(realm_keys).where(
                realm_keys.c.realm == keys[0].realm, realm_keys.c.id.in_(gone)
            )
        )


_INSERT = sa.insert(realm_keys)


def _add(connection: sa.Connection, keys: Sequence[StoredKey]) -> None:
    connection.execute(_INSERT, [msgspec.structs.asdict(key) for key in keys])


def forget_keys(connection: sa.Connection, realms: Collection[str]) -> None:
    """Remove the keys of other realms."""
    connection.execute(sa.delete(realm_keys).where(realm_keys.c.realm.in_(realms)))
