"""Lines that can't be carried out."""

from __future__ import annotations

from chatd.base.errors import UnknownCommand
from chatd.base.names import printable
from chatd.client.translations import tr
from chatd.commands.words import nearest


class NotUnderstood(Exception):
    """A line that can't be carried out, and why, in a sentence."""

    code = "usage"


class NoSuchCommand(NotUnderstood):
    """A line in a chat that begins with a slash and is not a command."""

    code = UnknownCommand.code


def no_command(word: str) -> str:
    """The sentence for a slash word that is not a command."""
    verb = printable(word) if word else ""
    if near := nearest(word.lower()):
        return tr("There is no command /{verb}; did you mean /{near}? To send it as a message, begin with //",
                  verb=verb, near=near)  # fmt: skip
    return tr("There is no command /{verb}; to send it as a message, begin with //", verb=verb)
