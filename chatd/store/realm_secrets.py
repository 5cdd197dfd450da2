"""The realm's private keys as all nodes have to have them, sealed or only by their fingerprints. Jobs and
queries for the Database.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from chatd.store.realm_keys import OWN
from chatd.store.schema import accounts, realm_keys, realm_secrets


class StoredSecret(msgspec.Struct, frozen=True):
    """`fingerprint` is empty if the next start makes the secret, and `sealed` is None if each node has a
    copy that was made by hand."""

    fingerprint: str
    sealed: bytes | None


def all_secrets(connection: Connection) -> dict[str, StoredSecret]:
    """The secrets by their names."""
    columns = realm_secrets.c.name, realm_secrets.c.fingerprint, realm_secrets.c.sealed
    return {row.name: StoredSecret(*row[1:]) for row in connection.execute(sa.select(*columns))}


def fingerprints(connection: Connection) -> dict[str, str]:
    """The fingerprints of the secrets by their names."""
    rows = connection.execute(sa.select(realm_secrets.c.name, realm_secrets.c.fingerprint))
    return {row.name: row.fingerprint for row in rows}


_ADD = sa.text(
    "INSERT INTO realm_secrets (name, fingerprint, sealed, at) VALUES (:name, :fingerprint, :sealed, :at) "
    "ON CONFLICT (name) DO NOTHING RETURNING name"
)


def replace_secret(
    connection: Connection, name: str, old: StoredSecret | None, new: StoredSecret, now: int
) -> bool:
    """Store `new` in place of `old`. Returns False, and changes nothing, if `old` is not what is stored."""
    values = {"fingerprint": new.fingerprint, "sealed": new.sealed, "at": now}
    if old is None:
        return connection.scalar(_ADD, {"name": name, **values}) is not None
    same = (
        realm_secrets.c.name == name,
        realm_secrets.c.fingerprint == old.fingerprint,
        realm_secrets.c.sealed.is_not_distinct_from(old.sealed),
    )
    return connection.execute(sa.update(realm_secrets).where(*same).values(**values)).rowcount == 1


def signs_with(connection: Connection) -> list[bytes]:
    """The ids of the keys with which this realm signs, as far as it has signed: one at most."""
    current = realm_keys.c.realm == OWN, realm_keys.c.until.is_(None)
    return list(connection.scalars(sa.select(realm_keys.c.id).where(*current)))


def has_accounts(connection: Connection) -> bool:
    return connection.scalar(sa.select(accounts.c.id).limit(1)) is not None
