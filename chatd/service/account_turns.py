"""The order in which first attempts from many addresses begin at an account whose password is guessed."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from chatd.base.fair_queue import FairQueue
from chatd.base.timers import cancel

PAUSE = 0.25  # seconds between two turns at an account
MAX_WAITING = 1000  # at one account; the others of the busiest address have no turn


class AccountTurns:
    """Attempts at an account take turns by address, so that its owner does not wait for the guesses of all
    others. The newest and the oldest alternate if there are many (chatd.base.fair_queue), because guessers
    may have any number of addresses. An account has a line only while somebody waits for it."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._lines: dict[str, FairQueue[Deferred[None]]] = {}

    async def wait(self, key: str, source: str, longest: float) -> None:
        """Return at the turn of an attempt at the account `key` from the address `source`, or after `longest`
        seconds."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = FairQueue(MAX_WAITING)
            self._clock.callLater(PAUSE, self._next, key, line)
        turn: Deferred[None] = Deferred()
        end = self._clock.callLater(longest, turn.callback, None)
        line.put((source,), turn)
        await turn
        cancel(end)

    def _next(self, key: str, line: FairQueue[Deferred[None]]) -> None:
        while line:
            turn = line.take()
            if not turn.called:
                turn.callback(None)
                break
        if line:
            self._clock.callLater(PAUSE, self._next, key, line)
        else:
            del self._lines[key]
