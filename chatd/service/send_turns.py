"""Keeps the order of messages whose targets, replies or mentions have to be looked up."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager

from twisted.internet.defer import Deferred

from chatd.base.counters import counted
from chatd.base.model import Account


class SendTurn:
    """A lock that is passed on in the order in which it was asked for.

    Those who wait go on one after another, not inside of each other as with a DeferredLock: hundreds of them
    would exceed Python's recursion limit, and what they do after a shared release would be in reverse order.
    """

    def __init__(self) -> None:
        self.locked = False
        self._waiting: deque[Deferred[None]] = deque()
        self._passing = False

    def acquire(self) -> Deferred[None]:
        """Fires when the caller has the lock. May be cancelled until then."""
        turn: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(turn)
        self._pass_on()
        return turn

    def release(self) -> None:
        self.locked = False
        self._pass_on()

    def _pass_on(self) -> None:
        if self._passing:
            return  # the loop below does it
        self._passing = True
        while self._waiting and not self.locked:
            self.locked = True
            self._waiting.popleft().callback(None)
        self._passing = False


class SendTurns:
    """The look-ups of senders that are under way. `active` counts them by account."""

    def __init__(self) -> None:
        self.active: Counter[int] = Counter()
        # account id -> the turn of the messages that are looked up in several steps
        self._turns: dict[int, SendTurn] = {}

    def looking_up(self, sender: Account) -> AbstractContextManager[None]:
        """A context in which something is looked up for a message of `sender`, so that later ones are looked
        up too."""
        return counted(self.active, sender.id)

    @asynccontextmanager
    async def in_order(self, sender: Account) -> AsyncIterator[None]:
        """As `looking_up`, after the earlier messages that are looked up in several steps."""
        if sender.id in self._turns:
            async with self.turn(sender):
                yield
        else:
            with self.looking_up(sender):
                yield

    @asynccontextmanager
    async def turn(self, sender: Account) -> AsyncIterator[None]:
        """A context in which a message is looked up in several steps, while later ones wait."""
        with self.looking_up(sender):
            turn = self._turns.setdefault(sender.id, SendTurn())
            await turn.acquire()
            try:
                yield
            finally:
                turn.release()
                # Forget a turn that nothing waits for.
                if not turn.locked and self._turns.get(sender.id) is turn:
                    del self._turns[sender.id]
