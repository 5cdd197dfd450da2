"""Isolation in loops: an exception from one connection affects that connection only."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol

from twisted.logger import Logger

P = ParamSpec("P")

log = Logger()


class Droppable(Protocol):
    def drop(self) -> None:
        """End the connection at once."""


def guarded(what: str, call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
    """Call `call`. Returns whether it succeeded. An exception is logged with its traceback and with `what`, a
    sentence that says what was not done."""
    try:
        call(*args, **kwargs)
    except Exception:
        log.failure("{what}", what=what)
        return False
    return True


def drop_failed(connection: Droppable) -> None:
    """Within `except`: log the exception that the code of `connection` raised, and end the connection.

    Hot loops call this from their own `try`, which costs nothing while nothing is raised, instead of calling
    `guarded`.
    """
    log.failure("a connection is dropped, since its code failed")
    guarded("a connection could not be dropped", connection.drop)
