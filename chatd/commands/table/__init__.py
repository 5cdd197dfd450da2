"""The table of commands. One row defines a command: its verb, help, arguments, preconditions and errors.

The readers of the dialects, the checks of a session, the help texts, the `json` dialect's description of
itself and docs/protocol.md are all made from these rows. There is a module for each subject.
"""

from __future__ import annotations

from collections.abc import Mapping

from chatd.base import errors
from chatd.base.errors import ChatError
from chatd.base.model import ArgumentInfo, CommandInfo
from chatd.commands import values as ask
from chatd.commands.rows import Row
from chatd.commands.table import accounts, files, general, groups, messages, realms, rooms

# In the order in which help lists them.
TABLE: tuple[Row, ...] = (
    *accounts.ROWS,
    *messages.ROWS,
    *groups.ROWS,
    *files.ROWS,
    *rooms.ROWS,
    *realms.ROWS,
    *general.ROWS,
)

# What any request may be refused for, whatever the command.
COMMON_ERRORS: tuple[type[ChatError], ...] = (
    errors.BadEncoding,
    errors.BadSyntax,
    errors.LineTooLong,
    errors.UnknownCommand,
    errors.Usage,
    errors.BadArgument,
    errors.BadName,
    errors.BadText,
    errors.EmptyText,
    errors.TokenInText,
    errors.NotLoggedIn,
    errors.StorageFailed,
    errors.InternalError,
)

BY_VERB: Mapping[str, Row] = {verb: row for row in TABLE for verb in (row.verb, *row.aliases)}
BY_COMMAND: Mapping[type[ask.Command], Row] = {row.command: row for row in TABLE}


def describe(row: Row) -> CommandInfo:
    """The row as help shows it."""
    return CommandInfo(
        command=row.verb,
        aliases=row.aliases,
        usage=row.usage,
        about=row.help,
        login=row.login,
        arguments=tuple(
            ArgumentInfo(arg.name, arg.type.json, arg.type.about, arg.optional, arg.keys)
            for arg in row.args
        ),
        errors=tuple(error.code for error in row.errors),
    )
