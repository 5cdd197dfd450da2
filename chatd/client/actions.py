"""The actions that a typed line can ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from chatd.client.state import Menu, Place
from chatd.commands.rows import Row
from chatd.commands.values import Command


class Request(msgspec.Struct, frozen=True):
    """A command of the table. `verb` is the word that the user typed."""

    row: Row
    command: Command
    verb: str


class SayInChat(msgspec.Struct, frozen=True):
    """A line typed in a chat. The kind of the place may still be a guess."""

    place: Place
    text: str


class SendFiles(msgspec.Struct, frozen=True):
    """Send local files. `to` holds the arguments besides the file name and size."""

    row: Row
    to: Mapping[str, Any]
    files: tuple[Path, ...]
    place: Place | None = None


class GetFiles(msgspec.Struct, frozen=True):
    """Download files with the command `verb`. `words` are names or codes; `whole` is the same text as one
    name with spaces. `grouped`: the first of several words is a group."""

    words: tuple[str, ...]
    whole: str
    grouped: bool = False
    verb: str = "getfile"

    @property
    def lists(self) -> str | None:
        """The command that lists the files; None if there is none."""
        return {"getfile": "files", "roomgetfile": "roomfiles"}.get(self.verb)


class OpenChat(msgspec.Struct, frozen=True):
    place: Place


class EnterMenu(msgspec.Struct, frozen=True):
    """Open a menu and show its commands."""

    menu: Menu


class ListNumberedGroups(msgspec.Struct, frozen=True):
    """`get` in the group menu: the user's groups, with numbers."""


class QuitClient(msgspec.Struct, frozen=True):
    pass


class GoBack(msgspec.Struct, frozen=True):
    pass


class ShowHelp(msgspec.Struct, frozen=True):
    verb: str = ""


# They need the realm and wait in the CommandQueue.
QueuedAction = Request | SayInChat | SendFiles | GetFiles | OpenChat | ListNumberedGroups
LocalAction = EnterMenu | GoBack | ShowHelp
Action = QueuedAction | LocalAction | QuitClient
