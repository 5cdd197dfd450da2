"""Lines that can't be carried out."""

from __future__ import annotations

from chatd.client.texts import tr
from chatd.errors import UnknownCommand
from chatd.names import printable
from chatd.words import nearest


class NotUnderstood(Exception):
    """A line that can't be carried out, and why, in a sentence."""

    code = "usage"


class NoSuchCommand(NotUnderstood):
    """A slash in a chat, and no command behind it."""

    code = UnknownCommand.code


def no_command(word: str) -> str:
    """What to do about a word behind a slash that is no command."""
    verb = printable(word) if word else ""
    if near := nearest(word.lower()):
        return tr("There is no command /{verb}; did you mean /{near}? To send it as a message, begin with //",
                  verb=verb, near=near)  # fmt: skip
    return tr("There is no command /{verb}; to send it as a message, begin with //", verb=verb)
