"""How far people have read the conversations that this realm shares with others: what these have yet to be
told, and what a realm that was restored from a backup is told again (chatd.service.receipts). Queries for the
Database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.model import MAX_READERS
from chatd.store.marks import MAX_REMOTE, READ
from chatd.store.prepared import prepared
from chatd.store.schema import (
    accounts,
    participants,
    remote_marks,
    remote_members,
    untold_marks,
)

MAX_PLACES = 10_000  # conversations, the newest ones


class SharedMark(msgspec.Struct, frozen=True):
    """A person by key and address, who has read a conversation up to `seq`: an account of this realm, or,
    with None for its id, a person of another one."""

    conversation: int
    key: str
    address: str
    account_id: int | None
    seq: int


def shared_places(connection: sa.Connection, realm: str) -> Sequence[int]:
    """The conversations with people of that realm, and the groups that both realms have members in."""
    ours = sa.select(participants.c.conversation_id).where(participants.c.realm == realm)
    theirs = sa.select(remote_members.c.conversation_id).where(remote_members.c.realm == realm)
    both = sa.union(ours, theirs).subquery()
    query = sa.select(both.c.conversation_id).order_by(both.c.conversation_id.desc())
    return connection.scalars(query.limit(MAX_PLACES)).all()


def marks_for(connection: sa.Connection, conversation: int, realm: str) -> list[SharedMark]:
    """The marks in a conversation that the realm may have been told: those of all people but its own."""
    here = connection.execute(
        sa.select(accounts.c.key, accounts.c.name, accounts.c.id, READ)
        .join(participants, participants.c.account_id == accounts.c.id)
        .where(participants.c.conversation_id == conversation, READ > 0)
        .limit(MAX_READERS)
    ).all()
    elsewhere = connection.execute(
        sa.select(remote_marks.c.key, remote_marks.c.address, sa.null(), remote_marks.c.seq)
        .where(
            remote_marks.c.conversation_id == conversation,
            ~remote_marks.c.key.endswith(f"@{realm}", autoescape=True),
        )
        .limit(MAX_REMOTE)
    ).all()
    return [SharedMark(conversation, *row) for row in (*here, *elsewhere)]


def has_moved_on(connection: sa.Connection, mark: SharedMark) -> bool:
    """Whether the person has read further since. Then that is told, and the mark must not replace it."""
    if mark.account_id is None:
        seq = connection.scalar(*_mark_elsewhere(mark.conversation, mark.key))
    else:
        seq = connection.scalar(*_mark_here(mark.conversation, mark.account_id))
    return seq is not None and seq > mark.seq


@prepared
def _mark_here(conversation: Any, account_id: Any) -> sa.Select[Any]:
    return sa.select(READ).where(
        participants.c.account_id == account_id, participants.c.conversation_id == conversation
    )


@prepared
def _mark_elsewhere(conversation: Any, key: Any) -> sa.Select[Any]:
    return sa.select(remote_marks.c.seq).where(
        remote_marks.c.conversation_id == conversation, remote_marks.c.key == key
    )


def untold(connection: sa.Connection, after: tuple[int, str], limit: int) -> Sequence[SharedMark]:
    """The marks that other realms have yet to be told, after that conversation and key. The address is empty
    if there is no such person any more."""
    place, key = untold_marks.c.conversation_id, untold_marks.c.key
    theirs = (remote_marks.c.conversation_id == place) & (remote_marks.c.key == key)
    address = sa.func.coalesce(accounts.c.name, remote_marks.c.address, "")
    query = (
        sa.select(place, key, address, accounts.c.id, untold_marks.c.seq)
        .outerjoin(accounts, accounts.c.key == key)
        .outerjoin(remote_marks, theirs)
        .where(sa.tuple_(place, key) > sa.tuple_(*map(sa.literal, after)))
        .order_by(place, key)
        .limit(limit)
    )
    return [SharedMark(*row) for row in connection.execute(query)]
