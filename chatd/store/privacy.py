"""What accounts have chosen to show and to allow. Jobs and queries for the Database.

The choice of receipts is in chatd.store.receipts.
"""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa

from chatd.base.model import Privacy
from chatd.store.schema import privacy


def privacy_of(connection: sa.Connection, account_id: int) -> Privacy:
    """What the account has chosen."""
    columns = privacy.c.receipts, privacy.c.presence, privacy.c.invitations
    row = connection.execute(sa.select(*columns).where(privacy.c.account_id == account_id)).first()
    return Privacy() if row is None else Privacy(*row)


def asks_first(connection: sa.Connection, account_id: int) -> bool:
    """Whether the account wants to be asked before it is made a member of a group."""
    return not privacy_of(connection, account_id).invitations


def choose(
    connection: sa.Connection,
    account_id: int,
    key: Literal["presence", "invitations"],
    on: bool,
) -> None:
    """Change a choice."""
    mine = sa.update(privacy).where(privacy.c.account_id == account_id).values({key: on})
    if not connection.execute(mine).rowcount:
        values = {"account_id": account_id, "receipts": True, "version": 0, key: on}
        connection.execute(sa.insert(privacy).values(values))


def all_hidden(connection: sa.Connection) -> list[int]:
    """The accounts that hide whether they are online."""
    return list(connection.scalars(sa.select(privacy.c.account_id).where(~privacy.c.presence)))
