"""Who is told when an account comes online, goes offline or changes its profile. A query.

These are the accounts that share something with it: that have it as a contact, write to it directly, or are
in a group of up to MAX_READERS members with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec
import sqlalchemy as sa

from chatd.base.model import MAX_READERS, Account
from chatd.store.blocks import NO_BLOCKS, BlocksElsewhere, blocks_elsewhere
from chatd.store.receipts import may_see
from chatd.store.schema import accounts, contacts, participants, rosters
from chatd.store.watchers_elsewhere import Elsewhere, watchers_elsewhere

MAX_WATCHERS = 10_000  # of one account; beyond that, some are not told

_ACCOUNT: sa.BindParameter[int] = sa.bindparam("account", type_=sa.BigInteger)
_OTHER: sa.BindParameter[int] = sa.bindparam("other", type_=sa.BigInteger)
_KEY: sa.BindParameter[str] = sa.bindparam("key", type_=sa.Text)


class Watched(msgspec.Struct, frozen=True):
    """An account by its name and key, and the ids of the accounts that are told of it. `elsewhere` has the
    people of other realms that are told too. `blocks` are those of realms and of people of other realms."""

    name: str
    key: str
    watchers: frozenset[int]
    elsewhere: Elsewhere = {}
    blocks: BlocksElsewhere = NO_BLOCKS


class Pair(msgspec.Struct, frozen=True):
    """An account and another one, by the other's id and name: whether they `see` each other, and which of the
    two has something to do with the other, by id."""

    id: int
    name: str
    see: bool
    watching: frozenset[int]


def _may_see(account_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    return may_see(account_id, _KEY)


def _is_other(account_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    return account_id == _OTHER


def _sharing(
    which: Callable[[sa.ColumnElement[int]], sa.ColumnElement[bool]],
) -> sa.Select[tuple[int]]:
    """Select the accounts in a conversation with the account for which that condition holds."""
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
            which(theirs.c.account_id),
        )
    )


def _having(
    which: Callable[[sa.ColumnElement[int]], sa.ColumnElement[bool]],
) -> sa.Select[tuple[int]]:
    """Select the accounts with the account as a contact for which that condition holds."""
    return sa.select(contacts.c.account_id).where(
        contacts.c.key == _KEY, which(contacts.c.account_id)
    )


# They are built once, because building them takes longer than running them.
_NAMES = sa.select(accounts.c.name, accounts.c.key).where(accounts.c.id == _ACCOUNT)
_WATCHERS = sa.union(_sharing(_may_see), _having(_may_see)).limit(sa.bindparam("most"))
_IS_WATCHER = sa.union(_sharing(_is_other), _having(_is_other)).limit(1)
_PAIR = sa.select(accounts.c.id, accounts.c.name, _may_see(accounts.c.id)).where(
    accounts.c.key == sa.bindparam("other")
)


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


def pair_of(connection: sa.Connection, account: Account, other: str) -> Pair | None:
    """The account and the one with the key `other`, whether or not they may see each other. None if there is
    no such account."""
    found = connection.execute(_PAIR, {"key": account.key, "other": other}).first()
    if found is None:
        return None
    other_id, name, see = found
    watching = set()
    for seen, key, watcher in (
        (account.id, account.key, other_id),
        (other_id, other, account.id),
    ):
        asked = {"account": seen, "key": key, "other": watcher, "readers": MAX_READERS}
        if connection.execute(_IS_WATCHER, asked).first() is not None:
            watching.add(watcher)
    return Pair(other_id, name, see, frozenset(watching))
