"""Changes of messages: edits, deletions, reactions and pins. Jobs for the Database.

A change is an entry of the log, and it changes the row of its message. It checks who may make it in the
transaction that makes it, so that nothing can come in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, assert_never

import msgspec
import sqlalchemy as sa

from chatd.base import errors, events
from chatd.base.entries import (
    Deletion,
    Edit,
    MadeChange,
    MessageChange,
    Pin,
    React,
)
from chatd.base.model import Party
from chatd.store.change_checks import check_content, check_group, check_right
from chatd.store.change_effects import (
    has_effect,
    is_empty,
    own_pin,
    own_reaction,
)
from chatd.store.change_requests import has_requests
from chatd.store.content import count_reactions, erase, mark_edited, revive
from chatd.store.crossing import entry_at, is_overtaken, newest_pin, seq_of
from chatd.store.earlier_numbers import ref_of
from chatd.store.guard import content_of
from chatd.store.macs import GUARDED
from chatd.store.messages import MessageWriter
from chatd.store.new_entries import NewChange, RemoteCopies, Stored
from chatd.store.origins import Origin
from chatd.store.outcomes import KEPT_REQUEST
from chatd.store.pasts import await_message
from chatd.store.schema import groups, messages, pins, reactions
from chatd.store.sealing import UNVERIFIED, NewSignature
from chatd.store.signatures import forget_contents

# Makes the copies of a change for other realms.
CopiesOf: TypeAlias = Callable[[sa.Connection, MadeChange], RemoteCopies | None]

_encode = msgspec.json.Encoder().encode


class WantedChange(msgspec.Struct, frozen=True):
    """A change that `author` wants to make of the message `seq` of a conversation. `at` is in ms since 1970
    UTC.

    `moderator`: the author is a moderator of this realm. `elsewhere`: the group lives in another realm, which
    makes the change; this realm only sends the request. `relayed`: the group's home has made the change, with
    the number `given`: only authorship is checked, and the log here has it even if it changes nothing, like
    the log there. `origin`, `signature` and `seal` as in NewChange. `late`: another realm has returned it, so
    the log may have later changes already. `erases`: the author deletes a message of theirs, or has
    edited it before they left, also in a group that they have left. `past`: as in NewChange, with the place
    `given`. `by_realm`: the home of the conversation itself deletes the message, with the author `system`.
    """

    conversation: int
    seq: int
    change: MessageChange
    author: Party
    at: int
    moderator: bool = False
    elsewhere: bool = False
    relayed: bool = False
    given: int | None = None
    origin: Origin | None = None
    signature: NewSignature | None = None
    seal: bytes = b""
    late: bool = False
    erases: bool = False
    past: bool = False
    by_realm: bool = False


class ChangeResult(msgspec.Struct, frozen=True):
    """What became of a change. `event` announces it; None if it changed nothing here. `stored` is its entry,
    or only its number and parcel if the group lives elsewhere. `erased` are the names of files in the uploads
    folder that no message carries any more; they are to be removed from the disk."""

    event: events.ChangeOfMessage | None = None
    stored: Stored | None = None
    copies: RemoteCopies | None = None
    erased: tuple[str, ...] = ()


NOTHING = ChangeResult()


class ChangeWriter:
    """Makes changes of messages, in the writer's thread."""

    def __init__(self, writer: MessageWriter) -> None:
        self._writer = writer

    def make(
        self, connection: sa.Connection, wanted: WantedChange, copies_of: CopiesOf
    ) -> ChangeResult:
        """Make a change. One that has no effect is not written to the log, unless it is relayed.

        Raises UnknownMessage, ImportedMessage, NotYours, NotEditable, RequestPending, NotMember, NotAdmin,
        GroupShut, TooManyReactions, TooManyPins, and what `copies_of` does.
        """
        row = _message(connection, wanted)
        check_right(connection, wanted, row)
        check_group(connection, wanted, row)
        if row.imported is not None:
            raise errors.ImportedMessage(seq=wanted.seq)
        if _is_replaced(connection, wanted, row):
            _revive(connection, wanted, row.id)
            row = _message(connection, wanted)
        wanted = check_content(connection, wanted, row)
        effective = has_effect(connection, wanted, row)
        # What waits for the group's home may be taken back, which has no effect on the copy of the message.
        follows = wanted.elsewhere and has_requests(connection, wanted.conversation, wanted.seq)
        if not effective and not wanted.relayed and not follows:
            return NOTHING
        if wanted.late and is_overtaken(connection, _entry(wanted, None)):
            return NOTHING
        wanted = _after_pins(connection, wanted)
        is_there = row.refused in (None, KEPT_REQUEST)
        ref = entry_at(connection, wanted.conversation, wanted.seq) if is_there else None
        change = _with_reply(connection, wanted, row)
        copies = copies_of(
            connection, MadeChange(change, wanted.author, wanted.at, wanted.seq, ref)
        )
        entry = _entry(wanted, copies)
        if wanted.elsewhere and copies is not None:
            return self._request(connection, wanted, row, entry, copies)
        stored = self._writer.add_change(connection, entry)
        erased = _apply(connection, wanted, row) if effective else ()
        _forget_salts(connection, wanted, row, stored.seq)
        return ChangeResult(_event(connection, wanted, stored.seq, row), stored, copies, erased)

    def _request(
        self,
        connection: sa.Connection,
        wanted: WantedChange,
        row: sa.Row[Any],
        entry: NewChange,
        copies: RemoteCopies,
    ) -> ChangeResult:
        """Store the request for the change, which the group's home makes."""
        # If no member of this realm is left, the home does not send the deletion back.
        erased: tuple[str, ...] = ()
        if wanted.erases:
            erased = _apply(connection, wanted, row)
            _forget_salts(connection, wanted, row, 0)
        requested = self._writer.add_request(connection, entry, copies)
        return ChangeResult(None, requested, copies, erased)


