"""The command table. Each row defines a command: its verb, help, arguments, preconditions and errors.

The parsers of the dialects, the checks before a command, the help texts and docs/protocol.md all use these
rows. There is a module per subject.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from chatd.base import errors
from chatd.base.errors import ChatError
from chatd.base.replies import ArgumentInfo, CommandInfo
from chatd.commands import values as ask
from chatd.commands.rows import Row
from chatd.commands.table import (
    accounts,
    admin,
    changes,
    files,
    general,
    groups,
    messages,
    realms,
    rooms,
)

# The order in which help lists the commands.
TABLE: tuple[Row, ...] = (
    *accounts.ROWS,
    *messages.ROWS,
    *changes.ROWS,
    *groups.ROWS,
    *files.ROWS,
    *rooms.ROWS,
    *realms.ROWS,
    *general.ROWS,
    *admin.ROWS,
)

# The errors that any command can raise.
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
    """The description of a command, for help."""
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
        role=msgspec.UNSET if row.role is None else row.role,
    )


# What help says of the verbs that begin with a word
GROUPS: Mapping[str, str] = {
    "admin": "run the realm, with the role of an operator or a moderator; help admin lists the commands",
}


def groups_of(rows: Iterable[Row]) -> list[str]:
    """The words that begin the verbs of several words among `rows`."""
    return list(dict.fromkeys(row.verb.partition(".")[0] for row in rows if "." in row.verb))


def describe_group(word: str) -> CommandInfo:
    """The description of all verbs that begin with `word`, for help."""
    return CommandInfo(word, (), f"{word} …", GROUPS[word], True, (), ())
