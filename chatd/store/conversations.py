"""Conversations, and who takes part in them. Jobs and queries for the Database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, insert, select

from chatd.base.model import Account
from chatd.base.names import SYSTEM, Address, key_of
from chatd.store.engine import inserted_id
from chatd.store.prepared import prepared
from chatd.store.schema import changes, conversations, messages, participants, rosters


def last_seq(connection: Connection, conversation: int) -> int:
    """Return the highest number (seq) that the conversation has used, or 0.

    A direct message may have been removed, so the read marks count too: a number that a client has seen is
    not used again. Messages of groups are never removed, and reading the marks of all members would take
    long; `rosters.floor` has the highest mark that the group's home has set.
    """
    newest, changed, floor = connection.execute(*_used(conversation)).one()
    if floor is None:
        floor = connection.scalar(*_newest_mark(conversation))
    return max(newest or 0, changed or 0, floor or 0)


@prepared
def _used(conversation: Any) -> Select[Any]:
    return select(
        *(
            select(highest).where(table.c.conversation_id == conversation).scalar_subquery()
            for table, highest in (
                (messages, func.max(messages.c.seq)),
                (changes, func.max(changes.c.seq)),
                (rosters, rosters.c.floor),
            )
        )
    )


@prepared
def _newest_mark(conversation: Any) -> Select[Any]:
    newest = func.max(participants.c.read_seq)
    return select(newest).where(participants.c.conversation_id == conversation)


def takes_part(connection: Connection, account_id: int, conversation: int) -> bool:
    return connection.scalar(*_participant(account_id, conversation)) is not None


@prepared
def _participant(account_id: Any, conversation: Any) -> Select[Any]:
    return select(participants.c.account_id).where(
        participants.c.account_id == account_id, participants.c.conversation_id == conversation
    )


def with_peer(connection: Connection, conversation: int, peer_key: str) -> int | None:
    """Return the account that takes part in a conversation with the address that has this key."""
    found: int | None = connection.scalar(
        select(participants.c.account_id).where(
            participants.c.conversation_id == conversation, participants.c.peer_key == peer_key
        )
    )
    return found


def find_direct(connection: Connection, account_id: int, peer_key: str) -> int | None:
    """Return the account's direct conversation with the address that has this key."""
    found: int | None = connection.scalar(*_direct(account_id, peer_key))
    return found


@prepared
def _direct(account_id: Any, peer_key: Any) -> Select[Any]:
    return select(participants.c.conversation_id).where(
        participants.c.account_id == account_id, participants.c.peer_key == peer_key
    )


def open_direct(connection: Connection, one: Account, other: Account, now: int) -> int:
    """Return the direct conversation of two accounts of this realm, created if necessary. Both may be the
    same account."""
    found = find_direct(connection, one.id, other.key)
    if found is not None:
        return found
    conversation = add_conversation(connection, "direct", now)
    sides = {one.id: other, other.id: one}
    connection.execute(
        insert(participants),
        [
            {
                "account_id": account_id,
                "conversation_id": conversation,
                "peer": peer.name,
                "peer_key": peer.key,
                "joined_at": now,
            }
            for account_id, peer in sides.items()
        ],
    )
    return conversation


def open_remote(connection: Connection, account_id: int, other: Address, now: int) -> int:
    """Return an account's direct conversation with an address of another realm, created if necessary."""
    realm = key_of(other.realm or "")
    return _open(connection, account_id, str(other), other.key, realm, now)


def open_system(connection: Connection, account_id: int, now: int) -> int:
    """Return the conversation of an account with the realm itself, created if necessary."""
    return _open(connection, account_id, SYSTEM, SYSTEM, None, now)


def _open(
    connection: Connection, account_id: int, peer: str, peer_key: str, realm: str | None, now: int
) -> int:
    found = find_direct(connection, account_id, peer_key)
    if found is not None:
        return found
    conversation = add_conversation(connection, "direct", now)
    connection.execute(
        insert(participants).values(
            account_id=account_id,
            conversation_id=conversation,
            peer=peer,
            peer_key=peer_key,
            joined_at=now,
            realm=realm,
        )
    )
    return conversation


_ADD = insert(conversations)


def add_conversation(connection: Connection, kind: str, now: int) -> int:
    """Create a conversation, and return its id."""
    return inserted_id(connection.execute(_ADD, {"kind": kind, "created_at": now}))
