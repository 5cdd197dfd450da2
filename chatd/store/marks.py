"""Read marks: moving them. Jobs for the Database.

A mark moves with a version (chatd.store.versions), so that `sync` tells of it. chatd.store.receipts has
who sees the marks of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from chatd.base.errors import UnknownConversation
from chatd.base.model import MAX_READERS, Account
from chatd.base.names import Address
from chatd.base.read_marks import ReadMark
from chatd.store import untold_marks
from chatd.store.conversations import last_seq, takes_part
from chatd.store.schema import messages, participants, remote_marks, skipped
from chatd.store.versions import Kind, Subject, VersionWriter

# People of other realms with marks in a conversation. Members may change, so there may be more than readers.
MAX_REMOTE = 10 * MAX_READERS

_MOVE = (
    sa.update(participants)
    .where(
        participants.c.account_id == sa.bindparam("account"),
        participants.c.conversation_id == sa.bindparam("place"),
        participants.c.read_seq < sa.bindparam("to"),
    )
    .values(read_seq=sa.bindparam("to"))
)
_FORGET_SKIPPED = sa.delete(skipped).where(
    skipped.c.account_id == sa.bindparam("account"),
    skipped.c.conversation_id == sa.bindparam("place"),
    skipped.c.seq <= sa.bindparam("to"),
)
_OLDEST_SKIPPED = (
    sa.select(sa.func.min(skipped.c.seq))
    .where(
        skipped.c.account_id == participants.c.account_id,
        skipped.c.conversation_id == participants.c.conversation_id,
    )
    .correlate(participants)
    .scalar_subquery()
)
# Up to which number an account has read everything.
READ = sa.func.coalesce(_OLDEST_SKIPPED - 1, participants.c.read_seq)


# Moving


def move_marks(
    connection: sa.Connection,
    versions: VersionWriter,
    account: Account,
    marks: Mapping[int, ReadMark],
) -> dict[int, int]:
    """Add marks to what an account has read: conversation -> mark. A mark never moves back, and what a mark
    leaves out becomes no less read by it.

    Returns up to where everything is read now, in the conversations where that has changed.
    """
    before = _read_in(connection, account, marks)
    plain = {place: mark for place, mark in marks.items() if not mark.left}
    if plain:
        rows = [
            {"account": account.id, "place": place, "to": mark.seq} for place, mark in plain.items()
        ]
        connection.execute(_FORGET_SKIPPED, rows)
        connection.execute(_MOVE, rows)
    for conversation in marks.keys() - plain.keys():
        _move_with_left(connection, account.id, conversation, marks[conversation])
    after = _read_in(connection, account, before)
    moved = {place: seq for place, seq in after.items() if seq > before[place]}
    versions.note(connection, [Subject(place, Kind.MARK, account.key) for place in moved])
    untold_marks.note_own(connection, account, moved)
    return moved


def _read_in(connection: sa.Connection, account: Account, places: Iterable[int]) -> dict[int, int]:
    """Up to where the account has read each of these conversations that it takes part in."""
    rows = connection.execute(
        sa.select(participants.c.conversation_id, READ).where(
            participants.c.account_id == account.id,
            participants.c.conversation_id.in_(list(places)),
        )
    )
    return {row[0]: row[1] for row in rows}


def _move_with_left(
    connection: sa.Connection, account_id: int, conversation: int, mark: ReadMark
) -> None:
    """Add a mark that leaves messages out."""
    found = connection.execute(
        sa.select(participants.c.read_seq).where(
            participants.c.account_id == account_id, participants.c.conversation_id == conversation
        )
    ).first()
    if found is None:
        return  # a former member
    here = (skipped.c.account_id == account_id) & (skipped.c.conversation_id == conversation)
    connection.execute(
        sa.delete(skipped).where(here, skipped.c.seq <= mark.seq, skipped.c.seq.not_in(mark.left))
    )
    # Those up to the stored mark are there already, or have been read meanwhile.
    fresh = [seq for seq in mark.left if seq > found.read_seq]
    if fresh:
        row = {"account_id": account_id, "conversation_id": conversation}
        connection.execute(sa.insert(skipped), [{**row, "seq": seq} for seq in fresh])
    connection.execute(_MOVE, {"account": account_id, "place": conversation, "to": mark.seq})


def mark_read(
    connection: sa.Connection,
    versions: VersionWriter,
    account: Account,
    conversation: int,
    seq: int,
) -> dict[int, int]:
    """Mark everything up to `seq` as read, at most to the newest entry. Returns as `move_marks`.

    Raises UnknownConversation.
    """
    if not takes_part(connection, account.id, conversation):
        raise UnknownConversation(name=conversation)
    mark = ReadMark(min(seq, last_seq(connection, conversation)))
    return move_marks(connection, versions, account, {conversation: mark})


# Marks of people of other realms


def last_received(connection: sa.Connection, conversation: int, seq: int, realm: str) -> int | None:
    """The number that a realm has given to the last message up to `seq` of a direct conversation that came
    from there."""
    return connection.scalar(
        sa.select(messages.c.origin_id)
        .where(
            messages.c.conversation_id == conversation,
            messages.c.seq <= seq,
            messages.c.sender_id.is_(None),
            messages.c.origin_realm == realm,
            messages.c.origin_id.is_not(None),
        )
        .order_by(messages.c.seq.desc())
        .limit(1)
    )


def move_remote_mark(
    connection: sa.Connection, versions: VersionWriter, conversation: int, reader: Address, seq: int
) -> bool:
    """Move the mark of a person of another realm, at most to the newest entry. Returns whether it moved.

    A conversation has MAX_REMOTE marks. Others are ignored, because the home of a group may name any number
    of people.
    """
    seq = min(seq, last_seq(connection, conversation))
    here = (remote_marks.c.conversation_id == conversation) & (remote_marks.c.key == reader.key)
    before = connection.scalar(sa.select(remote_marks.c.seq).where(here))
    if before is not None and before >= seq:
        return False
    if before is not None:
        connection.execute(sa.update(remote_marks).where(here).values(seq=seq))
    elif _remote_marks(connection, conversation) >= MAX_REMOTE:
        return False
    else:
        connection.execute(
            sa.insert(remote_marks).values(
                conversation_id=conversation, key=reader.key, address=str(reader), seq=seq
            )
        )
    versions.note(connection, [Subject(conversation, Kind.MARK, reader.key)])
    untold_marks.note_guest(connection, conversation, reader, seq)
    return True


def _remote_marks(connection: sa.Connection, conversation: int) -> int:
    """How many people of other realms have a mark in a conversation."""
    here = remote_marks.c.conversation_id == conversation
    return connection.scalar(sa.select(sa.func.count()).where(here)) or 0
