"""Deleting accounts. Jobs and queries for the Database.

A deleted account keeps its row, because its messages refer to it, and its name stays taken. It gets a key
that no name has, so that it is not found any more.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from chatd.base.errors import UnknownUser
from chatd.base.model import Account
from chatd.base.names import key_of
from chatd.store.accounts import DELETED, account_of, password_of
from chatd.store.operators import check_not_last
from chatd.store.receipts import set_receipts
from chatd.store.requests import conceal
from chatd.store.schema import (
    accounts,
    avatars,
    blocks,
    changes,
    contacts,
    departures,
    disabled,
    file_quotas,
    groups,
    invitations,
    join_requests,
    messages,
    move_claims,
    move_luggage,
    move_plans,
    moving_groups,
    participants,
    password_resets,
    privacy,
    profiles,
    removed_messages,
    request_decisions,
    retention_marks,
    roles,
    sessions,
)
from chatd.store.versions import VersionWriter

SCANNED = 50_000  # messages of all people that one query looks at

# What an account has for itself
_OWN = (
    sessions,
    contacts,
    blocks,
    privacy,
    profiles,
    roles,
    disabled,
    file_quotas,
    password_resets,
    invitations,
    join_requests,
    request_decisions,
    move_claims,
    move_luggage,
    move_plans,
    moving_groups,
)


class Departure(msgspec.Struct, frozen=True):
    """An account that was deleted, with the key that it had, and is still to leave its groups. `erase`: its
    messages are deleted first."""

    account: Account
    erase: bool


def depart(
    connection: sa.Connection, versions: VersionWriter, account: Account, erase: bool, now: int
) -> Account:
    """As `remove`, for its owner. Raises UnknownUser, LastOperator."""
    check_not_last(connection, account.id, now)
    return remove(connection, versions, account, erase, now)


def remove(
    connection: sa.Connection, versions: VersionWriter, account: Account, erase: bool, now: int
) -> Account:
    """Delete an account, except for its messages and memberships. Its read marks are no longer shown. Returns
    what is left of it. Raises UnknownUser."""
    if not password_of(connection, account.id):  # it was deleted meanwhile
        raise UnknownUser(name=account.name)
    for table in _OWN:
        connection.execute(sa.delete(table).where(table.c.account_id == account.id))
    conceal(connection, account)
    set_receipts(connection, versions, account, on=False)
    connection.execute(sa.delete(contacts).where(contacts.c.key == account.key))
    connection.execute(sa.delete(avatars).where(avatars.c.place == f"@{account.key}"))
    connection.execute(
        sa.update(accounts)
        .where(accounts.c.id == account.id)
        .values(
            key=f"{DELETED}{account.id}",
            password="",
            display_name=account.name,
            country="",
        )
    )
    connection.execute(sa.insert(departures).values(account_id=account.id, erase=erase, at=now))
    return account_of(connection, account.id)


def erase_deleted(connection: sa.Connection, name: str, now: int) -> Departure:
    """Erase the messages of an account that was deleted before. Returns what is to be done for it. Raises
    UnknownUser if no account of that name was deleted."""
    key = key_of(name)
    before = sa.select(accounts.c.id, accounts.c.name).where(accounts.c.key.startswith(DELETED))
    for account_id, earlier in connection.execute(before):
        if key_of(earlier) == key:
            finish(connection, account_id)
            values = {"account_id": account_id, "erase": True, "at": now}
            connection.execute(sa.insert(departures).values(values))
            return _departure(connection, account_id, erase=True)
    raise UnknownUser(name=name)


_UNFINISHED = sa.select(departures.c.account_id, departures.c.erase).order_by(departures.c.at)


def unfinished(connection: sa.Connection) -> list[Departure]:
    """The accounts that were deleted and are still in groups, oldest first."""
    rows = connection.execute(_UNFINISHED)
    return [_departure(connection, account_id, erase) for account_id, erase in rows.all()]


def _departure(connection: sa.Connection, account_id: int, erase: bool) -> Departure:
    account = account_of(connection, account_id)
    return Departure(msgspec.structs.replace(account, key=key_of(account.name)), erase)


def finish(connection: sa.Connection, account_id: int, erased: bool = True) -> None:
    """Nothing more is to be done for a deleted account, unless its messages are to be erased and were not
    `erased`."""
    done = sa.delete(departures).where(departures.c.account_id == account_id)
    connection.execute(done if erased else done.where(~departures.c.erase))


# This realm has removed it, because it was too old or by a moderator, which other realms do not know.
_IS_LEFT_ELSEWHERE = sa.and_(
    sa.or_(
        messages.c.seq <= retention_marks.c.removed,
        sa.exists().where(
            removed_messages.c.conversation_id == messages.c.conversation_id,
            removed_messages.c.seq == messages.c.seq,
        ),
    ),
    ~sa.exists().where(
        changes.c.conversation_id == messages.c.conversation_id,
        changes.c.target == messages.c.seq,
        changes.c.kind == "deleted",
    ),
)


def own_messages(
    connection: sa.Connection, account_id: int, after: int, limit: int
) -> tuple[list[tuple[int, int]], int | None]:
    """The first `limit` messages of the account with ids above `after` that have content, here or in another
    realm: their conversations and seqs. Looks at SCANNED ids at most, so that other queries get their turn.
    Also returns the id after which to continue; None at the end."""
    upto = after + SCANNED
    rows = connection.execute(
        sa.select(messages.c.id, messages.c.conversation_id, messages.c.seq)
        .outerjoin(retention_marks, retention_marks.c.conversation_id == messages.c.conversation_id)
        .where(
            messages.c.id > after,
            messages.c.id <= upto,
            messages.c.sender_id == account_id,
            messages.c.deleted_at.is_(None) | _IS_LEFT_ELSEWHERE,
        )
        .order_by(messages.c.id)
        .limit(limit)
    ).all()
    found = [(conversation, seq) for _, conversation, seq in rows]
    if len(rows) == limit:
        return found, rows[-1][0]
    beyond = connection.scalar(sa.select(sa.func.min(messages.c.id)).where(messages.c.id > upto))
    return found, None if beyond is None else beyond - 1


def groups_of(connection: sa.Connection, account_id: int) -> list[str]:
    """The names of the groups that the account is in."""
    return list(
        connection.scalars(
            sa.select(groups.c.name)
            .join(participants, participants.c.conversation_id == groups.c.conversation_id)
            .where(participants.c.account_id == account_id)
            .order_by(groups.c.name)
        )
    )


def group_name(connection: sa.Connection, conversation: int) -> str | None:
    """The name of the group with that id, or None if there is none, or if it has ended."""
    return connection.scalar(
        sa.select(groups.c.name).where(
            groups.c.conversation_id == conversation, groups.c.key.is_not(None)
        )
    )
