"""Reading messages: the history of a conversation. Queries for the Database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.model import Account, Message
from chatd.base.names import ARCHIVE_SIGN
from chatd.base.read_marks import ReadMark
from chatd.store import files
from chatd.store.access import sees_message
from chatd.store.details import DETAILS, has_reactions, with_details, with_reactions
from chatd.store.guard import checked, noted_altered
from chatd.store.macs import GUARDED, KeyedHash, is_intact, keyed_hash
from chatd.store.outcomes import DELIVERY, SHOWN_ID, delivery_of
from chatd.store.schema import attachments, groups, messages, participants
from chatd.store.sent_files import LOST_THERE


class Page(msgspec.Struct, frozen=True):
    """Messages, oldest first, and how many more there are: before them in a history, after them elsewhere.
    `marks` (by conversation) have what is read once the reader has the page; empty if reading it moves no
    mark. `later`, of a history only: how many there are after them. `pending` has the reader's messages that
    have no number yet (chatd.store.pending)."""

    messages: list[Message]
    remaining: int = 0
    marks: Mapping[int, ReadMark] = {}
    pending: Sequence[Message] = ()
    later: int | None = None


# What an account reads of a message. Queries of other modules that select these columns first can pass their
# rows to `build_checked`.
COLUMNS = (
    SHOWN_ID,
    messages.c.conversation_id,
    messages.c.seq,
    messages.c.at,
    messages.c.sender,
    messages.c.sender_id,
    messages.c.text,
    participants.c.peer,
    groups.c.name,
    *DELIVERY,
    *DETAILS,
    *files.COLUMNS,
    LOST_THERE,
    messages.c.attachment_id,
    messages.c.mac,
)
_BEFORE_DETAILS = COLUMNS.index(DETAILS[0])
_BEFORE_FILE = _BEFORE_DETAILS + len(DETAILS)
_AFTER_FILE = _BEFORE_FILE + len(files.COLUMNS) + 1
# Where the columns are that a MAC covers
_guarded = itemgetter(*map(COLUMNS.index, GUARDED))


def select_messages(account: Account, known: bool = False) -> sa.Select[Any]:
    """Select COLUMNS of the messages that the account sees. `known`: it is known to see those that the query
    selects by their ids; then SQLite looks them up, instead of reading the conversations."""
    return select_seen_by(account.id, known)


def select_seen_by(account_id: Any, known: bool = False) -> sa.Select[Any]:
    """As `select_messages`, by the account's id or a parameter for it."""
    return (
        sa.select(*COLUMNS)
        .select_from(messages)
        .join(participants, sees_message(account_id), isouter=known)
        .outerjoin(groups, groups.c.conversation_id == messages.c.conversation_id)
        .outerjoin(attachments, attachments.c.id == messages.c.attachment_id)
    )


def build_message(keyed: KeyedHash | None, row: Sequence[Any], account: Account) -> Message:
    """The message in a row that begins with COLUMNS, as it is stored."""
    ident, conversation, seq, at, sender, sender_id, text, peer, group, *delivery = row[
        :_BEFORE_DETAILS
    ]
    *file, lost_there = row[_BEFORE_FILE:_AFTER_FILE]
    to = None if group is not None else account.name
    # An imported group is a conversation with itself.
    if to is not None and (sender_id == account.id or (peer or "").startswith(ARCHIVE_SIGN)):
        to = peer
    attachment = None if file[0] is None else files.file_in(keyed, file)
    if lost_there is not None and attachment is not None:
        attachment = msgspec.structs.replace(attachment, arrival=lost_there)
    state, reason, waits = delivery_of(sender_id == account.id, *delivery)
    message = Message(
        ident,
        conversation,
        seq,
        at,
        sender,
        to,
        group,
        text,
        attachment,
        state=state,
        reason=reason,
        waits=waits,
    )
    return with_details(message, row[_BEFORE_DETAILS:_BEFORE_FILE])


def build_checked(
    connection: sa.Connection, rows: Sequence[Sequence[Any]], account: Account
) -> list[Message]:
    """The messages in rows that begin with COLUMNS, as the account reads them, without their reactions. They
    have no content that was altered."""
    keyed = keyed_hash(connection)
    return checked(
        connection,
        [
            message if is_intact(keyed, _guarded(row)) else noted_altered(message)
            for row in rows
            for message in (build_message(keyed, row, account),)
        ],
    )


def build_messages(
    connection: sa.Connection, rows: Sequence[Sequence[Any]], account: Account
) -> list[Message]:
    """As `build_checked`, with their reactions."""
    found = build_checked(connection, rows, account)
    reacted = [
        place for place, row in enumerate(rows) if has_reactions(row[_BEFORE_DETAILS:_BEFORE_FILE])
    ]
    return with_reactions(connection, account, found, reacted)
