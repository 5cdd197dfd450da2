"""Conversations, who takes part in them, and how far they have read. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, insert, select, update

from chatd.base.errors import UnknownConversation
from chatd.base.model import Account
from chatd.base.names import SYSTEM, Address, key_of
from chatd.store.schema import conversations, messages, participants, rosters


def last_seq(connection: Connection, conversation: int) -> int:
    """The number of the conversation's newest message; 0 where there is none.

    A direct message may have been taken back, so marks count too: a number that somebody was given is not
    given again. A group's messages are never taken back, and its many marks are not read: `rosters.floor`
    stands for those that its home has set.
    """
    newest = connection.scalar(
        select(func.max(messages.c.seq)).where(messages.c.conversation_id == conversation)
    )
    floor = connection.scalar(
        select(rosters.c.floor).where(rosters.c.conversation_id == conversation)
    )
    if floor is None:
        floor = connection.scalar(
            select(func.max(participants.c.read_seq)).where(
                participants.c.conversation_id == conversation
            )
        )
    return max(newest or 0, floor or 0)


def takes_part(connection: Connection, account_id: int, conversation: int) -> bool:
    """Whether the conversation is one of the account's."""
    found = connection.scalar(
        select(participants.c.account_id).where(
            participants.c.account_id == account_id,
            participants.c.conversation_id == conversation,
        )
    )
    return found is not None


def find_direct(connection: Connection, account_id: int, peer_key: str) -> int | None:
    """The account's direct conversation with the address whose key that is."""
    return connection.scalar(
        select(participants.c.conversation_id).where(
            participants.c.account_id == account_id, participants.c.peer_key == peer_key
        )
    )


def open_direct(connection: Connection, one: Account, other: Account, now: int) -> int:
    """The direct conversation of two accounts of this realm (or of one with itself), made if need be."""
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
    """An account's direct conversation with somebody of another realm, made if need be."""
    found = find_direct(connection, account_id, other.key)
    if found is not None:
        return found
    conversation = add_conversation(connection, "direct", now)
    connection.execute(
        insert(participants).values(
            account_id=account_id,
            conversation_id=conversation,
            peer=str(other),
            peer_key=other.key,
            joined_at=now,
            realm=key_of(other.realm or ""),
        )
    )
    return conversation


def open_system(connection: Connection, account_id: int, now: int) -> int:
    """The conversation in which the realm itself tells an account something."""
    found = find_direct(connection, account_id, SYSTEM)
    if found is not None:
        return found
    conversation = add_conversation(connection, "direct", now)
    connection.execute(
        insert(participants).values(
            account_id=account_id,
            conversation_id=conversation,
            peer=SYSTEM,
            peer_key=SYSTEM,
            joined_at=now,
        )
    )
    return conversation


def add_conversation(connection: Connection, kind: str, now: int) -> int:
    key = connection.execute(
        insert(conversations).values(kind=kind, created_at=now)
    ).inserted_primary_key
    assert key is not None  # noqa: S101 - an insert that did not fail has a key
    return int(key[0])


def move_marks(connection: Connection, account_id: int, marks: Mapping[int, int]) -> None:
    """Move read marks forward, never back: conversation -> seq."""
    for conversation, seq in marks.items():
        connection.execute(
            update(participants)
            .where(
                participants.c.account_id == account_id,
                participants.c.conversation_id == conversation,
                participants.c.read_seq < seq,
            )
            .values(read_seq=seq)
        )


def mark_read(connection: Connection, account_id: int, conversation: int, seq: int) -> None:
    """Move one mark forward, at most to the newest message. Raises UnknownConversation."""
    if not takes_part(connection, account_id, conversation):
        raise UnknownConversation(name=conversation)
    move_marks(connection, account_id, {conversation: min(seq, last_seq(connection, conversation))})
