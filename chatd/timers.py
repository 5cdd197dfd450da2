"""Timers that may have fired already, and waiting that has an end. No clock of its own."""

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
