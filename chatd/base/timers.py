"""Timers that may have fired already, waiting with a time limit, and waiting for room. It has no clock of its
own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def cancel(timer: Any) -> None:
    """Cancel a delayed call, if there is one and it is still to come."""
    if timer is not None and timer.active():
        timer.cancel()


async def patiently(
    clock: Any, waiting: Deferred[T], seconds: float, give_up: Callable[[], Any]
) -> T:
    """What `waiting` fires with; if that takes longer, `give_up` is called, and has to see to it."""
    impatient = clock.callLater(seconds, give_up)
    try:
        return await waiting
    finally:
        cancel(impatient)


class Room:
    """Lets one caller wait for room."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: Deferred[None] | None = None

    def wait(self) -> Deferred[None]:
        """Fires when there is room. For one caller at a time."""
        self._waiting = Deferred()
        return self._waiting

    def make(self) -> None:
        """Tell the caller that there is room, if one waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
