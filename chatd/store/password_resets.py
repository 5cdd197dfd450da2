"""Links with which people choose another password. Jobs and queries for the Database."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from chatd.base.errors import BadResetLink
from chatd.base.model import Account
from chatd.store import audit
from chatd.store.accounts import account_of
from chatd.store.managed_accounts import check_exists, replace_password
from chatd.store.schema import password_resets

# In the audit log: the account itself has used a link. No command of operators has this name.
USED = "password.reset"

_T = password_resets.c


def add_reset(connection: Connection, account: Account, token_hash: bytes, expires_at: int) -> None:
    """Store a link of an account, in place of an earlier one. Raises UnknownUser."""
    check_exists(connection, account)
    connection.execute(delete(password_resets).where(_T.account_id == account.id))
    values = {"account_id": account.id, "token_hash": token_hash, "expires_at": expires_at}
    connection.execute(insert(password_resets), values)


def account_of_reset(connection: Connection, token_hash: bytes, now: int) -> Account:
    """The account that a link is for. Raises BadResetLink."""
    usable = _T.token_hash == token_hash, _T.expires_at > now
    number = connection.scalar(select(_T.account_id).where(*usable))
    if number is None:
        raise BadResetLink
    return account_of(connection, number)


def use_reset(connection: Connection, token_hash: bytes, hashed: str, now: int) -> Account:
    """Replace the password of the account that a link is for, end its sessions, and remove the link. The
    audit log learns that the account has done it. Returns the account. Raises BadResetLink."""
    account = account_of_reset(connection, token_hash, now)
    replace_password(connection, account, hashed)
    entry = audit.AuditEntry(now, account.name, USED, account.name, "by a link")
    audit.add_entry(connection, entry, audit.DONE)
    return account
