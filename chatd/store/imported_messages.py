"""Messages that an account imports from the archive of an earlier account. Jobs and queries for the Database.

chatd.store.import_places says where they are. They have no number and no origin in `messages`: another realm
is never told of them, and a number that an archive claims is never taken for that of a parcel.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.attachments import StoredFile
from chatd.base.model import Account
from chatd.base.names import key_of
from chatd.store.details import encode_mentions
from chatd.store.files import Owner, add_attachment
from chatd.store.import_places import ImportPlace
from chatd.store.macs import KeyedHash, keyed_hash, message_mac
from chatd.store.messages import MessageWriter
from chatd.store.row_inserter import RowInserter
from chatd.store.schema import (
    imported_messages,
    messages,
    participants,
    reaction_counts,
    reactions,
)
from chatd.store.search.changes import note_range_placed


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
        files = _add_files(connection, account, fresh, now, quota)
        replies = _replies(connection, account.id, place, fresh)
        keyed = keyed_hash(connection)
        rows = [
            (self._writer.next_id(connection), *_row(account, place, item, file, reply, keyed))
            for item, file, reply in zip(fresh, files, replies, strict=True)
        ]
        self._rows.insert(connection, rows, _COLUMNS)
        _note_keys(connection, account, place, fresh)
        _add_reactions(connection, place, fresh)
        seqs = [place.seq_of(each.seq) for each in fresh]
        note_range_placed(connection, place.conversation, min(seqs), max(seqs))
        if place.first > 0:
            _mark_read(connection, account.id, place.conversation, max(seqs))
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
        placed = [(seq, each) for each in items if place.has(seq := place.seq_of(each.seq))]
        seqs = [seq for seq, _ in placed]
        taken = set(
            connection.scalars(
                sa.select(messages.c.seq).where(
                    messages.c.conversation_id == place.conversation, messages.c.seq.in_(seqs)
                )
            )
        )
        fresh = []
        for seq, item in placed:
            if item.key in known or item.origin in here or seq in taken:
                continue
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
    connection: sa.Connection, account_id: int, conversation: int, seqs: Sequence[int]
) -> set[int]:
    """Those of the seqs of the group of a conversation that the account sees of it."""
    return set(
        connection.scalars(
            sa.select(messages.c.seq)
            .join(
                participants,
                (participants.c.conversation_id == messages.c.conversation_id)
                & (participants.c.account_id == account_id)
                & (participants.c.first_seq <= messages.c.seq),
            )
            .where(messages.c.conversation_id == conversation, messages.c.seq.in_(seqs))
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
        signed |= {each.key: place.seq_of(each.seq) for each in items if each.key in keys}
    found = []
    for item in items:
        if item.reply_to is not None:
            found.append(signed.get(item.reply_to))
        elif item.reply is not None and place.has(place.seq_of(item.reply)):
            found.append(place.seq_of(item.reply))
        else:
            found.append(None)
    return found


def _add_files(
    connection: sa.Connection, account: Account, items: Sequence[ImportItem], now: int, quota: int
) -> list[int | None]:
    """Add the files of these messages to those of the account. Returns their ids. Raises QuotaExceeded,
    CodeTaken."""
    owner = Owner(account.id)
    return [
        None
        if file is None
        else add_attachment(connection, owner, file.code, file.name, file.stored, now, quota).id
        for file in (each.file for each in items)
    ]


# The columns that imported messages have values in
_COLUMNS = (
    "id",
    "conversation_id",
    "seq",
    "sender_id",
    "sender",
    "at",
    "text",
    "attachment_id",
    "mac",
    "reply",
    "edited_at",
    "deleted_at",
    "forwarded",
    "mentions",
    "media",
    "body",
    "imported",
)


def _row(
    account: Account,
    place: ImportPlace,
    item: ImportItem,
    file: int | None,
    reply: int | None,
    keyed: KeyedHash | None,
) -> tuple[object, ...]:
    """The values of _COLUMNS after the id."""
    seq = place.seq_of(item.seq)
    mentions = encode_mentions(item.mentions).decode() if item.mentions else None
    basic = (place.conversation, seq, item.at, file, item.sender, item.text)
    rare = (reply, item.forwarded, mentions, item.media, item.body)
    return (
        place.conversation,
        seq,
        account.id if item.own else None,
        item.sender,
        item.at,
        item.text,
        file,
        None if item.deleted else message_mac(keyed, basic, rare),
        reply,
        item.edited,
        item.at if item.deleted else None,
        item.forwarded,
        mentions,
        item.media,
        item.body,
        not item.verified,
    )


def _note_keys(
    connection: sa.Connection, account: Account, place: ImportPlace, items: Sequence[ImportItem]
) -> None:
    """Keep the keys of these messages, and what their archive has of their signatures."""
    connection.execute(
        sa.insert(imported_messages),
        [
            {
                "account_id": account.id,
                "key": each.key,
                "conversation_id": place.conversation,
                "seq": place.seq_of(each.seq),
                "signature": each.signature,
            }
            for each in items
        ],
    )


def _add_reactions(
    connection: sa.Connection, place: ImportPlace, items: Sequence[ImportItem]
) -> None:
    """Store the reactions to these messages, and how many there are. They have the times of the messages."""
    rows: list[dict[str, Any]] = []
    counts: list[dict[str, Any]] = []
    for item in items:
        for emoji, addresses in item.reactions:
            here = {
                "conversation_id": place.conversation,
                "seq": place.seq_of(item.seq),
                "emoji": emoji,
                "at": item.at,
            }
            people = {key_of(each): each for each in addresses}
            rows += [{**here, "key": key, "address": each} for key, each in people.items()]
            counts.append({**here, "count": len(people)})
    if rows:
        connection.execute(sa.insert(reactions), rows)
        connection.execute(sa.insert(reaction_counts), counts)


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
