"""Accounts, their sessions and their contacts. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Delete, Select, Update, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from chatd.base import errors
from chatd.base.model import Account, Device
from chatd.base.names import Address, key_of
from chatd.base.replies import SessionInfo
from chatd.base.roles import USER
from chatd.store import names
from chatd.store.engine import inserted_id
from chatd.store.prepared import prepared
from chatd.store.schema import (
    accounts,
    avatars,
    contacts,
    disabled,
    password_resets,
    profiles,
    roles,
    sessions,
)

# The key of a deleted account is this and its id. No name has such a key.
DELETED = "@"

_COLUMNS = (
    accounts.c.id,
    accounts.c.name,
    accounts.c.key,
    accounts.c.display_name,
    accounts.c.country,
    func.coalesce(
        select(roles.c.role).where(roles.c.account_id == accounts.c.id).scalar_subquery(), USER
    ),
    func.coalesce(
        select(profiles.c.status).where(profiles.c.account_id == accounts.c.id).scalar_subquery(),
        "",
    ),
    select(avatars.c.hash)
    .where(avatars.c.place == "@" + accounts.c.key)
    .correlate(accounts)
    .scalar_subquery(),
)


def _account(row: Sequence[Any]) -> Account:
    return Account(*row)


_ADD = insert(accounts)


def add_account(
    connection: Connection, name: str, password: str, display_name: str, country: str, now: int
) -> Account:
    """Create an account. Raises UserExists."""
    if why := names.taken(connection, name):
        raise errors.UserExists(name=name, is_=why)
    names.take(connection, name, "user")
    key = key_of(name)
    values: dict[str, Any] = {
        "name": name,
        "key": key,
        "display_name": display_name,
        "country": country,
    }
    result = connection.execute(_ADD, {**values, "password": password, "created_at": now})
    return Account(id=inserted_id(result), **values)


def find_account(connection: Connection, key: str) -> Account | None:
    row = connection.execute(*_by_key(key)).first()
    return None if row is None else _account(row)


@prepared
def _by_key(key: Any) -> Select[Any]:
    return select(*_COLUMNS).where(accounts.c.key == key)


def find_accounts(connection: Connection, keys: Sequence[str]) -> list[Account]:
    rows = connection.execute(select(*_COLUMNS).where(accounts.c.key.in_(keys)))
    return [_account(row) for row in rows]


def get_accounts(connection: Connection, ids: Sequence[int]) -> list[Account]:
    """The accounts with these ids, by name."""
    chosen = select(*_COLUMNS).where(accounts.c.id.in_(ids)).order_by(accounts.c.key)
    return [_account(row) for row in connection.execute(chosen)]


def all_accounts(connection: Connection, limit: int) -> tuple[list[Account], int]:
    """The first `limit` accounts by name, and how many more there are."""
    existing = ~accounts.c.key.startswith(DELETED)
    chosen = select(*_COLUMNS).where(existing).order_by(accounts.c.key).limit(limit)
    rows = connection.execute(chosen).all()
    total: int = connection.execute(select(func.count(accounts.c.id)).where(existing)).scalar_one()
    return [_account(row) for row in rows], total - len(rows)


def set_profile(
    connection: Connection, account_id: int, name: str | None, country: str | None
) -> Account:
    """Change the display name, the country or both. Returns the changed account."""
    changed = {"display_name": name, "country": country}
    if given := {column: value for column, value in changed.items() if value is not None}:
        connection.execute(update(accounts).where(accounts.c.id == account_id).values(given))
    return account_of(connection, account_id)


def set_status(connection: Connection, account_id: int, status: str) -> Account:
    """Change the status text; an empty one removes it. Returns the changed account."""
    mine = update(profiles).where(profiles.c.account_id == account_id).values(status=status)
    if not connection.execute(mine).rowcount:
        connection.execute(insert(profiles).values(account_id=account_id, status=status))
    return account_of(connection, account_id)


def account_of(connection: Connection, account_id: int) -> Account:
    return _account(connection.execute(select(*_COLUMNS).where(accounts.c.id == account_id)).one())


def password_of(connection: Connection, account_id: int) -> str:
    """The Argon2id hash."""
    hashed: str = connection.execute(*_password(account_id)).scalar_one()
    return hashed


@prepared
def _password(account_id: Any) -> Select[Any]:
    return select(accounts.c.password).where(accounts.c.id == account_id)


def set_password(connection: Connection, account: Account, old: str, new: str, keep: bytes) -> None:
    """Replace the hash `old`, and end the account's sessions except that whose token hashes to `keep`. Raises
    WrongPassword if the account has another hash by now."""
    changed = connection.execute(
        update(accounts)
        .where(accounts.c.id == account.id, accounts.c.password == old)
        .values(password=new)
    )
    if changed.rowcount == 0:
        raise errors.WrongPassword(name=account.name)
    connection.execute(delete(password_resets).where(password_resets.c.account_id == account.id))
    connection.execute(
        delete(sessions).where(sessions.c.account_id == account.id, sessions.c.token_hash != keep)
    )


def renew_password(connection: Connection, account_id: int, old: str, new: str) -> None:
    """Replace the hash `old` with a new hash of the same password, unless the password was changed."""
    connection.execute(
        update(accounts)
        .where(accounts.c.id == account_id, accounts.c.password == old)
        .values(password=new)
    )


def add_session(
    connection: Connection,
    token_hash: bytes,
    account: Account,
    password: str,
    now: int,
    expires_at: int,
    limit: int,
    in_use: Collection[bytes],
) -> list[bytes]:
    """Store a new session, and remove expired ones.

    The account may have `limit` sessions. Beyond that some are ended, and the hashes of their tokens are
    returned: first those that were never used after their login, as by a script that logs in for each run,
    then those that were used longest ago, and those `in_use` on a connection last. Raises WrongPassword if
    the account has another hash than `password`, which was checked, and AccountDisabled.
    """
    if password_of(connection, account.id) != password:
        raise errors.WrongPassword(name=account.name)
    if connection.execute(*_disabled(account.id)).first():
        raise errors.AccountDisabled(name=account.name)
    connection.execute(*_expired(now))
    ended = _too_many(connection, account.id, limit - 1, expires_at - now, in_use)
    if ended:
        connection.execute(delete(sessions).where(sessions.c.token_hash.in_(ended)))
    row = {"token_hash": token_hash, "account_id": account.id, "created_at": now}
    connection.execute(_ADD_SESSION, {**row, "expires_at": expires_at, "used_at": now})
    return ended


@prepared
def _disabled(account_id: Any) -> Select[Any]:
    return select(disabled.c.at).where(disabled.c.account_id == account_id)


_ADD_SESSION = insert(sessions)


@prepared
def _expired(now: Any) -> Delete:
    return delete(sessions).where(sessions.c.expires_at <= now)


@prepared
def _sessions(account_id: Any) -> Select[Any]:
    times = sessions.c.created_at, sessions.c.expires_at
    return select(sessions.c.token_hash, *times).where(sessions.c.account_id == account_id)


def _too_many(
    connection: Connection, account_id: int, limit: int, lifetime: int, in_use: Collection[bytes]
) -> list[bytes]:
    """The token hashes of the sessions beyond `limit`."""
    found = connection.execute(*_sessions(account_id)).all()
    if len(found) <= limit:
        return []
    # A session expires a fixed time after its last use.
    ranked = sorted(found, key=lambda row: (row[0] in in_use, row[2] - row[1] > lifetime, row[2]))
    return [row[0] for row in ranked[: len(found) - limit]]


def find_session(
    connection: Connection, token_hash: bytes, now: int
) -> tuple[Account, int, int, Device] | None:
    """The account of a live session, the times when it was opened and when it expires, and the last device
    that has used it."""
    row = connection.execute(
        select(
            *_COLUMNS,
            sessions.c.created_at,
            sessions.c.expires_at,
            sessions.c.client,
            sessions.c.address,
        )
        .join_from(sessions, accounts)
        .where(sessions.c.token_hash == token_hash, sessions.c.expires_at > now)
    ).first()
    if row is None:
        return None
    *account, created_at, expires_at, client, address = row
    return Account(*account), created_at, expires_at, Device(client, address)


def stored_sessions(connection: Connection, hashes: Sequence[bytes]) -> set[bytes]:
    """Those of the hashes of tokens whose sessions have not ended."""
    query = select(sessions.c.token_hash).where(sessions.c.token_hash.in_(hashes))
    return set(connection.scalars(query))


def live_sessions(connection: Connection, account_id: int, now: int) -> set[bytes]:
    """The token hashes of the account's live sessions."""
    chosen = select(sessions.c.token_hash).where(
        sessions.c.account_id == account_id, sessions.c.expires_at > now
    )
    return set(connection.scalars(chosen))


