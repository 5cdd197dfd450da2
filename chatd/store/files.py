"""Attachments: the rows about files in the uploads folder. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.attachments import Attachment, StoredFile, attachment_of
from chatd.base.errors import QuotaExceeded
from chatd.base.file_handles import split_handle
from chatd.base.pictures import picture_fields
from chatd.base.replies import FileInfo
from chatd.store.access import sees_message
from chatd.store.file_ids import next_file_id
from chatd.store.jobs import CodeTaken
from chatd.store.macs import KeyedHash, keyed_hash, mac_of, protect_files, report_altered
from chatd.store.schema import (
    arrivals,
    attachments,
    erased_files,
    file_macs,
    imports,
    messages,
    participants,
    pictures,
)


def _if_file(found: sa.Select[Any]) -> sa.ColumnElement[Any]:
    """A value from another table. Only rows with a file are looked up."""
    return sa.case((attachments.c.id.is_not(None), found.correlate(attachments).scalar_subquery()))


def _of_picture(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    return _if_file(sa.select(column).where(pictures.c.attachment_id == attachments.c.id))


_ARRIVAL = _if_file(
    sa.select(sa.func.coalesce(arrivals.c.lost, "")).where(
        arrivals.c.attachment_id == attachments.c.id
    )
)

# The columns of an Attachment, and its MAC, for `file_in`.
COLUMNS = (
    attachments.c.id,
    attachments.c.code,
    attachments.c.name,
    attachments.c.size,
    attachments.c.sha256,
    attachments.c.mime,
    attachments.c.stored,
    attachments.c.created_at,
    _ARRIVAL,
    _of_picture(pictures.c.width),
    _of_picture(pictures.c.height),
    _of_picture(pictures.c.received_sha256),
    _if_file(sa.select(file_macs.c.mac).where(file_macs.c.attachment_id == attachments.c.id)),
)
ALTERED = "altered"  # the name of a file whose row was altered on disk
# The bytes of a file are in the uploads folder.
IS_HERE = ~sa.exists().where(arrivals.c.attachment_id == attachments.c.id)
_IS_LOST = sa.exists().where(
    arrivals.c.attachment_id == attachments.c.id, arrivals.c.lost.is_not(None)
)


class Owner(msgspec.Struct, frozen=True):
    """The owner of files: an account, or an address (by its key) of another realm (by its key)."""

    account_id: int | None = None
    sender_key: str | None = None
    realm: str | None = None

    @property
    def condition(self) -> sa.ColumnElement[bool]:
        if self.account_id is not None:
            return attachments.c.owner_id == self.account_id
        return (attachments.c.realm == self.realm) & (attachments.c.sender_key == self.sender_key)


def used_bytes(connection: sa.Connection, owner: Owner) -> int:
    """The bytes of the owner's files. Those of arriving files are reserved."""
    return _sum(connection, owner.condition & ~_IS_LOST)


def all_bytes(connection: sa.Connection) -> int:
    """The bytes of all files. Those of arriving files are reserved."""
    return _sum(connection, ~_IS_LOST)


def used_by_realm(connection: sa.Connection, realm: str) -> int:
    """The bytes of the files that came from a realm. Those of arriving files are reserved."""
    return _sum(connection, (attachments.c.realm == realm) & ~_IS_LOST)


def _sum(connection: sa.Connection, which: sa.ColumnElement[bool]) -> int:
    total = sa.select(sa.func.coalesce(sa.func.sum(attachments.c.size), 0)).where(which)
    return int(connection.execute(total).scalar_one())


def add_attachment(
    connection: sa.Connection,
    owner: Owner,
    code: str,
    name: str,
    file: StoredFile,
    now: int,
    quota: int,
) -> Attachment:
    """Record a file, if the owner's files stay within `quota` bytes. Raises QuotaExceeded, CodeTaken."""
    left = quota - used_bytes(connection, owner)
    if file.size > left:
        raise QuotaExceeded(limit=quota, left=max(0, left))
    return insert_attachment(connection, owner, code, name, file, now)


