"""The state folder and the configuration, as operators look after them."""

from __future__ import annotations

from chatd.commands.values.base import Command

__all__ = [
    "CheckState",
    "MakeBackup",
    "ReloadConfig",
    "RestoreBackup",
    "VacuumDatabase",
]


class MakeBackup(Command, frozen=True):
    folder: str


class RestoreBackup(Command, frozen=True):
    folder: str


class CheckState(Command, frozen=True):
    """`quick`: do not read the content of files. `repair`: do what is safe."""

    quick: bool = False
    repair: bool = False


class VacuumDatabase(Command, frozen=True):
    pass


class ReloadConfig(Command, frozen=True):
    pass
