"""The commands with which operators and moderators read and delete messages of other people."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import MODERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row
from chatd.commands.table.admin.common import REASON
from chatd.commands.table.common import SEQ

WHERE = Arg("where", types.GROUP_OR_ID)
_ERRORS = (
    errors.NotModerator,
    errors.NotOperator,
    errors.UnknownGroup,
    errors.UnknownConversation,
    errors.UnknownMessage,
    errors.ImportedMessage,
)

ROWS: tuple[Row, ...] = (
    Row(
        "admin.message.show",
        ask.ShowAnyMessage,
        "show a message of other people; moderators read reported ones",
        (WHERE, SEQ),
        role=MODERATOR,
        audited=Audited.AT_ONCE,
        errors=_ERRORS,
    ),
    Row(
        "admin.message.delete",
        ask.DeleteAnyMessage,
        "delete a message, and close the reports of it; moderators delete reported ones, and those in their "
        "groups",
        (WHERE, SEQ, REASON),
        role=MODERATOR,
        audited=Audited.AT_ONCE,
        errors=_ERRORS,
    ),
)
