"""Tells connections that show the list of rooms when it has changed."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from chatd.base.events import RoomsChanged
from chatd.base.isolation import drop_failed
from chatd.base.timers import Timer
from chatd.service.presence import IListener

GATHER: Final = 1.0  # seconds whose changes are told together


class RoomWatch:
    """The connections that watch the list of rooms. Each is there once, until it stops or is gone."""

    def __init__(self, clock: IReactorTime) -> None:
        self._watching: dict[IListener, None] = {}
        self._timer = Timer(clock, self._tell)

    def watch(self, listener: IListener, on: bool) -> None:
        """Begin or stop to tell a connection."""
        if on:
            self._watching[listener] = None
        else:
            self._watching.pop(listener, None)

    def changed(self) -> None:
        """Somebody has entered or left a room."""
        if self._watching:
            self._timer.start(GATHER)

    def stop(self) -> None:
        self._timer.cancel()

    def _tell(self) -> None:
        events = (RoomsChanged(),)
        for listener in list(self._watching):
            try:
                listener.deliver(events)
            except Exception:
                drop_failed(listener)
