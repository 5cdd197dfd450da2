"""The commands for mutes of people in groups."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import MODERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row
from chatd.commands.table.admin.common import EXPIRES, LIMIT

PERSON = Arg("user", types.ADDRESS)
GROUP = Arg("group", types.GROUP, optional=True, named=True)
WHERE = errors.NotModerator, errors.NotOperator, errors.UnknownUser, errors.UnknownGroup

ROWS: tuple[Row, ...] = (
    Row(
        "admin.mute.add",
        ask.AddMute,
        "let somebody not write to the groups here, or to one of them",
        (PERSON, GROUP, EXPIRES, Arg("reason", types.REASON, optional=True, named=True)),
        role=MODERATOR,
        audited=Audited.AT_ONCE,
        errors=(*WHERE, errors.TooManyMutes),
    ),
    Row(
        "admin.mute.list",
        ask.ListMutes,
        "list who is muted, the newest first",
        (LIMIT,),
        role=MODERATOR,
        errors=(errors.NotModerator,),
    ),
    Row(
        "admin.mute.remove",
        ask.RemoveMute,
        "let somebody write to groups again",
        (PERSON, GROUP),
        role=MODERATOR,
        audited=Audited.AT_ONCE,
        errors=(*WHERE, errors.NotMuted),
    ),
)
