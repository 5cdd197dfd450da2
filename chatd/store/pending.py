"""Messages to groups of other realms, until the group's home has numbered them. Jobs and queries.

A message is in `pending` from its commit until it comes back with its number, which moves it to `messages`
under the same id. A refused one stays until its sender dismisses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from twisted.python.failure import Failure

from chatd.base.errors import ChatError, GroupMoved
from chatd.base.model import DELIVERED, QUEUED, REFUSED, Account, Message
from chatd.store import files
from chatd.store import outbox as outbox_store
from chatd.store.content import erase_file
from chatd.store.details import with_details
from chatd.store.forwarded_files import erased_file
from chatd.store.guard import without_altered
from chatd.store.lineage import is_home
from chatd.store.macs import KeyedHash, is_whole, keyed_hash, mac_of, report_altered
from chatd.store.messages import MessageWriter
from chatd.store.new_entries import NewMessage, Stored
from chatd.store.outbox import NewParcel, OutboxWriter
from chatd.store.outcomes import read_refusal
from chatd.store.prepared import prepared
from chatd.store.row_inserter import RowInserter
from chatd.store.schema import attachments, participants, pending, sends
from chatd.store.sent_files import keep_posted

MAX_REFUSED = 1000  # refused messages that are kept for an account
MAX_SHOWN = 1000  # pending messages that are read at a time
MAX_REMOVED = 500  # rows in one transaction


class NewPost(msgspec.Struct, frozen=True):
    """A message to the group `group` of another realm, as shown, and the parcel that carries it. The id of
    its conversation is 0 if the sender is no member. `epoch` was the log's when the group's home was looked
    up."""

    new: NewMessage
    group: str
    parcel: NewParcel
    epoch: int | None = None


class PendingWriter:
    """Stores posts, in the writer's thread."""

    def __init__(self, messages: MessageWriter, parcels: OutboxWriter) -> None:
        self._messages = messages
        self._parcels = parcels
        self._rows = RowInserter(pending)

    def store(self, connection: sa.Connection, items: Sequence[NewPost]) -> list[Stored | Failure]:
        """Store `items` with their parcels, in this order. Their place has no seq. Returns a Failure for each
        message to a group that lives in another realm by now, or whose file was erased."""
        refused = [self._refusal(connection, item) for item in items]
        still = [item for item, error in zip(items, refused, strict=True) if error is None]
        stored = iter(self._store(connection, still))
        return [next(stored) if error is None else Failure(error) for error in refused]

    def _refusal(self, connection: sa.Connection, item: NewPost) -> ChatError | None:
        if self._has_moved(connection, item):
            return GroupMoved(group=item.group, to=item.group)
        return erased_file(connection, item.new)

    def _has_moved(self, connection: sa.Connection, item: NewPost) -> bool:
        """Whether the group of a message lives in another realm than its parcel goes to."""
        conversation = item.new.conversation
        epochs = self._messages.epochs
        if not conversation or item.epoch in (None, epochs.of(connection, conversation)):
            return False
        return not is_home(connection, conversation, item.parcel.realm)

    def _store(self, connection: sa.Connection, items: Sequence[NewPost]) -> list[Stored]:
        if not items:
            return []
        numbers = self._parcels.store(connection, [item.parcel for item in items])
        stored = [Stored(self._messages.next_id(connection), 0, number) for number in numbers]
        keyed = keyed_hash(connection)
        rows = [_row(item, place, keyed) for item, place in zip(items, stored, strict=True)]
        self._rows.insert(connection, rows)
        return stored


def _row(item: NewPost, place: Stored, keyed: KeyedHash | None) -> tuple[object, ...]:
    """The values of a row, in the order of the table's columns."""
    new, parcel = item.new, item.parcel
    extras = new.extras
    guarded = (
        place.id,
        new.sender_id,
        new.conversation or None,
        item.group,
        parcel.realm,
        place.number,
        new.at,
        new.text,
        new.attachment_id,
        *(
            (None,) * 5
            if extras is None
            else (extras.reply, extras.forwarded, extras.mentions, extras.media, extras.body)
        ),
    )
    return (*guarded, None, new.key, mac_of(keyed, guarded))


