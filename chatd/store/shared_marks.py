"""How far people have read the conversations that this realm shares with another one. Queries for the
Database.

They are told again to a realm that was restored from a backup (chatd.service.receipts).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from chatd.base.model import MAX_READERS
from chatd.store.marks import MAX_REMOTE, READ
from chatd.store.schema import accounts, participants, remote_marks, remote_members

MAX_PLACES = 10_000  # conversations, the newest ones


class SharedMark(msgspec.Struct, frozen=True):
    """A person by key and address, who has read up to `seq`: an account of this realm, or, with None for its
    id, a person of another one."""

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
    return [SharedMark(*row) for row in (*here, *elsewhere)]
