"""Who is told when an account comes online, goes offline or changes its profile. A query.

These are the accounts that share something with it: that have it as a contact, write to it directly, or are
in a group of up to MAX_READERS members with it.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from chatd.base.model import MAX_READERS
from chatd.store.receipts import may_see
from chatd.store.schema import accounts, contacts, participants, rosters

MAX_WATCHERS = 10_000  # of one account; beyond that, some are not told


class Watched(msgspec.Struct, frozen=True):
    """An account by its name, and the ids of the accounts that are told of it."""

    name: str
    watchers: frozenset[int]


def watchers_of(connection: sa.Connection, account_id: int) -> Watched | None:
    """Who is told of the account. None if there is no such account."""
    found = connection.execute(
        sa.select(accounts.c.name, accounts.c.key).where(accounts.c.id == account_id)
    ).first()
    if found is None:
        return None
    both = sa.union(_sharing(account_id, found.key), _having(found.key))
    told = frozenset(row.account_id for row in connection.execute(both.limit(MAX_WATCHERS)))
    return Watched(found.name, told - {account_id})


def _sharing(account_id: int, key: str) -> sa.Select[tuple[int]]:
    """Select the accounts in a conversation with that one."""
    mine, theirs = participants.alias("mine"), participants.alias("theirs")
    return (
        sa.select(theirs.c.account_id)
        .select_from(mine)
        .join(theirs, theirs.c.conversation_id == mine.c.conversation_id)
        .outerjoin(rosters, rosters.c.conversation_id == mine.c.conversation_id)
        .where(
            mine.c.account_id == account_id,
            sa.func.coalesce(rosters.c.members, 0) <= MAX_READERS,
            may_see(theirs.c.account_id, key),
        )
    )


def _having(key: str) -> sa.Select[tuple[int]]:
    """Select the accounts with that contact."""
    return sa.select(contacts.c.account_id).where(
        contacts.c.key == key, may_see(contacts.c.account_id, key)
    )
