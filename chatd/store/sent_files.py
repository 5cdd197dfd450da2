"""Files of this realm's people on their way to other realms. Jobs and queries for the Database.

A file is kept as long as a message here carries it. A post to a group elsewhere by somebody who is no member
leaves no message here, so its file is in `posted_files` until the group's home has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from chatd.base.attachments import Attachment
from chatd.store.arrivals import file_of
from chatd.store.files import COLUMNS, file_in
from chatd.store.macs import keyed_hash
from chatd.store.prepared import prepared
from chatd.store.schema import (
    attachments,
    groups,
    lost_files,
    messages,
    participants,
    pending,
    posted_files,
)
from chatd.store.versions import VersionWriter

# The code of the reason for which another realm has not got the file of a message
LOST_THERE = sa.case(
    (
        messages.c.attachment_id.is_not(None),
        sa.select(lost_files.c.lost)
        .where(
            lost_files.c.conversation_id == messages.c.conversation_id,
            lost_files.c.seq == messages.c.seq,
        )
        .correlate(messages)
        .scalar_subquery(),
    )
)


class LostFile(NamedTuple):
    """A file that has not reached another realm, and the account that has sent it. Its message is the entry
    `seq` of `conversation`; both are 0 if it is not kept here. `to` is the address that it was sent to, of
    a group if `is_group`."""

    account_id: int
    conversation: int
    seq: int
    name: str
    to: str
    is_group: bool


def posted(connection: sa.Connection, realm: str, number: int) -> Attachment | None:
    """Return the file of a post to a group of a realm that has no entry here."""
    for table in (pending, posted_files):
        row = connection.execute(
            sa.select(*COLUMNS)
            .join_from(table, attachments, attachments.c.id == table.c.attachment_id)
            .where(table.c.number == number, table.c.realm == realm)
        ).first()
        if row is not None:
            return file_in(keyed_hash(connection), row)
    return None


def keep_posted(connection: sa.Connection, rows: Iterable[Any]) -> None:
    """Keep the files of posts, rows of `pending` that are removed."""
    with_file = [row for row in rows if row.attachment_id is not None]
    if with_file:
        connection.execute(
            sa.insert(posted_files),
            [
                {
                    "number": row.number,
                    "realm": row.realm,
                    "group": row.group,
                    "attachment_id": row.attachment_id,
                    "at": row.at,
                }
                for row in with_file
            ],
        )


def fetched(connection: sa.Connection, realm: str, number: int) -> None:
    """A realm has the file of a post, or has lost it."""
    connection.execute(
        sa.delete(posted_files).where(
            posted_files.c.number == number, posted_files.c.realm == realm
        )
    )


def any_posted(connection: sa.Connection, before: int) -> bool:
    """Whether a file is kept for a post of before `before` (ms since 1970 UTC)."""
    return connection.scalar(*_posted_before(before)) is not None


@prepared
def _posted_before(at: Any) -> sa.Select[Any]:
    return sa.select(posted_files.c.number).where(posted_files.c.at < at).limit(1)


def forget_posted(connection: sa.Connection, before: int) -> None:
    """Keep no files for posts of before `before` (ms since 1970 UTC) any more: they are lost there."""
    connection.execute(sa.delete(posted_files).where(posted_files.c.at < before))


def lose_there(
    connection: sa.Connection, versions: VersionWriter, realm: str, number: int, reason: str
) -> LostFile | None:
    """Keep with a message of this realm that another realm has not got its file. Returns None if that is
    known, or if there is no such message."""
    lost = _sent_with_file(connection, realm, number)
    if lost is None:
        return _lose_posted(connection, realm, number)
    fetched(connection, realm, number)
    known = sa.select(lost_files.c.lost).where(
        lost_files.c.conversation_id == lost.conversation, lost_files.c.seq == lost.seq
    )
    if connection.scalar(known) is not None:
        return None
    connection.execute(
        sa.insert(lost_files).values(conversation_id=lost.conversation, seq=lost.seq, lost=reason)
    )
    versions.note(connection, [file_of(lost.conversation, lost.seq)])
    return lost


def _sent_with_file(connection: sa.Connection, realm: str, number: int) -> LostFile | None:
    """Find the file of a message of this realm that was sent to `realm`."""
    here = messages.c.conversation_id
    row = connection.execute(
        sa.select(
            messages.c.sender_id,
            here,
            messages.c.seq,
            attachments.c.name,
            sa.func.coalesce(groups.c.name, participants.c.peer).label("to"),
            groups.c.name.is_not(None).label("is_group"),
        )
        .join(attachments, attachments.c.id == messages.c.attachment_id)
        .outerjoin(
            participants,
            sa.and_(
                participants.c.conversation_id == here,
                participants.c.account_id == messages.c.sender_id,
            ),
        )
        .outerjoin(groups, groups.c.conversation_id == here)
        .where(
            messages.c.number == number,
            messages.c.origin_id.is_(None),
            messages.c.sender_id.is_not(None),
            (participants.c.realm == realm) | (groups.c.realm == realm),
        )
    ).first()
    return None if row is None else LostFile(*row)


def _lose_posted(connection: sa.Connection, realm: str, number: int) -> LostFile | None:
    row = connection.execute(
        sa.select(attachments.c.owner_id, attachments.c.name, posted_files.c.group)
        .join_from(posted_files, attachments, attachments.c.id == posted_files.c.attachment_id)
        .where(posted_files.c.number == number, posted_files.c.realm == realm)
    ).first()
    if row is None or row.owner_id is None:
        return None
    fetched(connection, realm, number)
    return LostFile(row.owner_id, 0, 0, row.name, row.group, True)
