"""Conversations, who takes part in them, and how far they have read. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from chatd.base.errors import UnknownConversation
from chatd.base.model import Account
from chatd.base.names import SYSTEM, Address, key_of
from chatd.base.read_marks import ReadMark
from chatd.store.engine import inserted_id
from chatd.store.schema import changes, conversations, messages, participants, rosters, skipped

_MOVE_MARK = (
    update(participants)
    .where(
        participants.c.account_id == bindparam("account"),
        participants.c.conversation_id == bindparam("place"),
        participants.c.read_seq < bindparam("to"),
    )
    .values(read_seq=bindparam("to"))
)
_FORGET_SKIPPED = delete(skipped).where(
    skipped.c.account_id == bindparam("account"),
    skipped.c.conversation_id == bindparam("place"),
    skipped.c.seq <= bindparam("to"),
)


def last_seq(connection: Connection, conversation: int) -> int:
    """Return the highest number (seq) that the conversation has used, or 0.

    A direct message may have been removed, so the read marks count too: a number that a client has seen is
    not used again. Messages of groups are never removed, and reading the marks of all members would take
    long; `rosters.floor` has the highest mark that the group's home has set.
    """
    newest = connection.scalar(
        select(func.max(messages.c.seq)).where(messages.c.conversation_id == conversation)
    )
    changed = connection.scalar(
        select(func.max(changes.c.seq)).where(changes.c.conversation_id == conversation)
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
    return max(newest or 0, changed or 0, floor or 0)


def takes_part(connection: Connection, account_id: int, conversation: int) -> bool:
    found = connection.scalar(
        select(participants.c.account_id).where(
            participants.c.account_id == account_id, participants.c.conversation_id == conversation
        )
    )
    return found is not None


def find_direct(connection: Connection, account_id: int, peer_key: str) -> int | None:
    """Return the account's direct conversation with the address that has this key."""
    return connection.scalar(
        select(participants.c.conversation_id).where(
            participants.c.account_id == account_id, participants.c.peer_key == peer_key
        )
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


def add_conversation(connection: Connection, kind: str, now: int) -> int:
    """Create a conversation, and return its id."""
    return inserted_id(connection.execute(insert(conversations).values(kind=kind, created_at=now)))


def move_marks(connection: Connection, account_id: int, marks: Mapping[int, ReadMark]) -> None:
    """Add marks to what an account has read: conversation -> mark. A mark never moves back, and what a mark
    leaves out becomes no less read by it."""
    plain = {place: mark for place, mark in marks.items() if not mark.left}
    if plain:
        rows = [
            {"account": account_id, "place": place, "to": mark.seq} for place, mark in plain.items()
        ]
        connection.execute(_FORGET_SKIPPED, rows)
        connection.execute(_MOVE_MARK, rows)
    for conversation in marks.keys() - plain.keys():
        _move_with_left(connection, account_id, conversation, marks[conversation])


def _move_with_left(
    connection: Connection, account_id: int, conversation: int, mark: ReadMark
) -> None:
    """Add a mark that leaves messages out."""
    found = connection.execute(
        select(participants.c.read_seq).where(
            participants.c.account_id == account_id, participants.c.conversation_id == conversation
        )
    ).first()
    if found is None:
        return  # a former member
    here = (skipped.c.account_id == account_id) & (skipped.c.conversation_id == conversation)
    connection.execute(
        delete(skipped).where(here, skipped.c.seq <= mark.seq, skipped.c.seq.not_in(mark.left))
    )
    # Those up to the stored mark are there already, or have been read meanwhile.
    fresh = [seq for seq in mark.left if seq > found.read_seq]
    if fresh:
        row = {"account_id": account_id, "conversation_id": conversation}
        connection.execute(insert(skipped), [{**row, "seq": seq} for seq in fresh])
    connection.execute(_MOVE_MARK, {"account": account_id, "place": conversation, "to": mark.seq})


def mark_read(connection: Connection, account_id: int, conversation: int, seq: int) -> None:
    """Mark everything up to `seq` as read, at most to the newest message. Raises UnknownConversation."""
    if not takes_part(connection, account_id, conversation):
        raise UnknownConversation(name=conversation)
    mark = ReadMark(min(seq, last_seq(connection, conversation)))
    move_marks(connection, account_id, {conversation: mark})
