"""The newest entries of the logs of some accounts, and entries as each account sees them. Queries for the
Database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from chatd.base.events import Change
from chatd.base.model import Account, Message
from chatd.store.accounts import get_accounts
from chatd.store.epochs import epoch_of
from chatd.store.schema import changes, conversations, groups, messages, participants
from chatd.store.sync import entries_after


class NewestEntry(NamedTuple):
    """An entry of a log. `is_ours`: its author is of this realm, so that `at` is when it was stored."""

    conversation: int
    seq: int
    at: int
    is_ours: bool


class SeenEntries(NamedTuple):
    """What each of some accounts sees of a log. `epoch` is that of the log of a group; None: it is a
    direct."""

    epoch: int | None
    by_account: list[tuple[Account, list[Message | Change]]]


def logs_of(connection: sa.Connection, accounts: Collection[int]) -> list[tuple[int, int]]:
    """The conversations of accounts, each with one of them."""
    query = sa.select(participants.c.conversation_id, participants.c.account_id)
    rows = connection.execute(query.where(participants.c.account_id.in_(accounts)))
    return [(conversation, account) for conversation, account in rows]


def newest_of(connection: sa.Connection, logs: Collection[int]) -> list[NewestEntry]:
    """The newest message and the newest change of each of these logs."""
    found: list[NewestEntry] = []
    for table in (messages, changes):
        last = (
            sa.select(sa.func.max(table.c.seq))
            .where(table.c.conversation_id == conversations.c.id)
            .scalar_subquery()
        )
        ends = sa.select(conversations.c.id, last).where(conversations.c.id.in_(logs))
        places = [(log, seq) for log, seq in connection.execute(ends) if seq is not None]
        place = sa.tuple_(table.c.conversation_id, table.c.seq)
        found += _entries(connection, table, place.in_(places))
    return found


def tail_of(
    connection: sa.Connection, conversation: int, after: int, limit: int
) -> list[NewestEntry]:
    """The newest entries of a log after a seq, at most `limit` messages and changes each. Imported messages
    are left out: nobody is told of them."""
    found: list[NewestEntry] = []
    for table in (messages, changes):
        here = [table.c.conversation_id == conversation, table.c.seq > after]
        if table is messages:
            here.append(messages.c.imported.is_(None))
        found += _entries(connection, table, *here, limit=limit)
    return found


def _entries(
    connection: sa.Connection,
    table: sa.Table,
    *where: sa.ColumnElement[bool],
    limit: int | None = None,
) -> list[NewestEntry]:
    query = sa.select(
        table.c.conversation_id, table.c.seq, table.c.at, table.c.origin_realm.is_(None)
    ).where(*where)
    if limit is not None:
        query = query.order_by(table.c.seq.desc()).limit(limit)
    return [
        NewestEntry(log, seq, at, bool(ours)) for log, seq, at, ours in connection.execute(query)
    ]


def seen_entries(
    connection: sa.Connection, conversation: int, accounts: Sequence[int], after: int, limit: int
) -> SeenEntries:
    """At most `limit` entries of a conversation after a seq, as each of these accounts sees them."""
    group = sa.select(groups.c.conversation_id).where(groups.c.conversation_id == conversation)
    is_group = connection.scalar(group) is not None
    seen = [
        (account, entries_after(connection, account, conversation, after, limit))
        for account in get_accounts(connection, accounts)
    ]
    return SeenEntries(epoch_of(connection, conversation) if is_group else None, seen)
