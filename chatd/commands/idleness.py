"""Finds accounts that have sent nothing for a while: they appear as away."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from chatd.base.timers import Timer
from chatd.commands.sessions import Sessions

IDLE_AFTER = 600.0  # seconds
INTERVAL = 5.0  # seconds between two rounds
MAX_CHECKED = 500  # accounts in a round; the next round continues with the others


class Idleness:
    """Checks the accounts whose sessions are in use, in turns."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._clock = sessions.service.clock
        self._presence = sessions.service.presence
        self._timer = Timer(self._clock, self._round)
        self._left: Iterator[int] = iter(())  # accounts of this turn

    def start(self) -> None:
        self._timer.start(INTERVAL)

    def stop(self) -> None:
        self._timer.cancel()

    def _round(self) -> None:
        self._timer.start(INTERVAL)
        checked = list(islice(self._left, MAX_CHECKED))
        if not checked:
            self._left = iter(list(self._presence.connected()))
            checked = list(islice(self._left, MAX_CHECKED))
        limit = self._clock.seconds() - IDLE_AFTER
        for account_id in checked:
            self._presence.set_idle(account_id, self._sessions.last_heard(account_id) < limit)
