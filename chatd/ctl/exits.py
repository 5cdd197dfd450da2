"""The exit codes of chatctl, and the exceptions that lead to them."""

from __future__ import annotations

from typing import ClassVar

DONE = 0


class CtlError(Exception):
    """The command was not executed. `str()` is the sentence for the user."""

    status: ClassVar[int] = 1


class RefusedByRealm(CtlError):
    """The realm has refused the command."""


class WrongUsage(CtlError):
    """The command line can't be understood."""

    status = 2


class NotReached(CtlError):
    """The realm is not running, or can't be reached."""

    status = 3


EXITS: dict[int, str] = {
    DONE: "the command was executed",
    RefusedByRealm.status: "the realm has refused it, or a check has found what is wrong",
    WrongUsage.status: "the command line or the configuration is wrong",
    NotReached.status: "the realm is not running, or can't be reached",
}
