"""The connection, and help."""

from __future__ import annotations

from typing import Literal

from chatd.commands.values.base import Command

__all__ = [
    "CheckAlive",
    "Quit",
    "SetListening",
    "SetVerbose",
    "ShowHelp",
]


class SetVerbose(Command, frozen=True):
    """Show the numbers of messages, or do not."""

    on: bool


class SetListening(Command, frozen=True):
    """`on` may be `all`, which means on and `all`: every kind of event instead of messages only."""

    on: bool | Literal["all"]
    all: bool = False

    @property
    def everything(self) -> bool:
        return self.on == "all" or (self.on and self.all)


class ShowHelp(Command, frozen=True):
    verb: str | None = None


class CheckAlive(Command, frozen=True):
    pass


class Quit(Command, frozen=True):
    pass
