"""Senders who wait to hear what became of their parcels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from twisted.logger import Logger

from chatd.base.isolation import guarded
from chatd.base.timers import cancel
from chatd.service.remote import QUEUED, DeliveryOutcome, OnOutcome

PATIENCE = 5.0  # seconds that a sender waits for the verdict
UNTOLD = "whoever waited for a parcel was not told what became of it"

log = Logger()


class VerdictWaiters:
    """By the number of the parcel. Each is called once: with the outcome, or with QUEUED if there is none
    after PATIENCE seconds."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._waiters: dict[int, OnOutcome] = {}
        self._deadlines: deque[tuple[float, int]] = deque()
        self._timer: Any = None

    def __contains__(self, number: int) -> bool:
        return number in self._waiters

    def add(self, number: int, waiter: OnOutcome) -> None:
        self._waiters[number] = waiter
        self._deadlines.append((self._clock.seconds() + PATIENCE, number))
        if self._timer is None:
            self._timer = self._clock.callLater(PATIENCE, self._run_out)

    def tell(self, numbers: Iterable[int], outcome: DeliveryOutcome) -> None:
        """Tell those who wait for these parcels, if any do."""
        waiters = self._waiters
        for number in numbers:
            waiter = waiters.pop(number, None)
            if waiter is not None:
                try:
                    waiter(outcome)
                except Exception:
                    log.failure(UNTOLD)

    def tell_all_unknown(self) -> None:
        """Tell all who wait that no verdict will come soon."""
        self._deadlines.clear()
        cancel(self._timer)
        self._timer = None
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters.values():
            guarded(UNTOLD, waiter, QUEUED)

    def _run_out(self) -> None:
        """Tell those whose time is over."""
        self._timer = None
        now = self._clock.seconds()
        while self._deadlines:
            deadline, number = self._deadlines[0]
            if number in self._waiters:
                if deadline > now:
                    self._timer = self._clock.callLater(deadline - now, self._run_out)
                    return
                guarded(UNTOLD, self._waiters.pop(number), QUEUED)
            self._deadlines.popleft()
