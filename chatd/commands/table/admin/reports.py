"""The commands for the queue of reported messages, as `reports` and `closereport` in a session."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import MODERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row

ROWS: tuple[Row, ...] = (
    Row(
        "admin.report.list",
        ask.ListOpenReports,
        "list the messages that people have reported",
        role=MODERATOR,
        errors=(errors.NotModerator,),
    ),
    Row(
        "admin.report.close",
        ask.CloseOpenReport,
        "close a report",
        (Arg("report", types.SIZE),),
        role=MODERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotModerator, errors.UnknownReport),
    ),
)
