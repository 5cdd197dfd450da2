"""The senders whose replies wait for the outcome of their parcels, with a time limit."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.service.remote import QUEUED, DeliveryOutcome, OnOutcome

PATIENCE = 5.0  # seconds that a sender waits for the outcome
UNTOLD = "a sender was not told the outcome of a parcel"

log = Logger()


class OutcomeWaiters:
    """Callbacks by the number of the parcel. Each is called once: with the outcome, or with QUEUED if there
    is none after `PATIENCE` seconds. An outcome may be held until the other realm has the file."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiters: dict[int, OnOutcome] = {}
        self._deadlines: deque[tuple[float, int]] = deque()  # one timer for all
        self._timer = Timer(clock, self._run_out)
        # Outcomes of parcels whose files are on their way; and parcels whose files came before their outcomes
        self._held: dict[int, DeliveryOutcome] = {}
        self._taken: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number in self._waiters

    def add(self, number: int, waiter: OnOutcome, patience: float = PATIENCE) -> None:
        """Let `waiter` wait for the outcome for `patience` seconds. One that was added after another with
        more patience may wait as long."""
        self._waiters[number] = waiter
        deadlines = self._deadlines
        if not deadlines:
            self._timer.start(patience)
        deadlines.append((self._clock.seconds() + patience, number))

    def claim(self, number: int) -> OnOutcome | None:
        """Take out the waiter of a parcel, if there is one. The caller calls it, and nobody else does."""
        self._held.pop(number, None)
        self._taken.discard(number)
        return self._waiters.pop(number, None)

    def settle(self, numbers: Iterable[int], outcome: DeliveryOutcome) -> None:
        """Report the outcome of these parcels to their waiters."""
        waiters = self._waiters
        for number in numbers:
            waiter = waiters.pop(number, None)
            if waiter is not None:
                try:
                    waiter(outcome)
                except Exception:
                    log.failure(UNTOLD)

    def hold(self, numbers: Iterable[int], outcome: DeliveryOutcome) -> None:
        """Report the outcome of these parcels once the other realm has their files, or in `PATIENCE`
        seconds."""
        for number in numbers:
            if number in self._taken:
                self.settle((number,), outcome)
            elif number in self._waiters:
                self._held[number] = outcome

    def file_taken(self, number: int) -> None:
        """The other realm has the file of this parcel."""
        if number in self._held:
            self.settle((number,), self._held[number])
        elif number in self._waiters:
            self._taken.add(number)

    def give_up(self) -> None:
        """Report to all waiters that their parcels are queued, unless their outcomes are known."""
        self._deadlines.clear()
        self._timer.cancel()
        waiters, self._waiters = self._waiters, {}
        held, self._held = self._held, {}
        self._taken.clear()
        for number, waiter in waiters.items():
            guarded(UNTOLD, waiter, held.get(number, QUEUED))

    def _run_out(self) -> None:
        """Report to the waiters whose time is up that their parcels are queued, unless their outcomes are
        known."""
        now = self._clock.seconds()
        while self._deadlines:
            deadline, number = self._deadlines[0]
            waits = number in self._waiters
            if waits and deadline > now:
                self._timer.start(deadline - now)
                return
            self._deadlines.popleft()
            held = self._held.pop(number, QUEUED) if self._held else QUEUED
            if self._taken:
                self._taken.discard(number)
            if waits:
                guarded(UNTOLD, self._waiters.pop(number), held)