def _after_pins(connection: sa.Connection, wanted: WantedChange) -> WantedChange:
    """The change, with a later time than all pins of the message by the other side of a direct if somebody
    here pins it: of the two sides, the later one counts."""
    if not isinstance(wanted.change, Pin) or wanted.origin is not None:
        return wanted
    newest = newest_pin(connection, wanted.conversation, wanted.seq, own=False)
    return msgspec.structs.replace(wanted, at=max(wanted.at, newest + 1))


def _is_replaced(connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any]) -> bool:
    """Whether this signed edit has the content of a message that came without one: a realm that sends the
    message again has no content of it but that of its last edit."""
    edit = wanted.change
    if wanted.signature is None or not isinstance(edit, Edit) or edit.is_blank:
        return False
    return is_empty(connection, wanted, row)


def _revive(connection: sa.Connection, wanted: WantedChange, ident: int) -> None:
    """Let a message that came without content have the reply that its edit states, and then its text."""
    reply = wanted.change.reply if isinstance(wanted.change, Edit) else None
    answered = None if reply is None else seq_of(connection, wanted.conversation, reply)
    revive(connection, ident, answered)
    if reply is not None and answered is None:
        await_message(connection, wanted.conversation, wanted.seq, reply)


def _with_reply(connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any]) -> MessageChange:
    """The change as it is told to other realms: an edit by somebody here says what its message replies to."""
    change = wanted.change
    if not isinstance(change, Edit) or wanted.origin is not None or row.reply is None:
        return change
    return msgspec.structs.replace(change, reply=ref_of(connection, wanted.conversation, row.reply))


def _apply(connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any]) -> tuple[str, ...]:
    """Change the row of the message. Returns the names of files to remove."""
    change = wanted.change
    match change:
        case Edit(text, mentions):
            mark_edited(connection, row.id, text, mentions, wanted.at)
        case Deletion():
            return erase(connection, wanted.conversation, wanted.seq, wanted.at)
        case React():
            _react(connection, wanted, change)
        case Pin(on):
            _pin(connection, wanted, on)
        case _:
            assert_never(change)
    return ()


