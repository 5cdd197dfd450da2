"""Who is writing in which conversation, for the status bar."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

TYPING_TIME = 6.0  # seconds for which an announcement holds


class Typists:
    """Puts the person who is writing into `shown` (conversation -> name), and removes them in time."""

    def __init__(self, shown: dict[int, str], changed: Callable[[], None]) -> None:
        self._shown = shown
        self._changed = changed
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def began(self, conversation: object, who: str) -> None:
        if not isinstance(conversation, int):
            return
        self._stop(conversation)
        self._shown[conversation] = who
        loop = asyncio.get_running_loop()
        self._timers[conversation] = loop.call_later(TYPING_TIME, self._end, conversation)
        self._changed()

    def ended(self, conversation: object, who: str) -> None:
        """`who` has sent a message, and is no longer writing."""
        if isinstance(conversation, int) and self._shown.get(conversation) == who:
            self._end(conversation)

    def _end(self, conversation: int) -> None:
        self._stop(conversation)
        self._changed()

    def _stop(self, conversation: int) -> None:
        self._shown.pop(conversation, None)
        if (timer := self._timers.pop(conversation, None)) is not None:
            timer.cancel()
