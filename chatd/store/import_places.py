"""Where the messages of an archive are here. Jobs for the Database.

Imported messages are rows of `messages` that only the account sees. In a direct they come before all others,
with negative seqs, and its `first_seq` alone goes down to them. So they are never unread, nor in `sync`. All
other imported history is in a conversation that has the account alone: its name is ARCHIVE_SIGN and the
address of the group or the person.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.model import Account
from chatd.base.names import ARCHIVE_SIGN, Address, key_of
from chatd.store.accounts import find_account
from chatd.store.conversations import add_conversation, find_direct, open_direct, open_remote
from chatd.store.schema import import_places, participants

# Seqs that are kept free after those of a direct, for the messages of a later archive.
ROOM = 100_000
LAST = 1 << 62  # the largest seq of an imported message, and the smallest one below 0
IMPORTED_GROUP = "#"  # before the origin of a group


class ImportSource(msgspec.Struct, frozen=True):
    """A conversation of an archive: the `address` of the other party or the group as this realm writes it,
    and the seqs of its first and last message there. `origins` name it among all archives: that of the
    archive comes first, and those of a group's former homes follow. `archive`: it gets a conversation of its
    own in any case."""

    origins: tuple[str, ...]
    address: Address
    first: int
    last: int
    archive: bool


class ImportPlace(msgspec.Struct, frozen=True):
    """Where the messages of a conversation of an archive are here: `shift` added to the seq there, if that is
    between `first` and `last`."""

    conversation: int
    shift: int
    first: int
    last: int

    def seq_of(self, there: int) -> int:
        """The seq here of the message with that seq in the archive."""
        return there + self.shift

    def has(self, seq: int) -> bool:
        """Whether a message of the archive may have this seq here."""
        return self.first <= seq <= self.last


def open_place(
    connection: sa.Connection, account: Account, source: ImportSource, now: int
) -> tuple[ImportPlace, bool]:
    """Where the messages of a conversation of an archive are here. It is the same for each archive that has
    the conversation. Also returns whether this is the first one."""
    for origin in source.origins:
        found = connection.execute(
            sa.select(
                import_places.c.conversation_id,
                import_places.c.shift,
                import_places.c.first,
                import_places.c.last,
            ).where(import_places.c.account_id == account.id, import_places.c.origin == origin)
        ).first()
        if found is not None:
            return ImportPlace(*found), False
    direct = None if source.archive else _direct(connection, account, source.address, now)
    place = None if direct is None else _before_all(connection, account, direct, source)
    if place is None:
        place = _in_archive(connection, account, source, now)
    connection.execute(
        sa.insert(import_places).values(
            account_id=account.id,
            origin=source.origins[0],
            conversation_id=place.conversation,
            shift=place.shift,
            first=place.first,
            last=place.last,
        )
    )
    return place, True


def _direct(connection: sa.Connection, account: Account, address: Address, now: int) -> int | None:
    """The account's conversation with that address. None if there is no such account here, or if the other
    one has imported into it: then its messages are where ours would be."""
    known = find_direct(connection, account.id, address.key)
    if address.realm is not None:
        found = open_remote(connection, account.id, address, now)
    else:
        other = find_account(connection, address.key)
        if other is None:
            return None
        found = open_direct(connection, account, other, now)
        others = sa.select(sa.func.min(participants.c.first_seq)).where(
            participants.c.conversation_id == found, participants.c.account_id != account.id
        )
        if (connection.scalar(others) or 0) < 0:
            return None
    if known is None:
        # The list of conversations has it at the time of its newest message, not of the import.
        _set_side(connection, account.id, found, joined_at=0)
    return found


def _set_side(connection: sa.Connection, account_id: int, conversation: int, **values: Any) -> None:
    connection.execute(
        sa.update(participants)
        .where(
            participants.c.account_id == account_id,
            participants.c.conversation_id == conversation,
        )
        .values(**values)
    )


def _before_all(
    connection: sa.Connection, account: Account, conversation: int, source: ImportSource
) -> ImportPlace | None:
    """A place before everything that the account has of a direct; None if there is too little room."""
    first_seq = sa.select(participants.c.first_seq).where(
        participants.c.account_id == account.id, participants.c.conversation_id == conversation
    )
    before = min(connection.scalar(first_seq) or 0, 0)
    first = before - (source.last - source.first + 1) - ROOM
    if first < -LAST:
        return None
    _set_side(connection, account.id, conversation, first_seq=first)
    return ImportPlace(conversation, first - source.first, first, before - 1)


def _in_archive(
    connection: sa.Connection, account: Account, source: ImportSource, now: int
) -> ImportPlace:
    """A place in the conversation that only the account has. The messages of a group keep their seqs."""
    name = f"{ARCHIVE_SIGN}{source.address}"
    key = key_of(name)
    found = find_direct(connection, account.id, key)
    if found is None:
        found = add_conversation(connection, "direct", now)
        connection.execute(
            sa.insert(participants).values(
                account_id=account.id,
                conversation_id=found,
                peer=name,
                peer_key=key,
                joined_at=0,
            )
        )
    return ImportPlace(found, max(0, 1 - source.first), 1, LAST)
