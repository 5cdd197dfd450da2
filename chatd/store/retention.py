"""How long messages and files are kept, and removing older ones a page at a time. Jobs and queries for the
Database.

A message that is removed so is left like a deleted one: its number and its signature stay, without the salt
with which its content could be guessed. Its removal is no entry of the log, and no other realm learns of it.
Its author may still delete it, which other realms learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.records import RetentionInfo
from chatd.base.timestamps import duration_text
from chatd.store.change_requests import forget_changes_between
from chatd.store.content import WITHOUT_CONTENT, erase_file, is_on_its_way, note_erased
from chatd.store.files import IS_HERE
from chatd.store.removed_messages import is_message_removed
from chatd.store.schema import (
    arrivals,
    attachments,
    conversations,
    groups,
    messages,
    pins,
    reaction_counts,
    reactions,
    retention,
    retention_marks,
)
from chatd.store.settings import get_setting, put_setting
from chatd.store.signatures import forget_contents_between

HOUR = 3_600_000  # ms
REALM = 0  # stands for all conversations
# The number of the realm's limits, which grows when they change. Marks that were made under others count from
# 0 again, so that a change updates no marks, however many conversations there are.
ROUND = "retention_round"
_HOURS = "hours"  # a column; PostgreSQL does not see that two divisions by a parameter are the same
REMOVED = "file-removed"  # why the file of a message is lost (chatd.base.attachments)


class RetentionLimits(msgspec.Struct, frozen=True):
    """What is kept: messages and files for `age` and `file_age` ms, and the newest `size` and `file_size`
    bytes of them. 0 is no limit. None is that of the realm, or no limit for REALM itself."""

    age: int | None = None
    size: int | None = None
    file_age: int | None = None
    file_size: int | None = None


NO_LIMITS = RetentionLimits()


class Cutoffs(msgspec.Struct, frozen=True):
    """What is removed: messages and files from before these times (ms since 1970 UTC)."""

    messages: int = 0
    files: int = 0


class Mark(msgspec.Struct, frozen=True):
    """The seqs to which the job has come in a conversation."""

    seq: int = 0
    file_seq: int = 0
    removed: int = 0  # stays when the job looks at everything again


class RemovedPart(msgspec.Struct, frozen=True):
    """What a step has done: how many messages or files it has removed, the names of files in the uploads
    folder that are to be removed, and whether there may be more."""

    count: int
    stored: tuple[str, ...]
    more: bool


def put_limits(connection: sa.Connection, conversation: int, limits: RetentionLimits) -> None:
    """Set the limits of a group or, for REALM, of all conversations. The job looks at these again from their
    beginning."""
    connection.execute(sa.delete(retention).where(retention.c.conversation_id == conversation))
    if limits != NO_LIMITS:
        values = msgspec.structs.asdict(limits)
        connection.execute(sa.insert(retention).values(conversation_id=conversation, **values))
    if conversation == REALM:
        put_setting(connection, ROUND, str(_round(connection) + 1))
    else:
        here = retention_marks.c.conversation_id == conversation
        connection.execute(sa.update(retention_marks).where(here).values(seq=0, file_seq=0))


def _round(connection: sa.Connection) -> int:
    return int(get_setting(connection, ROUND) or 0)


def look_again(connection: sa.Connection, conversation: int, seq: int) -> None:
    """Let the job look at the entries from `seq` on, because what comes from the past of a group comes after
    what is later in the log."""
    for column in (retention_marks.c.seq, retention_marks.c.file_seq):
        here = (retention_marks.c.conversation_id == conversation) & (column >= seq)
        connection.execute(sa.update(retention_marks).where(here).values({column: seq - 1}))


def is_removed(connection: sa.Connection, conversation: int, seq: int) -> bool:
    """Whether a message without content was removed here because it was too old, or one too many, or by a
    moderator."""
    found = sa.select(retention_marks.c.removed).where(
        retention_marks.c.conversation_id == conversation
    )
    is_old = seq <= (connection.scalar(found) or 0)
    return is_old or is_message_removed(connection, conversation, seq)


def read_limits(connection: sa.Connection) -> dict[int, RetentionLimits]:
    """All limits, by conversation or REALM."""
    rows = connection.execute(sa.select(retention))
    return {row[0]: RetentionLimits(*row[1:]) for row in rows}


def change_limits(connection: sa.Connection, conversation: int, changed: Mapping[str, int]) -> None:
    """Change some limits, by the names of the fields of RetentionLimits."""
    found = read_limits(connection).get(conversation, NO_LIMITS)
    put_limits(connection, conversation, msgspec.structs.replace(found, **changed))


def list_limits(connection: sa.Connection) -> list[RetentionInfo]:
    """The limits of the realm, and of the groups that have their own in the order of their names."""
    limits = read_limits(connection)
    rows = connection.execute(
        sa.select(retention.c.conversation_id, groups.c.name)
        .join_from(retention, groups, groups.c.conversation_id == retention.c.conversation_id)
        .order_by(groups.c.name)
    )
    own = _with_defaults(limits.get(REALM, NO_LIMITS))
    return [_info("realm", own), *(_info(f"#{row.name}", limits[row[0]]) for row in rows)]


def _with_defaults(limits: RetentionLimits) -> RetentionLimits:
    return RetentionLimits(*(value or 0 for value in msgspec.structs.astuple(limits)))


def _info(scope: str, limits: RetentionLimits) -> RetentionInfo:
    ages = [
        None if age is None else duration_text(age // 1000) if age else "forever"
        for age in (limits.age, limits.file_age)
    ]
    sizes = ["all" if size == 0 else size for size in (limits.size, limits.file_size)]
    return RetentionInfo(scope, ages[0], sizes[0], ages[1], sizes[1])


_IS_CURRENT = retention_marks.c.round == sa.bindparam("round")
_FIRST = (
    sa.select(messages.c.at)
    .where(
        messages.c.conversation_id == conversations.c.id,
        messages.c.seq > sa.case((_IS_CURRENT, retention_marks.c.seq), else_=0),
        messages.c.at <= sa.bindparam("now"),
    )
    .order_by(messages.c.seq)
    .limit(1)
    .correlate(conversations, retention_marks)
    .scalar_subquery()
)
_FIRST_FILE = (
    sa.select(sa.func.min(messages.c.at))
    .where(
        messages.c.conversation_id == conversations.c.id,
        messages.c.attachment_id.is_not(None),
        messages.c.seq > sa.case((_IS_CURRENT, retention_marks.c.file_seq), else_=0),
    )
    .correlate(conversations, retention_marks)
    .scalar_subquery()
)
_PLACES = (
    sa.select(
        conversations.c.id,
        _FIRST.label("first"),
        _FIRST_FILE.label("first_file"),
    )
    .outerjoin_from(
        conversations, retention_marks, retention_marks.c.conversation_id == conversations.c.id
    )
    .where(conversations.c.id > sa.bindparam("after"))
    .order_by(conversations.c.id)
    .limit(sa.bindparam("count"))
)


def conversations_after(
    connection: sa.Connection, after: int, count: int, before: int, now: int
) -> tuple[list[int], int | None]:
    """Look at the next `count` conversations with ids above `after`. Returns those that may have messages or
    files from before a time, and the last id; None if there are no more."""
    given = {"after": after, "count": count, "now": now, "round": _round(connection)}
    rows = connection.execute(_PLACES, given).all()
    found = [
        row.id for row in rows if min(_given(row.first, row.first_file), default=before) < before
    ]
    return found, rows[-1].id if rows else None


def _given(*times: int | None) -> list[int]:
    return [time for time in times if time is not None]


def remove_messages(
    connection: sa.Connection, conversation: int, before: int, now: int, count: int
) -> RemovedPart:
    """Remove the content of the next `count` messages of a conversation that are from before a time, in the
    order of the log. Imported messages stay, because they belong to an account."""
    mark = _mark(connection, conversation)
    rows = connection.execute(
        sa.select(messages.c.seq, messages.c.at, messages.c.attachment_id, messages.c.deleted_at)
        .where(messages.c.conversation_id == conversation, messages.c.seq > mark.seq)
        .order_by(messages.c.seq)
        .limit(count)
    ).all()
    old = _before(connection, conversation, rows, before, now)
    if not old:
        return RemovedPart(0, (), False)
    first, last = old[0].seq, old[-1].seq
    within = (messages.c.conversation_id == conversation) & messages.c.seq.between(first, last)
    connection.execute(
        sa.update(messages)
        .where(within, messages.c.deleted_at.is_(None))
        .values(deleted_at=now, **WITHOUT_CONTENT)
    )
    for table in (reactions, reaction_counts, pins):
        connection.execute(
            sa.delete(table).where(
                table.c.conversation_id == conversation, table.c.seq.between(first, last)
            )
        )
    forget_changes_between(connection, conversation, first, last)
    forget_contents_between(connection, conversation, first, last)
    files = [row.attachment_id for row in old if row.attachment_id is not None]
    stored = tuple(name for file in files for name in erase_file(connection, file))
    mark = Mark(last, max(last, mark.file_seq), max(last, mark.removed))
    _put_mark(connection, conversation, mark)
    removed = sum(row.deleted_at is None for row in old)
    return RemovedPart(removed, stored, len(old) == count)


def remove_files(
    connection: sa.Connection, conversation: int, before: int, now: int, count: int
) -> RemovedPart:
    """Remove the files of the next `count` messages with files that are from before a time. The messages
    stay, and say that the realm has removed their files."""
    mark = _mark(connection, conversation)
    rows = connection.execute(
        sa.select(messages.c.seq, messages.c.at, messages.c.attachment_id)
        .where(
            messages.c.conversation_id == conversation,
            messages.c.attachment_id.is_not(None),
            messages.c.seq > mark.file_seq,
        )
        .order_by(messages.c.seq)
        .limit(count)
    ).all()
    old = _before(connection, conversation, rows, before, now)
    stored: list[str] = []
    reached = 0
    for row in old:
        if is_on_its_way(connection, row.attachment_id):
            break  # the next look continues here
        stored += _remove_file(connection, row.attachment_id, before, now)
        reached = row.seq
    if not reached:
        return RemovedPart(0, (), False)
    _put_mark(connection, conversation, Mark(mark.seq, reached, mark.removed))
    return RemovedPart(len(stored), tuple(stored), len(old) == count and reached == old[-1].seq)


def _before(
    connection: sa.Connection, conversation: int, rows: Sequence[Any], before: int, now: int
) -> list[Any]:
    """The rows up to the first that is not from before a time. A row with a time to come, which a wrong clock
    has given it, is as old as the next with a right time."""
    right = [place for place, row in enumerate(rows) if row.at <= now]
    newer = next((place for place in right if rows[place].at >= before), len(rows))
    if newer == len(rows) and rows and rows[-1].at > now:
        following = connection.scalar(
            sa.select(messages.c.at)
            .where(
                messages.c.conversation_id == conversation,
                messages.c.seq > rows[-1].seq,
                messages.c.at <= now,
            )
            .order_by(messages.c.seq)
            .limit(1)
        )
        if following is not None and following < before:
            return list(rows)
    return list(rows[: max((place for place in right if place < newer), default=-1) + 1])


def _remove_file(connection: sa.Connection, file: int, before: int, now: int) -> tuple[str, ...]:
    """Remove a file unless a newer message carries it, or it still has to reach this realm."""
    newest = sa.select(sa.func.max(messages.c.at)).where(
        messages.c.attachment_id == file, messages.c.at <= now
    )
    if (connection.scalar(newest) or 0) >= before:
        return ()
    known = sa.select(arrivals.c.attachment_id).where(arrivals.c.attachment_id == file)
    if connection.scalar(known) is not None:
        return ()
    connection.execute(
        sa.insert(arrivals).values(attachment_id=file, realm="", heard_at=now, lost=REMOVED)
    )
    found = sa.select(attachments.c.stored).where(attachments.c.id == file)
    return note_erased(connection, connection.execute(found).scalar_one())


def _mark(connection: sa.Connection, conversation: int) -> Mark:
    row = connection.execute(
        sa.select(
            retention_marks.c.round,
            retention_marks.c.seq,
            retention_marks.c.file_seq,
            retention_marks.c.removed,
        ).where(retention_marks.c.conversation_id == conversation)
    ).first()
    if row is None:
        return Mark()
    return Mark(*row[1:]) if row.round == _round(connection) else Mark(removed=row.removed)


def _put_mark(connection: sa.Connection, conversation: int, mark: Mark) -> None:
    values = {**msgspec.structs.asdict(mark), "round": _round(connection)}
    here = retention_marks.c.conversation_id == conversation
    done = connection.execute(sa.update(retention_marks).where(here).values(values))
    if not done.rowcount:
        connection.execute(
            sa.insert(retention_marks).values(conversation_id=conversation, **values)
        )


def byte_length() -> sa.ColumnElement[int]:
    """The bytes of a message's text, or of what it has in its place."""
    text = sa.func.length(sa.cast(sa.func.coalesce(messages.c.text, ""), sa.LargeBinary))
    return text + sa.func.length(sa.func.coalesce(messages.c.body, b""))