def is_intact(connection: sa.Connection, row: Sequence[Any]) -> bool:
    """Whether a message that is pending is as it was stored. `row` ends with the columns GUARDED. If not, the
    log says so once."""
    *values, mac = row[-len(GUARDED) :]
    intact = is_whole(keyed_hash(connection), tuple(values), mac)
    if not intact:
        report_altered(f"message with the id {values[0]}, which is pending")
    return intact


# What a MAC covers of a message that is pending, and the MAC
GUARDED: tuple[Any, ...] = tuple(each for each in pending.c if each.name not in ("refused", "key"))


def readdress(connection: sa.Connection, conversation: int, realm: str, group: str) -> None:
    """The group of a conversation lives in another realm now, and is shown as `group`: its messages that are
    pending go there. Those that were refused stay as they are, and so do those that were altered."""
    waiting = pending.c.conversation_id == conversation, pending.c.refused.is_(None)
    keyed = keyed_hash(connection)
    for row in connection.execute(sa.select(*GUARDED).where(*waiting)).all():
        if not is_intact(connection, row):
            continue
        values = {each.name: value for each, value in zip(GUARDED, row, strict=True)}
        values |= {"realm": realm, "group": group}
        values["mac"] = mac_of(keyed, tuple(values[each.name] for each in GUARDED[:-1]))
        connection.execute(sa.update(pending).where(pending.c.id == row.id).values(values))


_COLUMNS: tuple[Any, ...] = (
    pending.c.id,
    pending.c.conversation_id,
    pending.c.at,
    pending.c.group,
    pending.c.text,
    pending.c.reply,
    pending.c.forwarded,
    pending.c.mentions,
    pending.c.media,
    pending.c.body,
    pending.c.refused,
    pending.c.realm,
    pending.c.number,
    outbox_store.waits(pending.c.realm, pending.c.number),
    *files.COLUMNS,
    *GUARDED,
)


def pending_of(
    connection: sa.Connection, account: Account, conversation: int | None = None
) -> list[Message]:
    """Return the newest MAX_SHOWN messages of an account that are pending, oldest first: those of a
    conversation, or all."""
    if conversation is None:
        query = _of_account(account.id, MAX_SHOWN)
    else:
        query = _of_conversation(account.id, conversation, MAX_SHOWN)
    rows = connection.execute(*query).all()[::-1]
    return [_message(connection, row, account) for row in rows]


@prepared
def _of_account(account_id: Any, limit: Any) -> sa.Select[Any]:
    return _newest(limit).where(pending.c.account_id == account_id)


@prepared
def _of_conversation(account_id: Any, conversation: Any, limit: Any) -> sa.Select[Any]:
    here = pending.c.account_id == account_id, pending.c.conversation_id == conversation
    return _newest(limit).where(*here)


def _newest(limit: Any) -> sa.Select[Any]:
    return (
        sa.select(*_COLUMNS)
        .outerjoin(attachments, attachments.c.id == pending.c.attachment_id)
        .order_by(pending.c.id.desc())
        .limit(limit)
    )


def _message(connection: sa.Connection, row: sa.Row[Any], account: Account) -> Message:
    ident, conversation, at, group, text, reply, forwarded, mentions, media, body, *rest = tuple(
        row
    )
    refused, realm, number, waits, *file = rest[: -len(GUARDED)]
    refusal = read_refusal(refused)
    state = REFUSED if refusal is not None else QUEUED if waits else DELIVERED
    message = Message(
        ident,
        conversation or 0,
        0,
        at,
        account.name,
        None,
        group,
        text,
        None if file[0] is None else files.file_in(keyed_hash(connection), file),
        state=state,
        reason=None if refusal is None else refusal.sentence,
        waits=(realm, number) if state == QUEUED else None,
    )
    details = reply, None, None, forwarded, mentions, media, body, None, False, False
    message = with_details(message, details)
    return message if is_intact(connection, row) else without_altered(message)


