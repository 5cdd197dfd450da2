"""The command with which operators write to all accounts."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import OPERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row

ROWS: tuple[Row, ...] = (
    Row(
        "admin.announce",
        ask.Announce,
        "write as system to all accounts of this realm, or to those that are in a group",
        (Arg("text", types.TEXT), Arg("group", types.GROUP, optional=True, named=True)),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=(
            errors.NotOperator,
            errors.UnknownGroup,
            errors.MessageTooLong,
            errors.DiskFull,
            errors.Busy,
        ),
    ),
)
