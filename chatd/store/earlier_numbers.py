"""Numbers of entries that had none when they were made, because no other realm had members of the group.

An entry gets the same number again after a restore of a backup, because it follows from the entry itself:
other realms may have it under that number. Such numbers are below those of all terms (chatd.store.outbox).
They grow with the seqs of a log. Jobs and queries for the Database.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.entries import EntryRef
from chatd.store.crossing import entry_at
from chatd.store.origins import FIRST_NUMBER
from chatd.store.prepared import prepared
from chatd.store.schema import changes, groups, messages

_SEQ_BITS = 31
_HASH_BITS = 26

_encode = msgspec.msgpack.Encoder().encode


@prepared
def _entry(conversation: Any, seq: Any, *, table: sa.Table) -> sa.Select[Any]:
    author = messages.c.sender if table is messages else changes.c.author
    here = table.c.conversation_id == conversation, table.c.seq == seq
    return sa.select(table.c.number, table.c.at, author).where(*here)


@prepared
def _set_number(conversation: Any, seq: Any, number: Any, *, table: sa.Table) -> sa.Update:
    here = table.c.conversation_id == conversation, table.c.seq == seq
    return sa.update(table).where(*here).values(number=number)


@prepared
def _with_number(number: Any) -> sa.CompoundSelect[Any]:
    return sa.union_all(
        *(sa.select(table.c.seq).where(table.c.number == number) for table in (messages, changes))
    ).limit(1)


def number_entry(connection: sa.Connection, table: sa.Table, conversation: int, seq: int) -> int:
    """Give a number to a message or a change of this realm, unless it has one. Returns the number. Runs in
    the writer's thread."""
    number = earlier_number(connection, table, conversation, seq)
    connection.execute(*_set_number(conversation, seq, number, table=table))
    return number


def earlier_number(connection: sa.Connection, table: sa.Table, conversation: int, seq: int) -> int:
    """The number that such an entry has, or would get now."""
    row = connection.execute(*_entry(conversation, seq, table=table)).one()
    if row.number is not None:
        return int(row.number)
    digest = sha256(_encode((conversation, seq, row.at, row[2]))).digest()
    own = int.from_bytes(digest[:4], "big") % (1 << _HASH_BITS)
    number = FIRST_NUMBER + ((seq % (1 << _SEQ_BITS)) << _HASH_BITS | own)
    while _is_used(connection, number):
        number += 1
    return number


def _is_used(connection: sa.Connection, number: int) -> bool:
    return connection.execute(*_with_number(number)).first() is not None


def ref_of(connection: sa.Connection, conversation: int, seq: int) -> EntryRef | None:
    """The name of a message in other realms. A message of a group of this realm that has none yet has the
    one that it would get. None if it does not cross."""
    known = entry_at(connection, conversation, seq)
    if known is not None:
        return known
    is_earlier = connection.scalar(
        sa.select(messages.c.id)
        .join(groups, groups.c.conversation_id == messages.c.conversation_id)
        .where(
            messages.c.conversation_id == conversation,
            messages.c.seq == seq,
            messages.c.origin_id.is_(None),
            groups.c.realm.is_(None),
        )
    )
    if is_earlier is None:
        return None
    return EntryRef(None, earlier_number(connection, messages, conversation, seq))