def extend_session(connection: Connection, token_hash: bytes, now: int, expires_at: int) -> None:
    connection.execute(
        update(sessions)
        .where(sessions.c.token_hash == token_hash)
        .values(expires_at=expires_at, used_at=now)
    )


def note_device(connection: Connection, token_hash: bytes, device: Device, now: int) -> None:
    """Note the device that uses a session from now on."""
    connection.execute(*_use(token_hash, device.client, device.address, now))


@prepared
def _use(token_hash: Any, client: Any, address: Any, now: Any) -> Update:
    used = {"client": client, "address": address, "used_at": now}
    return update(sessions).where(sessions.c.token_hash == token_hash).values(used)


def sessions_of(
    connection: Connection, account_id: int, now: int
) -> list[tuple[bytes, SessionInfo]]:
    """The account's live sessions with the hashes of their tokens, the one used last first."""
    rows = connection.execute(
        select(
            sessions.c.token_hash,
            sessions.c.id,
            sessions.c.created_at,
            sessions.c.used_at,
            sessions.c.client,
            sessions.c.address,
        )
        .where(sessions.c.account_id == account_id, sessions.c.expires_at > now)
        .order_by(sessions.c.used_at.desc(), sessions.c.id.desc())
    )
    return [(row[0], SessionInfo(*row[1:])) for row in rows]


