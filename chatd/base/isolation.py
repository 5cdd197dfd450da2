"""Isolation in loops: an exception in one connection's code affects that connection only."""

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
    """Call `call`. Returns whether it succeeded. An exception is logged with its traceback and `what`, which
    says what was not done."""
    try:
        call(*args, **kwargs)
    except Exception:
        log.failure("{what}", what=what)
        return False
    return True


def drop_failed(connection: Droppable) -> None:
    """Within `except`: log what was raised by the code of `connection`, and end that connection.

    Hot loops have a `try` of their own, which costs nothing while nothing is raised.
    """
    log.failure("a connection is dropped, since its code failed")
    guarded("a connection could not be dropped", connection.drop)