def cutoff_of_messages(connection: sa.Connection, conversation: int, size: int) -> int:
    """The time from which on the newest messages have `size` bytes, to the hour; 0 if all have less. For
    REALM it reads all messages."""
    chosen = sa.select((messages.c.at // HOUR).label(_HOURS), sa.func.sum(byte_length()))
    chosen = chosen.where(messages.c.seq > 0)
    if conversation != REALM:
        chosen = chosen.where(messages.c.conversation_id == conversation)
    return _cutoff(connection, chosen.group_by(_HOURS), size)


def cutoff_of_files(connection: sa.Connection, conversation: int, size: int) -> int:
    """As `cutoff_of_messages`, for files."""
    hours = (attachments.c.created_at // HOUR).label(_HOURS)
    chosen = sa.select(hours, sa.func.sum(attachments.c.size))
    chosen = chosen.where(IS_HERE)
    if conversation != REALM:
        carried = sa.select(messages.c.attachment_id).where(
            messages.c.conversation_id == conversation, messages.c.attachment_id.is_not(None)
        )
        chosen = chosen.where(attachments.c.id.in_(carried))
    return _cutoff(connection, chosen.group_by(_HOURS), size)


def _cutoff(connection: sa.Connection, by_hour: sa.Select[Any], size: int) -> int:
    total = 0
    for hour, bytes_ in sorted(connection.execute(by_hour), reverse=True):
        total += bytes_
        if total > size:
            return (int(hour) + 1) * HOUR
    return 0
