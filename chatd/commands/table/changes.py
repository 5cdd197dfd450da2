"""The commands that change messages."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.entries import RIGHTS, Deletion, Edit, Pin, React
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table.common import CONVERSATION, CONVERSATION_ERRORS, SEQ, TEXT

_ERRORS = (
    *CONVERSATION_ERRORS,
    errors.UnknownMessage,
    errors.RealmDown,
    errors.NotSupportedThere,
)
_SWITCH = Arg("on", types.FLAG, optional=True)

ROWS: tuple[Row, ...] = (
    Row(
        "edit",
        ask.EditMessage,
        "change the text of a message of yours",
        (CONVERSATION, SEQ, TEXT),
        errors=(
            *_ERRORS,
            errors.NotYours,
            errors.NotEditable,
            errors.RequestPending,
            errors.MessageTooLong,
        ),
        right=RIGHTS[Edit],
    ),
    Row(
        "delete",
        ask.DeleteMessage,
        "delete the content of a message, also its file if no other message has it",
        (CONVERSATION, SEQ),
        errors=(*_ERRORS, errors.NotYours),
        right=RIGHTS[Deletion],
    ),
    Row(
        "react",
        ask.ReactToMessage,
        "add an emoji to a message, or take it back",
        (CONVERSATION, SEQ, Arg("emoji", types.EMOJI), _SWITCH),
        errors=(*_ERRORS, errors.RequestPending, errors.TooManyReactions),
        right=RIGHTS[React],
    ),
    Row(
        "pin",
        ask.PinMessage,
        "pin a message, or unpin it",
        (CONVERSATION, SEQ, _SWITCH),
        errors=(*_ERRORS, errors.RequestPending, errors.NotAdmin, errors.TooManyPins),
        right=RIGHTS[Pin],
    ),
    Row(
        "pins",
        ask.ListPins,
        "list the pinned messages of a conversation, the last pinned first",
        (CONVERSATION,),
        errors=CONVERSATION_ERRORS,
    ),
)
