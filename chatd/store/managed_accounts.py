"""Accounts as operators manage them. Jobs and queries for the Database."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from chatd.base.errors import SessionNotFound, UnknownUser
from chatd.base.model import Account
from chatd.base.names import key_of
from chatd.base.records import AccountInfo
from chatd.base.roles import USER, Role
from chatd.store.accounts import (
    DELETED,
    add_account,
    end_session,
    end_sessions,
    sessions_of,
    set_profile,
)
from chatd.store.files import IS_HERE
from chatd.store.operators import set_role
from chatd.store.schema import (
    accounts,
    attachments,
    disabled,
    participants,
    password_resets,
    roles,
    sessions,
)


class AccountFilter(msgspec.Struct, frozen=True):
    """Which accounts are listed. `name` is a part of the username or display name, and `after` the last name
    of the page before."""

    name: str | None = None
    role: Role | None = None
    state: str | None = None
    after: str | None = None


class AccountFacts(msgspec.Struct, frozen=True):
    """What is stored of an account. Times are in ms since 1970 UTC; `disabled` is since when it is, if it
    is. `size` are the bytes of the files that it has sent."""

    created: int
    used: int | None
    disabled: int | None
    reason: str | None
    sessions: int
    groups: int
    files: int
    size: int


_ROLE = func.coalesce(
    select(roles.c.role).where(roles.c.account_id == accounts.c.id).scalar_subquery(), USER
)
_USED = select(func.max(sessions.c.used_at)).where(sessions.c.account_id == accounts.c.id)
_SENT = attachments.c.owner_id == accounts.c.id, IS_HERE
_FILES = select(func.count(attachments.c.id)).where(*_SENT)
_SIZE = select(func.coalesce(func.sum(attachments.c.size), 0)).where(*_SENT)
_DISABLED = select(disabled.c.account_id).where(disabled.c.account_id == accounts.c.id).exists()


def list_accounts(
    connection: Connection, wanted: AccountFilter, limit: int
) -> tuple[list[tuple[int, AccountInfo]], int]:
    """The first `limit` accounts by name with their ids, and how many more there are."""
    conditions = [~accounts.c.key.startswith(DELETED)]
    if wanted.name is not None:
        part = wanted.name.lower()
        conditions.append(
            accounts.c.key.contains(key_of(wanted.name), autoescape=True)
            | func.lower(accounts.c.display_name).contains(part, autoescape=True)
        )
    if wanted.role is not None:
        conditions.append(_ROLE == wanted.role)  # noqa: SIM300 - a column of SQL
    if wanted.state is not None:
        conditions.append(_DISABLED if wanted.state == "disabled" else ~_DISABLED)
    if wanted.after is not None:
        conditions.append(accounts.c.key > key_of(wanted.after))
    columns = accounts.c.name, accounts.c.display_name, _ROLE, accounts.c.created_at
    counts = _USED.scalar_subquery(), _FILES.scalar_subquery(), _SIZE.scalar_subquery()
    chosen = select(accounts.c.id, *columns, *counts, _DISABLED).where(*conditions)
    rows = connection.execute(chosen.order_by(accounts.c.key).limit(limit)).all()
    total: int = connection.scalar(select(func.count(accounts.c.id)).where(*conditions)) or 0
    found = [
        (
            number,
            AccountInfo(
                name, display, role, created, used, disabled=bool(off), files=files, size=size
            ),
        )
        for number, name, display, role, created, used, files, size, off in rows
    ]
    return found, total - len(rows)


def facts_of(connection: Connection, account: Account, now: int) -> AccountFacts:
    """What is stored of an account. Raises UnknownUser."""
    alive = sessions.c.account_id == accounts.c.id, sessions.c.expires_at > now
    member = participants.c.account_id == accounts.c.id, participants.c.peer_key.is_(None)
    row = connection.execute(
        select(
            accounts.c.created_at,
            _USED.scalar_subquery(),
            disabled.c.at,
            disabled.c.reason,
            select(func.count(sessions.c.id)).where(*alive).scalar_subquery(),
            select(func.count()).select_from(participants).where(*member).scalar_subquery(),
            _FILES.scalar_subquery(),
            _SIZE.scalar_subquery(),
        )
        .join_from(accounts, disabled, isouter=True)
        .where(accounts.c.id == account.id)
    ).first()
    if row is None:
        raise UnknownUser(name=account.name)
    return AccountFacts(*row)


def add_with_role(
    connection: Connection,
    name: str,
    password: str,
    display_name: str,
    country: str,
    now: int,
    role: Role,
) -> Account:
    """Create an account with that role. `password` is a hash. Raises UserExists."""
    account = add_account(connection, name, password, display_name, country, now)
    return set_role(connection, account.id, role)


def change_role(connection: Connection, account: Account, role: Role) -> Account:
    """Give an account a role. Returns the changed account. Raises UnknownUser."""
    check_exists(connection, account)
    return set_role(connection, account.id, role)


def replace_password(connection: Connection, account: Account, hashed: str) -> None:
    """Give an account another password, and end its sessions and its link to choose one. Raises
    UnknownUser."""
    check_exists(connection, account)
    chosen = update(accounts).where(accounts.c.id == account.id)
    connection.execute(chosen.values(password=hashed))
    connection.execute(delete(password_resets).where(password_resets.c.account_id == account.id))
    end_sessions(connection, account.id)


def rename(connection: Connection, account: Account, name: str) -> Account:
    """Give an account another display name. Returns the changed account. Raises UnknownUser."""
    check_exists(connection, account)
    return set_profile(connection, account.id, name, None)


def disable(connection: Connection, account: Account, reason: str | None, now: int) -> None:
    """Refuse the logins of an account, and end its sessions. Raises UnknownUser."""
    check_exists(connection, account)
    enable(connection, account)
    connection.execute(insert(disabled).values(account_id=account.id, at=now, reason=reason))
    end_sessions(connection, account.id)


def enable(connection: Connection, account: Account) -> None:
    """Accept the logins of an account again."""
    connection.execute(delete(disabled).where(disabled.c.account_id == account.id))


def end_all_sessions(connection: Connection, account: Account) -> None:
    """End the sessions of an account. Raises UnknownUser."""
    check_exists(connection, account)
    end_sessions(connection, account.id)


def end_one_session(connection: Connection, account: Account, session: int, now: int) -> bytes:
    """End one session of an account. Returns the hash of its token. Raises SessionNotFound."""
    for token_hash, info in sessions_of(connection, account.id, now):
        if info.session == session:
            end_session(connection, token_hash)
            return token_hash
    raise SessionNotFound(name=account.name, session=session)


def check_exists(connection: Connection, account: Account) -> None:
    """Raises UnknownUser if the account was deleted meanwhile."""
    key = connection.scalar(select(accounts.c.key).where(accounts.c.id == account.id))
    if key != account.key:
        raise UnknownUser(name=account.name)
