"""The entries that another realm lacks, as they are sent again. Queries for the Database.

chatd.federation.restores makes parcels of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
import sqlalchemy as sa

from chatd.base.entries import EntryRef
from chatd.store.crossing import entry_at
from chatd.store.details import mentions_of
from chatd.store.earlier_numbers import ref_of
from chatd.store.guard import is_row_intact
from chatd.store.losses import Lost, SharedDirect, SharedGroup, lacked_in_directs
from chatd.store.macs import GUARDED
from chatd.store.outbox import waits
from chatd.store.schema import attachments, changes, messages, signatures
from chatd.store.signatures import same_place

PAGE = 100  # entries that are read at a time


class HeldMessage(msgspec.Struct, frozen=True):
    """A message that is not signed. `number` is that of its author's realm; `ours`: that is this one. `reply`
    is the message that it replies to. `file` has name, size, hash, code and media type."""

    seq: int
    ours: bool
    number: int
    sender: str
    at: int
    text: str | None
    file: tuple[str, int, str, str, str] | None
    reply: EntryRef | None
    forwarded: str | None
    mentions: tuple[str, ...]
    media: str | None
    body: bytes | None
    seal: bytes | None = None
    # The number and the seal of the change that gave it this content, or deleted it
    changed_by: tuple[int, bytes | None] | None = None


class HeldChange(msgspec.Struct, frozen=True):
    """A change of the message `target`. `text` is that of the newest edit; older ones have none."""

    seq: int
    ours: bool
    number: int
    kind: str
    at: int
    target: EntryRef
    data: str | None
    text: str | None = None
    mentions: tuple[str, ...] = ()
    seal: bytes | None = None


class HeldSigned(msgspec.Struct, frozen=True):
    """A signed entry of a group. `number` is that of its parcel here, if it has crossed from here. `salt` and
    `attributes` are empty if its content was deleted or replaced; then `body` is, too."""

    seq: int
    number: int
    statement: bytes
    proof: bytes
    salt: bytes
    attributes: bytes
    body: bytes


HeldEntry: TypeAlias = HeldMessage | HeldChange | HeldSigned


class HeldPage(msgspec.Struct, frozen=True):
    """Entries in order, and the seq up to which that are all; 0: to the end."""

    entries: Sequence[HeldEntry]
    upto: int = 0


def _end(seqs: Sequence[int]) -> int:
    """The seq up to which a page goes that has been read from two tables, PAGE rows from each at most."""
    return sorted(seqs)[PAGE - 1] if len(seqs) >= PAGE else 0


def _page(entries: Sequence[HeldEntry], end: int) -> HeldPage:
    return HeldPage(sorted(entries, key=lambda each: each.seq), end)


FILE_COLUMNS = tuple(
    attachments.c[each].label(f"file_{each}") for each in ("name", "size", "sha256", "code", "mime")
)


def direct_page(
    connection: sa.Connection, direct: SharedDirect, lost: Lost, after: int
) -> HeldPage:
    """The first entries of a direct after a seq that the realm lacks, in order."""
    place = direct.conversation
    written = connection.execute(
        _lacked(messages, direct, lost, after)
        .add_columns(*FILE_COLUMNS)
        .outerjoin(attachments, attachments.c.id == messages.c.attachment_id)
        .where(messages.c.refused.is_(None))
    ).all()
    made = connection.execute(_lacked(changes, direct, lost, after)).all()
    end = _end([row.seq for row in (*written, *made)])
    found: list[HeldEntry] = [
        held_message(connection, place, row)
        for row in written
        if (not end or row.seq <= end) and is_row_intact(connection, row)
    ]
    found += [
        change
        for row in made
        if (not end or row.seq <= end) and (change := _change(connection, place, row)) is not None
    ]
    return _page(found, end)


def _lacked(table: sa.Table, direct: SharedDirect, lost: Lost, after: int) -> sa.Select[Any]:
    """The first messages or changes of a direct after a seq that the realm lacks. The realm may have written
    later than it was written to at its address."""
    ours, *theirs = lacked_in_directs(table, lost)
    ours &= table.c.seq > direct.after
    if direct.upto is not None:
        ours &= table.c.seq <= direct.upto
    return (
        sa.select(table)
        .where(
            table.c.conversation_id == direct.conversation,
            table.c.seq > after,
            sa.or_(ours, *theirs),
            ~waits(sa.literal(lost.realm), table.c.number),
        )
        .order_by(table.c.seq)
        .limit(PAGE)
    )


def held_message(connection: sa.Connection, place: int, row: sa.Row[Any]) -> HeldMessage:
    """The message in a row with FILE_COLUMNS."""
    ours = row.origin_id is None
    file = None
    if row.file_code is not None:
        file = (row.file_name, row.file_size, row.file_sha256, row.file_code, row.file_mime)
    changed = None
    if row.edited_at is not None or row.deleted_at is not None:
        changed = last_content(connection, place, row.seq)
    return HeldMessage(
        row.seq,
        ours,
        row.number if ours else row.origin_id,
        row.sender,
        row.at,
        row.text,
        file,
        None if row.reply is None else ref_of(connection, place, row.reply),
        row.forwarded,
        mentions_of(row.mentions),
        row.media,
        row.body,
        row.seal,
        None if changed is None else (changed.origin_id or changed.number or 0, changed.seal),
    )


def last_content(connection: sa.Connection, place: int, seq: int) -> Any:
    """The newest edit of a message or its deletion; None if it has neither."""
    return connection.execute(
        sa.select(changes.c.seq, changes.c.number, changes.c.origin_id, changes.c.seal)
        .where(
            changes.c.conversation_id == place,
            changes.c.target == seq,
            changes.c.kind.in_(("edited", "deleted")),
        )
        .order_by(changes.c.seq.desc())
        .limit(1)
    ).first()


def _change(connection: sa.Connection, place: int, row: sa.Row[Any]) -> HeldChange | None:
    """A change as it is sent again; None for an edit that was replaced since or whose text was altered, and
    for a change of a message that the other realm never had."""
    target = entry_at(connection, place, row.target)
    if target is None:
        return None
    ours, text, mentions = row.origin_id is None, None, None
    if row.kind == "edited":
        newest = last_content(connection, place, row.target)
        if newest is None or newest.seq != row.seq:
            return None
        message = connection.execute(
            sa.select(*GUARDED).where(
                messages.c.conversation_id == place, messages.c.seq == row.target
            )
        ).one()
        if not is_row_intact(connection, message):
            return None
        text, mentions = message.text, message.mentions
    return HeldChange(
        row.seq,
        ours,
        row.number if ours else row.origin_id,
        row.kind,
        row.at,
        target,
        row.data,
        text,
        mentions_of(mentions),
        row.seal,
    )


# Entries of groups


def group_page(
    connection: sa.Connection, group: SharedGroup, lost: Lost | None, after: int
) -> HeldPage:
    """The first entries of a group after a seq, in order: those that carried parcels which the realm has
    `lost`, or all that are signed. Of those that are not, only messages of this realm are returned."""
    rows: list[sa.Row[Any]] = []
    for table in (messages, changes):
        query = (
            sa.select(table, *SIGNATURE_COLUMNS)
            .outerjoin(signatures, same_place(signatures, table))
            .where(
                table.c.conversation_id == group.conversation,
                table.c.seq > max(after, group.after),
            )
            .order_by(table.c.seq)
            .limit(PAGE)
        )
        if table is changes:
            query = query.where(about_seen(group.first) | (changes.c.kind == "deleted"))
        if lost is None:
            query = query.where(signatures.c.statement.is_not(None))
        else:
            query = query.where(
                lost.ours(table.c.number),
                ~waits(sa.literal(lost.realm), table.c.number),
            )
        if table is messages:
            query = query.add_columns(*FILE_COLUMNS).outerjoin(
                attachments, attachments.c.id == messages.c.attachment_id
            )
        rows += connection.execute(query)
    end = _end([row.seq for row in rows])
    place = group.conversation
    found = (
        signed_entry(connection, place, row) or _unsigned(connection, place, row)
        for row in rows
        if not end or row.seq <= end
    )
    return _page([each for each in found if each is not None], end)


def about_seen(first: int) -> sa.ColumnElement[bool]:
    """The condition for changes that people are told who see the entries from `first` on."""
    return sa.or_(changes.c.target.is_(None), changes.c.target >= first)


def _unsigned(connection: sa.Connection, place: int, row: sa.Row[Any]) -> HeldMessage | None:
    """A message of this realm that is older than signatures and was not deleted."""
    is_ours = row.statement is None and not hasattr(row, "kind") and row.origin_id is None
    if not is_ours or row.deleted_at is not None or not is_row_intact(connection, row):
        return None
    return held_message(connection, place, row)


def signed_change(connection: sa.Connection, conversation: int, seq: int) -> HeldSigned | None:
    """An entry of a group that is no message, or None if it is not signed."""
    row = connection.execute(
        sa.select(changes, *SIGNATURE_COLUMNS)
        .outerjoin(signatures, same_place(signatures, changes))
        .where(changes.c.conversation_id == conversation, changes.c.seq == seq)
    ).first()
    return None if row is None else signed_entry(connection, conversation, row)


SIGNATURE_COLUMNS = (
    signatures.c.statement,
    signatures.c.proof,
    signatures.c.salt,
    signatures.c.attributes,
)


def signed_entry(connection: sa.Connection, place: int, row: sa.Row[Any]) -> HeldSigned | None:
    """The entry in a row with SIGNATURE_COLUMNS; None if it is not signed, or was altered."""
    kind = getattr(row, "kind", None)  # which messages have not
    if row.statement is None:
        return None  # older than signatures
    if kind is None and not is_row_intact(connection, row):
        return None
    body = b""
    if row.salt is not None:
        if kind is None:
            body = (row.text or "").encode() if row.media is None else row.body or b""
        elif kind == "edited":
            text = sa.select(messages.c.text).where(
                messages.c.conversation_id == place, messages.c.seq == row.target
            )
            body = (connection.scalar(text) or "").encode()
    return HeldSigned(
        row.seq,
        row.number or 0,
        row.statement,
        row.proof,
        row.salt or b"",
        row.attributes or b"",
        body,
    )