def insert_attachment(
    connection: sa.Connection, owner: Owner, code: str, name: str, file: StoredFile, now: int
) -> Attachment:
    """As `add_attachment`, for a file for which there is room. Raises CodeTaken."""
    if connection.scalar(sa.select(attachments.c.id).where(attachments.c.code == code)) is not None:
        raise CodeTaken
    ident = next_file_id(connection)
    connection.execute(
        sa.insert(attachments).values(
            id=ident,
            owner_id=owner.account_id,
            sender_key=owner.sender_key,
            realm=owner.realm,
            code=code,
            name=name,
            size=file.size,
            sha256=file.sha256,
            mime=file.mime,
            stored=file.stored,
            created_at=now,
        )
    )
    protect_files(connection, [(ident, code, name, file.size, file.sha256)])
    add_picture(connection, ident, file)
    return attachment_of(ident, code, name, file, now)


def add_picture(connection: sa.Connection, ident: int, file: StoredFile) -> None:
    """Record what is known of the picture in a file, if it is one."""
    if file.width or file.received is not None:
        connection.execute(
            sa.insert(pictures).values(
                attachment_id=ident,
                width=file.width or None,
                height=file.height or None,
                received_sha256=file.received,
            )
        )


def file_in(keyed: KeyedHash | None, values: Sequence[Any]) -> Attachment:
    """The file in the columns COLUMNS of a row. One that was altered on disk is lost, and has another
    name."""
    *shown, mac = values
    file = Attachment(*shown)
    if keyed is None or mac_of(keyed, (file.code, file.name, file.size, file.sha256)) == mac:
        return file
    report_altered(f"the row of the file {file.id}")
    return msgspec.structs.replace(file, name=ALTERED, arrival="file-damaged")


def get_attachment(connection: sa.Connection, ident: int) -> Attachment | None:
    row = connection.execute(sa.select(*COLUMNS).where(attachments.c.id == ident)).first()
    return None if row is None else file_in(keyed_hash(connection), row)


