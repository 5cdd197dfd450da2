"""The commands with which operators make groups in the name of accounts, and add members."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import OPERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row
from chatd.commands.table.admin.common import ACCOUNT

GROUP = Arg("group", types.NAME)

ROWS: tuple[Row, ...] = (
    Row(
        "admin.group.add",
        ask.MakeGroup,
        "make a public group in the name of an account, which is its admin",
        (GROUP, ACCOUNT, Arg("title", types.DISPLAY_NAME, optional=True, named=True)),
        role=OPERATOR,
        audited=Audited.IN_STEPS,
        errors=(
            errors.NotOperator,
            errors.UnknownUser,
            errors.GroupExists,
            errors.ReservedName,
            errors.TooManyGroups,
            errors.TooManyNewGroups,
        ),
    ),
    Row(
        "admin.group.join",
        ask.AddMember,
        "make an account a member of a public group of this realm",
        (GROUP, ACCOUNT),
        role=OPERATOR,
        audited=Audited.IN_STEPS,
        errors=(
            errors.NotOperator,
            errors.UnknownUser,
            errors.UnknownGroup,
            errors.AlreadyMember,
            errors.Banned,
            errors.GroupFull,
            errors.TooManyGroups,
        ),
    ),
)
