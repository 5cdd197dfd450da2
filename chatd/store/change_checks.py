"""Who may change a message, and whether it can be changed so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from chatd.base import errors
from chatd.base.emoji import same_emoji
from chatd.base.entries import RIGHTS, Deletion, Edit, Pin, React, Right
from chatd.base.names import key_of
from chatd.store.change_effects import check_accepted, waits_for_content
from chatd.store.reports import reported_place
from chatd.store.rights import role_in
from chatd.store.schema import pins, reaction_counts
from chatd.store.shut_groups import shutting_of

if TYPE_CHECKING:
    from chatd.store.message_changes import WantedChange

MAX_EMOJIS = 20  # different ones on a message
MAX_PINS = 100  # in a conversation


def check_right(connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any]) -> None:
    """Raises NotMember, UnknownMessage, NotYours, NotAdmin."""
    right, is_author = RIGHTS[type(wanted.change)], _is_author(wanted, row)
    was_checked = wanted.relayed or (wanted.erases and is_author)
    admin: bool | None = None
    if _is_moderated(connection, wanted) or _is_realms(wanted):
        return
    if not was_checked:
        # First, because nothing is told of a message that they do not see.
        admin = role_in(connection, wanted.conversation, wanted.author, wanted.seq)
        if admin is None:
            raise errors.NotMember(group=row.group or "this conversation")
    if right is Right.AUTHOR and not is_author:
        raise errors.NotYours(seq=wanted.seq, who=right.value)
    if was_checked or wanted.elsewhere:
        return  # the group's home has decided, or it will
    may_moderate = row.group is not None and (admin or wanted.moderator)
    if right is Right.AUTHOR_OR_ADMIN and not (is_author or may_moderate):
        raise errors.NotYours(seq=wanted.seq, who=right.value)
    if right is Right.ADMIN and row.group is not None and not admin:
        raise errors.NotAdmin(group=row.group)


def check_group(connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any]) -> None:
    """Raises GroupShut if the operators have closed the group. Deletions are still made, and so is what the
    home of the group has decided, or will decide, or had taken before it lost it."""
    if isinstance(wanted.change, Deletion) or wanted.elsewhere or wanted.relayed or wanted.late:
        return
    if row.group is None:
        return
    shutting = shutting_of(connection, wanted.conversation)
    if shutting is not None:
        raise errors.GroupShut(group=row.group, reason=shutting.reason)


def _is_author(wanted: WantedChange, row: sa.Row[Any]) -> bool:
    author = wanted.author
    if author.id is not None:
        return bool(row.sender_id == author.id)
    return row.sender_id is None and key_of(row.sender) == author.key


def _is_realms(wanted: WantedChange) -> bool:
    """Whether the realm itself deletes a message."""
    return wanted.by_realm and isinstance(wanted.change, Deletion)


def _is_moderated(connection: sa.Connection, wanted: WantedChange) -> bool:
    """Whether a moderator deletes a message that is reported. They need not take part."""
    if not (wanted.moderator and isinstance(wanted.change, Deletion)):
        return False
    return reported_place(connection, wanted.conversation, wanted.seq) is not None


def check_content(
    connection: sa.Connection, wanted: WantedChange, row: sa.Row[Any]
) -> WantedChange:
    """Check that the message can be changed so. Returns the change, with an emoji in the spelling that the
    message has already. Raises RequestPending, MessageDeleted, NotEditable, TooManyReactions, TooManyPins."""
    change = wanted.change
    if isinstance(change, Deletion):
        return wanted
    check_accepted(connection, wanted, row)
    if row.deleted_at is not None and not waits_for_content(connection, wanted, row):
        if wanted.relayed:
            return wanted
        raise errors.MessageDeleted(seq=wanted.seq)
    if isinstance(change, Edit):
        if row.text is None:
            raise errors.NotEditable(seq=wanted.seq, has="has no text")
        if row.forwarded is not None:
            raise errors.NotEditable(seq=wanted.seq, has="has the words of somebody else")
    if isinstance(change, React):
        return msgspec.structs.replace(wanted, change=_spelt(connection, wanted, change))
    if isinstance(change, Pin) and change.on and not wanted.relayed:
        number = connection.scalar(
            sa.select(sa.func.count()).where(pins.c.conversation_id == wanted.conversation)
        )
        if (number or 0) >= MAX_PINS:
            raise errors.TooManyPins(limit=MAX_PINS)
    return wanted


def _spelt(connection: sa.Connection, wanted: WantedChange, change: React) -> React:
    known = connection.scalars(
        sa.select(reaction_counts.c.emoji).where(
            reaction_counts.c.conversation_id == wanted.conversation,
            reaction_counts.c.seq == wanted.seq,
        )
    ).all()
    for emoji in known:
        if same_emoji(emoji) == same_emoji(change.emoji):
            return React(emoji, change.on)
    if change.on and len(known) >= MAX_EMOJIS:
        raise errors.TooManyReactions(seq=wanted.seq, limit=MAX_EMOJIS)
    return change
