"""The public keys with which realms sign entries, and the times of their validity. Jobs for the Database."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import sqlalchemy as sa

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


def all_keys(connection: sa.Connection) -> list[StoredKey]:
    columns = (realm_keys.c[name] for name in StoredKey.__struct_fields__)
    return [StoredKey(*row) for row in connection.execute(sa.select(*columns))]


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
    mine = realm_keys.c.realm == OWN
    connection.execute(
        sa.update(realm_keys)
        .where(mine, realm_keys.c.id != ident, realm_keys.c.until.is_(None))
        .values(until=now)
    )
    # A key that was replaced is in use again if its file came back from a backup.
    known = connection.execute(
        sa.update(realm_keys).where(mine, realm_keys.c.id == ident).values(until=None)
    )
    if not known.rowcount:
        _add(connection, [StoredKey(OWN, ident, public, now)])


def learn(connection: sa.Connection, keys: Sequence[StoredKey], gone: Sequence[bytes] = ()) -> None:
    """Store what a realm has announced of these keys, which are all of one realm, and remove those with the
    ids `gone`."""
    for key in keys:
        same = sa.and_(realm_keys.c.realm == key.realm, realm_keys.c.id == key.id)
        known = connection.execute(
            sa.update(realm_keys).where(same).values(since=key.since, until=key.until)
        )
        if not known.rowcount:
            _add(connection, [key])
    if keys and gone:
        connection.execute(
            sa.delete(realm_keys).where(
                realm_keys.c.realm == keys[0].realm, realm_keys.c.id.in_(gone)
            )
        )


def _add(connection: sa.Connection, keys: Sequence[StoredKey]) -> None:
    connection.execute(sa.insert(realm_keys), [msgspec.structs.asdict(key) for key in keys])


def forget_keys(connection: sa.Connection, realms: Collection[str]) -> None:
    """Remove the keys of other realms."""
    connection.execute(sa.delete(realm_keys).where(realm_keys.c.realm.in_(realms)))
