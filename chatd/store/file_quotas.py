"""The quotas that operators give to single accounts. Jobs and queries for the Database."""

from __future__ import annotations

import sqlalchemy as sa

from chatd.base.model import Account
from chatd.store.managed_accounts import check_exists
from chatd.store.schema import file_quotas


def all_quotas(connection: sa.Connection) -> list[tuple[int, int]]:
    """The accounts, by id, that have a quota of their own, and its bytes."""
    rows = connection.execute(sa.select(file_quotas.c.account_id, file_quotas.c.size))
    return [(account_id, size) for account_id, size in rows]


def set_quota(connection: sa.Connection, account: Account, size: int | None) -> None:
    """Give an account a quota of `size` bytes for its files; None removes it. Raises UnknownUser."""
    check_exists(connection, account)
    connection.execute(sa.delete(file_quotas).where(file_quotas.c.account_id == account.id))
    if size is not None:
        connection.execute(sa.insert(file_quotas).values(account_id=account.id, size=size))
