"""Commands that only chatctl has, because they read files of the machine on which it runs. They send other
commands to the running realm."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from chatd.ctl.exits import WrongUsage
from chatd.ctl.importing import Ask, Import
from chatd.ctl.old_systems import SYSTEMS
from chatd.ctl.people import read_people
from chatd.ctl.secret_files import InvitationFile, PasswordFile


class LocalArg(msgspec.Struct, frozen=True):
    """An argument. One with dashes before its name is optional, and follows its name; without a shape, its
    name is all."""

    name: str
    shape: str
    about: str

    @property
    def is_option(self) -> bool:
        return self.name.startswith("-")


class LocalCommand(msgspec.Struct, frozen=True):
    """A command. `run` returns its reply, and raises CtlError."""

    words: str
    help: str
    args: tuple[LocalArg, ...]
    run: Callable[[argparse.Namespace, Ask], dict[str, Any]]


PASSWORDS = LocalArg(
    "--passwords",
    "FILE",
    "where the passwords are saved that accounts without one get; else beside the imported file",
)


def _passwords(options: argparse.Namespace, path: Path) -> PasswordFile:
    given = options.passwords
    beside = path.with_name(f"{path.name}.passwords.csv")
    return PasswordFile(beside if given is None else Path(given))


def import_people(options: argparse.Namespace, ask: Ask) -> dict[str, Any]:
    """Create the accounts of a CSV file."""
    path = Path(options.file)
    beside = path.with_name(f"{path.name}.invitations.csv")
    invitations = InvitationFile(beside) if options.invite else None
    work = Import(ask, _passwords(options, path), invitations)
    work.add_people(read_people(path))
    return work.report()


def import_old(options: argparse.Namespace, ask: Ask) -> dict[str, Any]:
    """Create the accounts and groups that an older system has kept. Raises WrongUsage."""
    read = SYSTEMS.get(options.system)
    if read is None:
        raise WrongUsage(f"there is no system {options.system}; expected {', '.join(SYSTEMS)}")
    path = Path(options.path)
    data = read(path)
    work = Import(ask, _passwords(options, path))
    work.add_people(data.people, replace_weak=True)
    work.add_groups(data.groups)
    return work.report()


LOCAL: tuple[LocalCommand, ...] = (
    LocalCommand(
        "user import",
        "create the accounts of a CSV file; those that exist are left as they are",
        (
            LocalArg(
                "file",
                "FILE",
                "a CSV file with a head: name, and if wanted display_name, password and country",
            ),
            PASSWORDS,
            LocalArg(
                "--invite",
                "",
                "invite those without a password instead, each to create one account; the invitations are "
                "saved beside the imported file",
            ),
        ),
        import_people,
    ),
    LocalCommand(
        "import",
        "create the accounts and groups of an older system; those that exist are left as they are",
        (
            LocalArg("system", "SYSTEM", "the dialect of the system: tugas4 or pychat"),
            LocalArg("path", "PATH", "its progjar.db, or the folder with what mongoexport wrote"),
            PASSWORDS,
        ),
        import_old,
    ),
)