def _forget_salts(
    connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any], seq: int
) -> None:
    """Forget the salts of contents that the change `seq` has replaced or erased, or that came after that.
    Without them, contents can't be guessed from their hashes."""
    if isinstance(wanted.change, Deletion) or row.deleted_at is not None:
        forget_contents(connection, wanted.conversation, wanted.seq)
    elif isinstance(wanted.change, Edit) and not wanted.change.is_blank:
        forget_contents(connection, wanted.conversation, wanted.seq, seq)


def _message(connection: sa.Connection, wanted: WantedChange) -> sa.Row[Any]:
    """The message, with the name of its group. Raises UnknownMessage."""
    columns: tuple[Any, ...] = (
        messages.c.id,
        messages.c.sender_id,
        messages.c.origin_realm,
        messages.c.edited_at,
        messages.c.refused,
        messages.c.imported,
        *GUARDED,
        groups.c.name.label("group"),
    )
    row = connection.execute(
        sa.select(*columns)
        .outerjoin(groups, groups.c.conversation_id == messages.c.conversation_id)
        .where(messages.c.conversation_id == wanted.conversation, messages.c.seq == wanted.seq)
    ).first()
    if row is None:
        raise errors.UnknownMessage(seq=wanted.seq)
    return row


def _react(connection: sa.Connection, wanted: WantedChange, change: React) -> None:
    if change.on:
        connection.execute(
            sa.insert(reactions).values(
                conversation_id=wanted.conversation,
                seq=wanted.seq,
                emoji=change.emoji,
                key=wanted.author.key,
                address=wanted.author.name,
                at=wanted.at,
            )
        )
    else:
        connection.execute(sa.delete(reactions).where(own_reaction(wanted, change)))
    place, step = (wanted.conversation, wanted.seq), 1 if change.on else -1
    count_reactions(connection, place, change.emoji, step, wanted.at)


def _pin(connection: sa.Connection, wanted: WantedChange, on: bool) -> None:
    if not on:
        connection.execute(sa.delete(pins).where(own_pin(wanted)))
        return
    values = {"conversation_id": wanted.conversation, "seq": wanted.seq}
    connection.execute(sa.insert(pins).values(**values, by=wanted.author.name, at=wanted.at))


def _entry(wanted: WantedChange, copies: RemoteCopies | None) -> NewChange:
    """The entry of a change. The text of an edit is only in the message."""
    change = wanted.change
    data: dict[str, Any] | None = None
    match change:
        case Edit():
            kind = "edited"
        case Deletion():
            kind = "deleted"
        case React(emoji, on):
            kind, data = "reaction", {"emoji": emoji, "on": on}
        case Pin(on):
            kind, data = "pinned", {"on": on}
        case _:
            assert_never(change)
    return NewChange(
        wanted.conversation,
        kind,
        wanted.author.id,
        wanted.author.name,
        wanted.at,
        wanted.seq,
        None if data is None else _encode(data).decode(),
        wanted.given,
        wanted.origin,
        copies,
        wanted.signature,
        wanted.seal,
        wanted.past,
    )


def _event(
    connection: sa.Connection, wanted: WantedChange, seq: int, row: sa.Row[Any]
) -> events.ChangeOfMessage:
    """The event that announces a change of the message `row`."""
    change, by, group = wanted.change, wanted.author.name, row.group
    conversation, target, at = wanted.conversation, wanted.seq, wanted.at
    unverified = wanted.signature is not None and wanted.signature.status == UNVERIFIED
    match change:
        case Edit(text, mentions):
            now = (text, mentions) if text else content_of(connection, row)
            current = (None, ()) if row.deleted_at is not None else now
            what = conversation, seq, target, current[0], at, by, group, current[1]
            return events.Edited(*what, unverified=unverified)
        case Deletion():
            return events.Deleted(conversation, seq, target, at, by, group, unverified)
        case React(emoji, on):
            return events.Reaction(conversation, seq, target, at, by, emoji, on, group, unverified)
        case Pin(on):
            return events.Pinned(conversation, seq, target, at, by, on, group, unverified)
        case _:
            assert_never(change)
