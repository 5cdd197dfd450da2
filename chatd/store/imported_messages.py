"""Messages that an account imports from the archive of an earlier account. Jobs and queries for the Database.

Imported messages are rows of `messages` that only the account sees. In a direct they come before all others,
with negative seqs, and its `first_seq` alone goes down to them. So they are never unread, nor in `sync`. All
other imported history is in a conversation that has the account alone: its name is ARCHIVE_SIGN and the
address of the group or the person.

They have no number and no origin in `messages`: another realm is never told of them, and a number that an
archive claims is never taken for that of a parcel.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.attachments import StoredFile
from chatd.base.model import Account
from chatd.base.names import ARCHIVE_SIGN, Address, key_of
from chatd.store.accounts import find_account
from chatd.store.conversations import add_conversation, find_direct, open_direct, open_remote
from chatd.store.details import encode_mentions
from chatd.store.files import Owner, add_attachment
from chatd.store.macs import keyed_hash, message_mac
from chatd.store.messages import MessageWriter
from chatd.store.row_inserter import RowInserter
from chatd.store.schema import (
    groups,
    import_places,
    imported_messages,
    messages,
    participants,
    reaction_counts,
    reactions,
)
from chatd.store.search.changes import note_range_placed

# Seqs that are kept free after those of a direct, for the messages of a later archive.
ROOM = 100_000
LAST = 1 << 62
IMPORTED_GROUP = "#"  # before the origin of a group


class ImportSource(msgspec.Struct, frozen=True):
    """A conversation of an archive: the `address` of the other party or the group as this realm writes it,
    and the seqs of its first and last message there. `origin` names it among all archives. `archive`: it gets
    a conversation of its own in any case."""

    origin: str
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


class ImportFile(msgspec.Struct, frozen=True):
    """A file of an imported message, which is on the disk already. `code` is a new one."""

    code: str
    name: str
    stored: StoredFile


class ImportItem(msgspec.Struct, frozen=True):
    """A message to import. `key` names it among all archives. `seq`, `at` and `reply` are those there.
    `sender` is as shown here; `own`: it is the account's. `origin`: the key of its author's realm, and the
    number there. `reply_to`: the keys of the message that it replies to, if its signature says it.
    `signature` is that of the archive, encoded."""

    key: str
    seq: int
    at: int
    sender: str
    own: bool
    text: str | None = None
    file: ImportFile | None = None
    edited: int | None = None
    deleted: bool = False
    reply: int | None = None
    reply_to: str | None = None
    forwarded: str | None = None
    mentions: tuple[str, ...] = ()
    media: str | None = None
    body: bytes | None = None
    reactions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    origin: tuple[str, int] | None = None
    verified: bool = False
    signature: bytes | None = None


class ImportJobs:
    """The jobs that need to number messages. `realm` is the key of this realm."""

    def __init__(self, writer: MessageWriter, realm: str) -> None:
        self._writer = writer
        self._realm = realm
        self._rows = RowInserter(messages)

    def add(
        self,
        connection: sa.Connection,
        account: Account,
        place: ImportPlace,
        items: Sequence[ImportItem],
        now: int,
        quota: int,
    ) -> list[ImportItem]:
        """Store those of the messages that are not here and have a place. Returns them. The account's files
        stay within `quota` bytes. Raises QuotaExceeded, CodeTaken."""
        fresh = self._fresh(connection, account, place, items)
        if not fresh:
            return []
        owner = Owner(account.id)
        files = [
            None
            if each.file is None
            else add_attachment(
                connection, owner, each.file.code, each.file.name, each.file.stored, now, quota
            ).id
            for each in fresh
        ]
        replies = _replies(connection, account.id, place, fresh)
        keyed = keyed_hash(connection)
        rows = []
        for item, file, reply in zip(fresh, files, replies, strict=True):
            seq = item.seq + place.shift
            mentions = encode_mentions(item.mentions).decode() if item.mentions else None
            basic = (place.conversation, seq, item.at, file, item.sender, item.text)
            rare = (reply, item.forwarded, mentions, item.media, item.body)
            mac = None if item.deleted else message_mac(keyed, basic, rare)
            rows.append(
                (
                    self._writer.next_id(connection),
                    place.conversation,
                    seq,
                    account.id if item.own else None,
                    item.sender,
                    item.at,
                    item.text,
                    file,
                    None,
                    None,
                    None,
                    None,
                    mac,
                    reply,
                    item.edited,
                    item.at if item.deleted else None,
                    item.forwarded,
                    mentions,
                    item.media,
                    item.body,
                    None,
                    not item.verified,
                )
            )
        self._rows.insert(connection, rows)
        _note(connection, account, place, fresh)
        return fresh

    def _fresh(
        self,
        connection: sa.Connection,
        account: Account,
        place: ImportPlace,
        items: Sequence[ImportItem],
    ) -> list[ImportItem]:
        """Those of the messages that are not here, and whose place is free and theirs."""
        known = known_keys(connection, account.id, [each.key for each in items])
        here = self._here(connection, place.conversation, items)
        seqs = {each.seq + place.shift for each in items}
        taken = set(
            connection.scalars(
                sa.select(messages.c.seq).where(
                    messages.c.conversation_id == place.conversation, messages.c.seq.in_(seqs)
                )
            )
        )
        fresh = []
        for item in items:
            seq = item.seq + place.shift
            if item.key in known or item.origin in here or seq in taken:
                continue
            if place.first <= seq <= place.last:
                known.add(item.key)
                taken.add(seq)
                fresh.append(item)
        return fresh

    def _here(
        self, connection: sa.Connection, conversation: int, items: Sequence[ImportItem]
    ) -> set[tuple[str, int] | None]:
        """The origins of those messages that the conversation has had from their realms, or from here."""
        numbers = [each.origin[1] for each in items if each.origin is not None]
        if not numbers:
            return set()
        rows = connection.execute(
            sa.select(messages.c.origin_realm, messages.c.origin_id, messages.c.number).where(
                messages.c.conversation_id == conversation,
                messages.c.origin_id.in_(numbers) | messages.c.number.in_(numbers),
            )
        )
        return {
            (self._realm, number) if realm is None else (realm, ident)
            for realm, ident, number in rows
        }


def open_place(
    connection: sa.Connection, account: Account, source: ImportSource, now: int
) -> tuple[ImportPlace, bool]:
    """Where the messages of a conversation of an archive are here. It is the same for each archive that has
    the conversation. Also returns whether this is the first one."""
    found = connection.execute(
        sa.select(
            import_places.c.conversation_id,
            import_places.c.shift,
            import_places.c.first,
            import_places.c.last,
        ).where(import_places.c.account_id == account.id, import_places.c.origin == source.origin)
    ).first()
    if found is not None:
        return ImportPlace(*found), False
    direct = None if source.archive else _direct(connection, account, source.address, now)
    if direct is None:
        place = _in_archive(connection, account, source, now)
    else:
        place = _before_all(connection, account, direct, source)
    connection.execute(
        sa.insert(import_places).values(
            account_id=account.id,
            origin=source.origin,
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
        _join_long_ago(connection, account.id, found)
    return found


def _join_long_ago(connection: sa.Connection, account_id: int, conversation: int) -> None:
    """Let the list of conversations have it at the time of its newest message, not of the import."""
    _set_side(connection, account_id, conversation, joined_at=0)


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
) -> ImportPlace:
    """A place before everything that the account has of a direct."""
    first_seq = sa.select(participants.c.first_seq).where(
        participants.c.account_id == account.id, participants.c.conversation_id == conversation
    )
    before = min(connection.scalar(first_seq) or 0, 0)
    first = before - (source.last - source.first + 1) - ROOM
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


def known_keys(connection: sa.Connection, account_id: int, keys: Collection[str]) -> set[str]:
    """Those of the keys that the account has imported messages of."""
    return set(
        connection.scalars(
            sa.select(imported_messages.c.key).where(
                imported_messages.c.account_id == account_id, imported_messages.c.key.in_(keys)
            )
        )
    )


def is_imported(connection: sa.Connection, conversation: int, seq: int) -> bool:
    """Whether that message is from an archive."""
    found = sa.select(messages.c.imported).where(
        messages.c.conversation_id == conversation, messages.c.seq == seq
    )
    return connection.scalar(found) is not None


def seen_of_group(
    connection: sa.Connection, account_id: int, home: str | None, home_id: int, seqs: Sequence[int]
) -> set[int]:
    """Those of the seqs of a group that the account sees of it here. `home` is the key of the group's realm;
    None: it is this one."""
    here = (
        groups.c.conversation_id == home_id
        if home is None
        else (groups.c.realm == home) & (groups.c.home_id == home_id)
    )
    return set(
        connection.scalars(
            sa.select(messages.c.seq)
            .join(groups, groups.c.conversation_id == messages.c.conversation_id)
            .join(
                participants,
                (participants.c.conversation_id == messages.c.conversation_id)
                & (participants.c.account_id == account_id)
                & (participants.c.first_seq <= messages.c.seq),
            )
            .where(here, messages.c.seq.in_(seqs))
        )
    )


def _replies(
    connection: sa.Connection, account_id: int, place: ImportPlace, items: Sequence[ImportItem]
) -> list[int | None]:
    """The seqs here of the messages to which these reply."""
    keys = {each.reply_to for each in items if each.reply_to is not None}
    signed = {}
    if keys:
        rows = connection.execute(
            sa.select(imported_messages.c.key, imported_messages.c.seq).where(
                imported_messages.c.account_id == account_id,
                imported_messages.c.conversation_id == place.conversation,
                imported_messages.c.key.in_(keys),
            )
        )
        signed = {row.key: row.seq for row in rows}
        signed |= {each.key: each.seq + place.shift for each in items if each.key in keys}
    found = []
    for item in items:
        if item.reply_to is not None:
            found.append(signed.get(item.reply_to))
        elif item.reply is not None and place.first <= item.reply + place.shift <= place.last:
            found.append(item.reply + place.shift)
        else:
            found.append(None)
    return found


def _note(
    connection: sa.Connection, account: Account, place: ImportPlace, items: Sequence[ImportItem]
) -> None:
    """Keep what belongs to these messages, which have been stored."""
    here = place.conversation
    connection.execute(
        sa.insert(imported_messages),
        [
            {
                "account_id": account.id,
                "key": each.key,
                "conversation_id": here,
                "seq": each.seq + place.shift,
                "signature": each.signature,
            }
            for each in items
        ],
    )
    reacted = [
        {
            "conversation_id": here,
            "seq": each.seq + place.shift,
            "emoji": emoji,
            "key": key_of(person),
            "address": person,
            "at": each.at,
        }
        for each in items
        for emoji, people in each.reactions
        for person in {key_of(one): one for one in people}.values()
    ]
    if reacted:
        connection.execute(sa.insert(reactions), reacted)
        connection.execute(
            sa.insert(reaction_counts),
            [
                {
                    "conversation_id": here,
                    "seq": each.seq + place.shift,
                    "emoji": emoji,
                    "count": len({key_of(one) for one in people}),
                    "at": each.at,
                }
                for each in items
                for emoji, people in each.reactions
            ],
        )
    seqs = [each.seq + place.shift for each in items]
    note_range_placed(connection, here, min(seqs), max(seqs))
    if place.first > 0:
        _mark_read(connection, account.id, here, max(each.seq for each in items) + place.shift)


def _mark_read(connection: sa.Connection, account_id: int, conversation: int, seq: int) -> None:
    connection.execute(
        sa.update(participants)
        .where(
            participants.c.account_id == account_id,
            participants.c.conversation_id == conversation,
            participants.c.read_seq < seq,
        )
        .values(read_seq=seq)
    )
