"""Finds accounts that have sent nothing for a while: they appear as away."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import ceil

from chatd.base.timers import Timer
from chatd.commands.sessions import Sessions

IDLE_AFTER = 600.0  # seconds
INTERVAL = 1.0  # seconds between two rounds
ROUNDS = 5  # in which all accounts are checked


class Idleness:
    """Checks the accounts whose sessions are in use, in turns."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._clock = sessions.service.clock
        self._presence = sessions.service.presence
        self._timer = Timer(self._clock, self._round)
        self._left: Iterator[int] = iter(())  # accounts of this turn
        self._share = 0  # how many of them a round checks

    def start(self) -> None:
        self._timer.start(INTERVAL)

    def stop(self) -> None:
        self._timer.cancel()

    def _round(self) -> None:
        self._timer.start(INTERVAL)
        checked = list(islice(self._left, self._share))
        if not checked:
            connected = list(self._presence.connected())
            self._left, self._share = iter(connected), ceil(len(connected) / ROUNDS)
            checked = list(islice(self._left, self._share))
        limit = self._clock.seconds() - IDLE_AFTER
        for account_id in checked:
            self._presence.set_idle(account_id, self._sessions.last_heard(account_id) < limit)
