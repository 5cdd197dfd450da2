"""Entries of logs as realms name them to each other. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from chatd.base.entries import EntryRef
from chatd.base.names import key_of
from chatd.store.change_requests import numbers_about, requests_between
from chatd.store.new_entries import NewChange
from chatd.store.origins import Origin
from chatd.store.prepared import prepared
from chatd.store.schema import changes, groups, messages, remote_members


def seq_of(connection: Connection, conversation: int, entry: EntryRef) -> int | None:
    """Return the seq of a message of a conversation, or None if it has no such message."""
    if entry.realm is None:
        named = (messages.c.number == entry.number) & messages.c.origin_id.is_(None)
    else:
        named = (messages.c.origin_realm == entry.realm) & (messages.c.origin_id == entry.number)
    return connection.scalar(
        select(messages.c.seq).where(named, messages.c.conversation_id == conversation)
    )


_VIEWER = (
    select(remote_members.c.key)
    .where(
        remote_members.c.conversation_id == bindparam("group"),
        remote_members.c.realm == bindparam("realm"),
        remote_members.c.first_seq <= bindparam("seq"),
    )
    .limit(1)
)


def realms_seeing(
    connection: Connection, group: int, seq: int, realms: Sequence[str]
) -> tuple[str, ...]:
    """Those of `realms` with members who see the entry `seq` of a group of this realm."""

    def sees(realm: str) -> bool:
        asked = {"group": group, "realm": realm, "seq": seq}
        return connection.scalar(_VIEWER, asked) is not None

    return tuple(filter(sees, realms))


def realms_since(connection: Connection, group: int, at: int) -> tuple[str, ...]:
    """The realms with people who were members of a group of this realm at that time."""
    there = remote_members.c.conversation_id == group
    return tuple(
        connection.scalars(
            select(remote_members.c.realm)
            .where(there, remote_members.c.joined_at <= at)
            .distinct()
            .order_by(remote_members.c.realm)
        )
    )


def has_written(connection: Connection, group: str, entry: EntryRef, author: str) -> bool:
    """Whether a message of another realm in the group with that key, of this realm, is of that author (by the
    key of their address)."""
    sender = connection.scalar(
        select(messages.c.sender)
        .join(groups, groups.c.conversation_id == messages.c.conversation_id)
        .where(
            messages.c.origin_realm == entry.realm,
            messages.c.origin_id == entry.number,
            groups.c.key == group,
            groups.c.realm.is_(None),
        )
    )
    return sender is not None and key_of(sender) == author


def seqs_of(
    connection: Connection, wanted: Sequence[EntryRef | None], rows: Sequence[tuple[Any, ...]]
) -> list[int | None]:
    """Return the seq of the message that each of `rows` replies to, which may be an earlier one of `rows`.

    The rows are about to be inserted, and begin with the columns of messages up to `number`.
    """
    if not any(wanted):
        return [None] * len(rows)
    here: dict[tuple[int, str | None, int | None], int] = {}
    found: list[int | None] = []
    for entry, row in zip(wanted, rows, strict=True):
        conversation, seq, realm = row[1], row[2], row[8]
        reply = None
        if entry is not None:
            reply = here.get((conversation, entry.realm, entry.number))
            reply = reply or seq_of(connection, conversation, entry)
        found.append(reply)
        here[conversation, realm, row[10] if realm is None else row[9]] = seq
    return found


def entry_at(connection: Connection, conversation: int, seq: int) -> EntryRef | None:
    """Return the name of a message of a conversation; None if it has none in other realms."""
    row = connection.execute(
        select(messages.c.origin_realm, messages.c.origin_id, messages.c.number).where(
            messages.c.conversation_id == conversation, messages.c.seq == seq
        )
    ).first()
    if row is None:
        return None
    realm, origin, number = row
    if realm is not None and origin is not None:
        return EntryRef(realm, origin)
    return None if number is None else EntryRef(None, number)


def is_made(connection: Connection, conversation: int, origin: Origin) -> bool:
    """Whether the change with this name is in the log of a conversation."""
    realm, number = origin
    if realm is None:
        found = connection.scalar(*_own_change(conversation, number))
    else:
        found = connection.scalar(*_change_of(conversation, realm, number))
    return found is not None


@prepared
def _own_change(conversation: Any, number: Any) -> Select[Any]:
    named = changes.c.number == number, changes.c.origin_id.is_(None)
    return select(changes.c.seq).where(*named, changes.c.conversation_id == conversation)


@prepared
def _change_of(conversation: Any, realm: Any, number: Any) -> Select[Any]:
    named = changes.c.origin_realm == realm, changes.c.origin_id == number
    return select(changes.c.seq).where(*named, changes.c.conversation_id == conversation)


def newest_pin(connection: Connection, conversation: int, seq: int, *, own: bool) -> int:
    """Return when a message was last pinned or unpinned (ms since 1970 UTC), or 0; `own`: by somebody of this
    realm."""
    newest = select(func.max(changes.c.at)).where(
        changes.c.conversation_id == conversation,
        changes.c.target == seq,
        changes.c.kind == "pinned",
    )
    return connection.scalar(newest.where(changes.c.author_id.is_not(None)) if own else newest) or 0


def is_overtaken(connection: Connection, change: NewChange) -> bool:
    """Whether a later change of the same kind has been made, against which this one does not count. Edits and
    reactions of an author have numbers in their order. Of the pins of several people, the last one counts.
    """
    same = [
        changes.c.conversation_id == change.conversation,
        changes.c.target == change.target,
        changes.c.kind == change.kind,
    ]
    if change.kind == "pinned":
        same.append(changes.c.at > change.at)
    elif change.origin is not None:
        realm, number = change.origin
        same += [
            changes.c.author == change.author,
            (changes.c.number if realm is None else changes.c.origin_id) > number,
        ]
        if change.kind == "reaction" and change.data is not None:
            said = msgspec.json.decode(change.data)
            opposite = msgspec.json.encode({**said, "on": not said["on"]}).decode()
            same.append(changes.c.data.in_((change.data, opposite)))
    return connection.scalar(select(changes.c.seq).where(*same).limit(1)) is not None


def later_settings(connection: Connection, conversation: int, seq: int) -> list[dict[str, Any]]:
    """What the entries after `seq` have changed of a group."""
    return _facts(connection, conversation, "group", changes.c.seq > seq)


def later_members(connection: Connection, conversation: int, seq: int) -> list[dict[str, Any]]:
    """What the entries after `seq` say of members of a group."""
    return _facts(connection, conversation, "member", changes.c.seq > seq)


def facts_since(
    connection: Connection, conversation: int, kind: str, at: int
) -> list[dict[str, Any]]:
    """What the entries of that kind say that were made after the time `at` (ms since 1970 UTC)."""
    return _facts(connection, conversation, kind, changes.c.at > at)


def _facts(
    connection: Connection, conversation: int, kind: str, later: ColumnElement[bool]
) -> list[dict[str, Any]]:
    found = connection.scalars(
        select(changes.c.data).where(
            changes.c.conversation_id == conversation, changes.c.kind == kind, later
        )
    )
    return [msgspec.json.decode(data or "{}") for data in found]


def is_author(connection: Connection, conversation: int, seq: int, account_id: int | None) -> bool:
    """Whether that account of this realm has written the message."""
    author = select(messages.c.sender_id).where(
        messages.c.conversation_id == conversation, messages.c.seq == seq
    )
    return account_id is not None and connection.scalar(author) == account_id


def numbers_of(connection: Connection, conversation: int, seq: int) -> list[int]:
    """Return the numbers with which the content of a message of this realm has crossed: its own, and those of
    its edits, also of such that the home of a group has not sent back."""
    own = select(messages.c.number).where(
        messages.c.conversation_id == conversation, messages.c.seq == seq
    )
    edits = select(changes.c.number).where(
        changes.c.conversation_id == conversation,
        changes.c.target == seq,
        changes.c.kind == "edited",
    )
    requested = numbers_about(connection, conversation, seq)
    found = (*connection.scalars(own), *connection.scalars(edits), *requested)
    return [number for number in found if number is not None]


def numbers_between(connection: Connection, conversation: int, first: int, last: int) -> list[int]:
    """As `numbers_of`, for the messages from `first` to `last`."""
    own = select(messages.c.number).where(
        messages.c.conversation_id == conversation, messages.c.seq.between(first, last)
    )
    edits = select(changes.c.number).where(
        changes.c.conversation_id == conversation,
        changes.c.target.between(first, last),
        changes.c.kind == "edited",
    )
    requested = requests_between(connection, conversation, first, last)
    found = (*connection.scalars(own), *connection.scalars(edits), *requested)
    return [number for number in found if number is not None]