def end_session(connection: Connection, token_hash: bytes) -> None:
    connection.execute(delete(sessions).where(sessions.c.token_hash == token_hash))


def end_sessions(connection: Connection, account_id: int) -> None:
    connection.execute(delete(sessions).where(sessions.c.account_id == account_id))


def add_contact(connection: Connection, account_id: int, address: Address, limit: int) -> None:
    """Put `address` on the account's list. Raises ContactExists, TooManyContacts."""
    shown, realm = str(address), address.realm
    mine = contacts.c.account_id == account_id
    count = connection.execute(select(func.count()).select_from(contacts).where(mine)).scalar_one()
    if count >= limit:
        raise errors.TooManyContacts(limit=limit)
    try:
        connection.execute(
            insert(contacts).values(
                account_id=account_id,
                key=key_of(shown),
                address=shown,
                realm=None if realm is None else key_of(realm),
            )
        )
    except IntegrityError:
        raise errors.ContactExists(name=shown) from None


def delete_contact(connection: Connection, account_id: int, address: Address) -> None:
    """Take `address` off the account's list. Raises UnknownContact."""
    shown = str(address)
    gone = connection.execute(
        delete(contacts).where(contacts.c.account_id == account_id, contacts.c.key == key_of(shown))
    )
    if gone.rowcount == 0:
        raise errors.UnknownContact(name=shown)


def contacts_of(connection: Connection, account_id: int) -> list[str]:
    """The addresses on the account's list, as shown, by name."""
    return list(
        connection.scalars(
            select(contacts.c.address)
            .where(contacts.c.account_id == account_id)
            .order_by(contacts.c.key)
        )
    )
