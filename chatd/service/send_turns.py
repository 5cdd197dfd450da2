"""Keeps the order of messages whose targets, replies or mentions have to be looked up."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager

from twisted.internet.defer import DeferredLock

from chatd.base.counters import counted
from chatd.base.model import Account


class SendTurns:
    """The look-ups of senders that are under way. `active` counts them by account."""

    def __init__(self) -> None:
        self.active: Counter[int] = Counter()
        # account id -> the turn of the messages that are looked up in several steps
        self._turns: dict[int, DeferredLock] = {}

    def looking_up(self, sender: Account) -> AbstractContextManager[None]:
        """A context in which something is looked up for a message of `sender`, so that later ones are looked
        up too."""
        return counted(self.active, sender.id)

    async def wait(self, sender: Account) -> None:
        """Wait for the earlier messages that are looked up in several steps."""
        turn = self._turns.get(sender.id)
        if turn is not None:
            await turn.run(lambda: None)
            self._forget(sender, turn)

    @asynccontextmanager
    async def turn(self, sender: Account) -> AsyncIterator[None]:
        """A context in which a message is looked up in several steps, while later ones wait."""
        with self.looking_up(sender):
            turn = self._turns.setdefault(sender.id, DeferredLock())
            await turn.acquire()
            try:
                yield
            finally:
                turn.release()
                self._forget(sender, turn)

    def _forget(self, sender: Account, turn: DeferredLock) -> None:
        """Forget a turn that nothing waits for."""
        if not turn.locked and self._turns.get(sender.id) is turn:
            del self._turns[sender.id]
