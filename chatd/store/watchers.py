"""Who is told when an account comes online, goes offline or changes its profile. A query.

These are the accounts that share something with it: that have it as a contact, write to it directly, or are
in a group of up to MAX_READERS members with it.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import sqlalchemy as sa

from chatd.base.model import MAX_READERS
from chatd.store.blocks import NO_BLOCKS, BlocksElsewhere, blocks_elsewhere
from chatd.store.receipts import may_see
from chatd.store.schema import accounts, contacts, participants, rosters
from chatd.store.watchers_elsewhere import Elsewhere, watchers_elsewhere

MAX_WATCHERS = 10_000  # of one account; beyond that, some are not told

_ACCOUNT: sa.BindParameter[int] = sa.bindparam("account", type_=sa.BigInteger)
_KEY: sa.BindParameter[str] = sa.bindparam("key", type_=sa.Text)


class Watched(msgspec.Struct, frozen=True):
    """An account by its name and key, and the ids of the accounts that are told of it. `elsewhere` has the
    people of other realms that are told too. `blocks` are those of realms and of people of other realms."""

    name: str
    key: str
    watchers: frozenset[int]
    elsewhere: Elsewhere = {}
    blocks: BlocksElsewhere = NO_BLOCKS


def _sharing() -> sa.Select[tuple[int]]:
    """Select the accounts in a conversation with the account."""
    mine, theirs = participants.alias("mine"), participants.alias("theirs")
    return (
        sa.select(theirs.c.account_id)
        .select_from(mine)
        # In this order, because the members of larger groups are not to be looked at.
        .outerjoin(rosters, rosters.c.conversation_id == mine.c.conversation_id)
        .join(theirs, theirs.c.conversation_id == mine.c.conversation_id)
        .where(
            mine.c.account_id == _ACCOUNT,
            sa.func.coalesce(rosters.c.members, 0) <= sa.bindparam("readers"),
            may_see(theirs.c.account_id, _KEY),
        )
    )


def _having() -> sa.Select[tuple[int]]:
    """Select the accounts with the account as a contact."""
    return sa.select(contacts.c.account_id).where(
        contacts.c.key == _KEY, may_see(contacts.c.account_id, _KEY)
    )


# They are built once, because building them takes longer than running them.
_NAMES = sa.select(accounts.c.name, accounts.c.key).where(accounts.c.id == _ACCOUNT)
_WATCHERS = sa.union(_sharing(), _having()).limit(sa.bindparam("most"))


def watchers_of(
    connection: sa.Connection, account_id: int, realms: Collection[str] = ()
) -> Watched | None:
    """Who is told of the account, here and in `realms`. None if there is no such account."""
    found = connection.execute(_NAMES, {"account": account_id}).first()
    if found is None:
        return None
    bounds = {"readers": MAX_READERS, "most": MAX_WATCHERS}
    asked = {"account": account_id, "key": found.key, **bounds}
    told = frozenset(row.account_id for row in connection.execute(_WATCHERS, asked))
    watched = Watched(found.name, found.key, told - {account_id})
    if not realms:
        return watched
    theirs = blocks_elsewhere(connection, [account_id]).get(account_id, NO_BLOCKS)
    elsewhere = watchers_elsewhere(connection, account_id, sorted(set(realms) - theirs.realms))
    return msgspec.structs.replace(watched, elsewhere=elsewhere, blocks=theirs)