def finish(connection: sa.Connection, numbered: Sequence[tuple[int, int]]) -> list[None]:
    """The homes of groups have given seqs to the messages with these numbers. They come back if their senders
    are members; remove the others here."""
    seqs = dict(numbered)
    rows = connection.execute(
        _POSTED.where(pending.c.number.in_(list(seqs)), pending.c.conversation_id.is_(None))
    ).all()
    keep_posted(connection, rows)
    for row in rows:
        _remove(connection, row.account_id, row.id, seq=seqs[row.number])
    return [None] * len(numbered)


_POSTED = sa.select(
    pending.c.id,
    pending.c.account_id,
    pending.c.number,
    pending.c.realm,
    pending.c.group,
    pending.c.attachment_id,
    pending.c.at,
)


@prepared
def _of_former(limit: Any) -> sa.Select[Any]:
    is_member = sa.exists().where(
        participants.c.account_id == pending.c.account_id,
        participants.c.conversation_id == pending.c.conversation_id,
        participants.c.joined_at < pending.c.at,
    )
    return _POSTED.where(
        pending.c.refused.is_(None),
        ~is_member,
        sa.not_(outbox_store.waits(pending.c.realm, pending.c.number)),
    ).limit(limit)


def finish_former(connection: sa.Connection) -> int:
    """Remove messages that were delivered and do not come back, because their senders are no members, or have
    left the group since, even if they have joined again. Returns their number.

    Those of people who never were members are removed when they are delivered (`finish`), but the disk may
    have been full then, or the daemon may have been killed."""
    rows = connection.execute(*_of_former(MAX_REMOVED)).all()
    keep_posted(connection, rows)
    for row in rows:
        _remove(connection, row.account_id, row.id)
    return len(rows)


def dismiss(connection: sa.Connection, account_id: int, ident: int) -> tuple[str, ...] | None:
    """Remove a message of an account that is pending and does not wait any more. Returns the names of files
    that nothing carries any more, as `content.erase_file`, or None if there was no such message."""
    row = connection.execute(
        sa.select(pending.c.refused, pending.c.attachment_id).where(
            pending.c.id == ident,
            pending.c.account_id == account_id,
            sa.not_(outbox_store.waits(pending.c.realm, pending.c.number)),
        )
    ).first()
    if row is None:
        return None
    _remove(connection, account_id, ident, refused=row.refused)
    return () if row.attachment_id is None else erase_file(connection, row.attachment_id)


def _remove(
    connection: sa.Connection,
    account_id: int,
    ident: int,
    seq: int | None = None,
    refused: str | None = None,
) -> None:
    """Remove a message, and keep for its idempotency key the number that it got elsewhere, or why it was
    refused."""
    connection.execute(sa.delete(pending).where(pending.c.id == ident))
    connection.execute(
        sa.update(sends)
        .where(sends.c.account_id == account_id, sends.c.message_id == ident)
        .values(seq=seq, refused=refused)
    )


def limit_refused(connection: sa.Connection, account_id: int) -> None:
    """Dismiss the refused messages of an account beyond the newest MAX_REFUSED. Their files are removed from
    the disk at the next start."""
    query = (
        sa.select(pending.c.id)
        .where(pending.c.account_id == account_id, pending.c.refused.is_not(None))
        .order_by(pending.c.id.desc())
        .offset(MAX_REFUSED)
        .limit(MAX_REMOVED)
    )
    for ident in connection.scalars(query).all():
        dismiss(connection, account_id, ident)


@prepared
def _delivered(before: Any, limit: Any) -> sa.Select[Any]:
    return (
        sa.select(pending.c.id, pending.c.attachment_id)
        .where(
            pending.c.at < before,
            pending.c.refused.is_(None),
            sa.not_(outbox_store.waits(pending.c.realm, pending.c.number)),
        )
        .limit(limit)
    )


def remove_unreturned(connection: sa.Connection, before: int) -> int:
    """Remove messages of before `before` (ms since 1970 UTC) that were delivered and did not come back.
    Returns their number. Their files are removed from the disk at the next start."""
    rows = connection.execute(*_delivered(before, MAX_REMOVED)).all()
    if not rows:
        return 0
    connection.execute(sa.delete(pending).where(pending.c.id.in_([row.id for row in rows])))
    for file in {row.attachment_id for row in rows} - {None}:
        erase_file(connection, file)
    return len(rows)
