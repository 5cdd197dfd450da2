"""What accounts have chosen to show and to allow. Jobs and queries for the Database.

The choice of receipts is in chatd.store.receipts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import sqlalchemy as sa

from chatd.base.model import Privacy
from chatd.store.schema import privacy

READ_AT_ONCE = 500  # accounts that one query looks up


def privacy_of(connection: sa.Connection, account_id: int) -> Privacy:
    """What the account has chosen."""
    columns = privacy.c.receipts, privacy.c.presence, privacy.c.invitations
    row = connection.execute(sa.select(*columns).where(privacy.c.account_id == account_id)).first()
    return Privacy() if row is None else Privacy(*row)


def asking_first(connection: sa.Connection, account_ids: Sequence[int]) -> frozenset[int]:
    """Those of the accounts that want to be asked before they are made members of a group."""
    found: set[int] = set()
    for start in range(0, len(account_ids), READ_AT_ONCE):
        page = account_ids[start : start + READ_AT_ONCE]
        theirs = privacy.c.account_id.in_(page), ~privacy.c.invitations
        found.update(connection.scalars(sa.select(privacy.c.account_id).where(*theirs)))
    return frozenset(found)


def with_receipts(account_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """A condition: the account has receipts on."""
    return ~sa.exists().where(privacy.c.account_id == account_id, ~privacy.c.receipts)


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


_HIDDEN = sa.select(privacy.c.account_id).where(~privacy.c.presence)


def all_hidden(connection: sa.Connection) -> list[int]:
    """The accounts that hide whether they are online."""
    return list(connection.scalars(_HIDDEN))
