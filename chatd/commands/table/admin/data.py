"""The commands for what the realm stores."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import OPERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row
from chatd.commands.table.admin.common import LIMIT

OF_GROUP = Arg("group", types.GROUP, optional=True, named=True)

ROWS: tuple[Row, ...] = (
    Row(
        "admin.du",
        ask.ShowUsage,
        "list the accounts, groups or realms that use most, with their messages and files",
        (Arg("by", types.USAGE_BY, optional=True), LIMIT),
        role=OPERATOR,
        errors=(errors.NotOperator, errors.Busy),
    ),
    Row(
        "admin.retention.show",
        ask.ShowRetention,
        "show how long messages and files are kept, in the realm and in groups",
        role=OPERATOR,
        errors=(errors.NotOperator,),
    ),
    Row(
        "admin.retention.set",
        ask.SetRetention,
        "remove messages and files that are older, or more, than this; what is younger than a day stays",
        (
            OF_GROUP,
            Arg("age", types.AGE, optional=True, named=True),
            Arg("size", types.BYTES, optional=True, named=True),
            Arg("file_age", types.AGE, optional=True, named=True),
            Arg("file_size", types.BYTES, optional=True, named=True),
        ),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotOperator, errors.UnknownGroup),
    ),
    Row(
        "admin.retention.clear",
        ask.ClearRetention,
        "remove the limits of a group, or those of the realm",
        (OF_GROUP,),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotOperator, errors.UnknownGroup),
    ),
)
