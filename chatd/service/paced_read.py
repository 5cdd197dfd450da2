"""Reads what other nodes may have changed, and not too often while they are not heard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime

from chatd.base.background import in_background
from chatd.base.errors import StorageFailed
from chatd.base.timers import Timer
from chatd.service.node_news import NodeNews

BETWEEN = 0.5  # seconds between two reads of all of something
REST = 4.0  # a read of all of something is followed by a pause of so many times its duration


class PacedRead:
    """Reads something of the database again when it is woken, at most once each BETWEEN seconds, and for a
    fifth of the time: nodes that do not hear each other must not keep the database busy. `what` is a sentence
    for the log that says what was not done."""

    def __init__(
        self,
        news: NodeNews,
        clock: IReactorTime,
        what: str,
        read: Callable[[], Awaitable[object]],
    ) -> None:
        self._news = news
        self._clock = clock
        self._what = what
        self._read = read
        self._timer = Timer(clock, self._begin)
        self._free_at = 0.0
        self._is_reading = False
        self._again = False
        news.on_end(self._timer.cancel)

    def wake(self) -> None:
        """Read now, or as soon as may be."""
        if self._is_reading:
            self._again = True
            return
        if self._news.stopped:
            return
        wait = self._free_at - self._clock.seconds()
        if wait > 0:
            self._timer.start(wait)
        else:
            self._timer.cancel()
            self._begin()

    def _begin(self) -> None:
        if self._news.stopped:
            return
        self._is_reading, self._again = True, False
        in_background(self._what, self._run())

    async def _run(self) -> None:
        began = self._clock.seconds()
        try:
            await self._read()
        except StorageFailed:
            self._again = True
            raise
        finally:
            now = self._clock.seconds()
            self._free_at = now + max(BETWEEN, REST * (now - began))
            self._is_reading = False
            if self._again:
                self.wake()