def same_file(
    connection: sa.Connection, owner: Owner, name: str, sha256: str, size: int
) -> Attachment | None:
    """Return a file with this name and content that the owner has sent before and is not lost, or None."""
    row = connection.execute(
        sa.select(*COLUMNS)
        .where(
            owner.condition,
            attachments.c.name == name,
            attachments.c.sha256 == sha256,
            attachments.c.size == size,
            ~_IS_LOST,
        )
        .order_by(attachments.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else file_in(keyed_hash(connection), row)


def own_file(connection: sa.Connection, account_id: int, code: str) -> Attachment | None:
    """Return the account's own file with this code, or None."""
    row = connection.execute(
        sa.select(*COLUMNS).where(attachments.c.owner_id == account_id, attachments.c.code == code)
    ).first()
    return None if row is None else file_in(keyed_hash(connection), row)


def visible_files(account_id: int) -> sa.Select[tuple[int]]:
    """Select the attachments of the messages that the account sees."""
    return (
        sa.select(messages.c.attachment_id)
        .join(participants, sees_message(account_id))
        .where(messages.c.attachment_id.is_not(None))
    )


def find_file(
    connection: sa.Connection,
    account_id: int,
    name: str,
    by_code: bool = False,
    stamped: tuple[str, int] | None = None,
    conversation: int | None = None,
) -> Attachment | None:
    """Return the file that the account may fetch by `name`: a code, CODE-NAME, the name under which it is
    stored, or a name that several files may have, of which the newest is found.

    `by_code` restricts the search to codes. `stamped` (a name and a time in ms) also finds the newest file
    with that name that was stored in the second that begins then: files of older releases are stored under
    names without it. With a `conversation`, only files in it are found.
    """
    reachable = visible_files(account_id).where(messages.c.attachment_id == attachments.c.id)
    if conversation is None:
        mine = sa.or_(attachments.c.owner_id == account_id, sa.exists(reachable))
    else:
        mine = sa.exists(reachable.where(messages.c.conversation_id == conversation))
    for way in _ways(name, by_code, stamped):
        row = connection.execute(
            sa.select(*COLUMNS).where(way, mine).order_by(attachments.c.id.desc()).limit(1)
        ).first()
        if row is not None:
            return file_in(keyed_hash(connection), row)
    return None


def _ways(
    text: str, by_code: bool, stamped: tuple[str, int] | None
) -> Iterator[sa.ColumnElement[bool]]:
    """What `text` may mean, best first. A code can't be taken by a file that has it as its name."""
    yield attachments.c.code == text
    if by_code:
        return
    code, name = split_handle(text)
    if code:
        yield sa.and_(attachments.c.code == code, attachments.c.name == name)
    yield attachments.c.stored == text
    if stamped is not None:
        first, at = stamped
        yield sa.and_(attachments.c.name == first, attachments.c.created_at.between(at, at + 999))
    yield attachments.c.name == text


def files_of(connection: sa.Connection, account_id: int, limit: int) -> Sequence[FileInfo]:
    """Return those of the newest `limit` files that the account may fetch and that are here, oldest first:
    files in its conversations, and its own."""
    own = sa.select(attachments.c.id).where(attachments.c.owner_id == account_id)
    mine = sa.union(visible_files(account_id), own).subquery()
    newest = sa.select(mine.c[0]).order_by(mine.c[0].desc()).limit(limit)
    rows = connection.execute(
        sa.select(*COLUMNS, sa.func.min(messages.c.sender))
        .join_from(attachments, messages, messages.c.attachment_id == attachments.c.id)
        .where(attachments.c.id.in_(newest), IS_HERE)
        .group_by(attachments.c.id)
        .order_by(attachments.c.id)
    ).all()
    return [_info(connection, row) for row in rows]


def files_in(
    connection: sa.Connection, account_id: int, conversation: int, limit: int
) -> Sequence[FileInfo]:
    """Return those of the newest `limit` files that the account sees in a conversation and that are here,
    oldest first, each with the seq of its newest message there."""
    rows = connection.execute(
        sa.select(
            *COLUMNS,
            sa.func.min(messages.c.sender),
            sa.func.max(messages.c.seq).label("newest"),
        )
        .join_from(messages, participants, sees_message(account_id))
        .join(attachments, attachments.c.id == messages.c.attachment_id)
        .where(messages.c.conversation_id == conversation, IS_HERE)
        .group_by(attachments.c.id)
        .order_by(sa.desc("newest"))
        .limit(limit)
    ).all()
    return [_info(connection, row, row.newest) for row in reversed(rows)]


def _info(connection: sa.Connection, row: Sequence[Any], seq: int | None = None) -> FileInfo:
    file, sender = file_in(keyed_hash(connection), row[: len(COLUMNS)]), row[len(COLUMNS)]
    return FileInfo(file.code, file.name, file.size, sender, file.at, seq, picture_fields(file))


def sent_with(
    connection: sa.Connection, account_id: int, code: str, after: int, limit: int
) -> list[tuple[int, int, int]]:
    """Return the first messages of the account with ids above `after` that carry the file with that code:
    conversations, seqs and ids."""
    rows = connection.execute(
        sa.select(messages.c.conversation_id, messages.c.seq, messages.c.id)
        .join_from(messages, attachments, attachments.c.id == messages.c.attachment_id)
        .where(
            attachments.c.code == code,
            messages.c.sender_id == account_id,
            messages.c.id > after,
        )
        .order_by(messages.c.id)
        .limit(limit)
    )
    return [tuple(row) for row in rows]


def seen_with(connection: sa.Connection, account_id: int, code: str) -> int | None:
    """Return the seq of a message that the account sees and that carries the file with that code, or None."""
    return connection.scalar(
        sa.select(messages.c.seq)
        .join(participants, sees_message(account_id))
        .join(attachments, attachments.c.id == messages.c.attachment_id)
        .where(attachments.c.code == code)
        .order_by(messages.c.id)
        .limit(1)
    )


_ALL_STORED = sa.select(attachments.c.stored)


def unclaimed(connection: sa.Connection, stored: Sequence[str]) -> list[str]:
    """Those of these names that belong to no attachment, to no archive that is being imported, and to no file
    that is to be removed."""
    known: set[str | None] = set()
    for column in (attachments.c.stored, imports.c.stored, erased_files.c.stored):
        known |= set(connection.scalars(sa.select(column).where(column.in_(stored))))
    return [each for each in stored if each not in known]


def all_stored(connection: sa.Connection) -> set[str]:
    """The names of all files that belong to an attachment."""
    return set(connection.scalars(_ALL_STORED))
