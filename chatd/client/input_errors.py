"""Errors in typed lines."""

from __future__ import annotations

from chatd.base.errors import UnknownCommand
from chatd.base.names import printable
from chatd.client.translations import tr
from chatd.commands.words import nearest


class NotUnderstood(Exception):
    """A line that can't be run. `str()` is a sentence for the user."""

    code = "usage"


class NoSuchCommand(NotUnderstood):
    """An unknown command after a slash in a chat."""

    code = UnknownCommand.code


def no_command(word: str) -> str:
    """The sentence for an unknown command after a slash."""
    verb = printable(word) if word else ""
    if near := nearest(word.lower()):
        return tr("There is no command /{verb}; did you mean /{near}? To send it as a message, begin with //",
                  verb=verb, near=near)  # fmt: skip
    return tr("There is no command /{verb}; to send it as a message, begin with //", verb=verb)
