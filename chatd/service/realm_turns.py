"""Questions about profiles and pictures take turns, so that other questions to the same realm have room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import DeferredSemaphore

from chatd.base.errors import Busy

MAX_ASKED = 4  # questions to one realm under way
MAX_WAITING = 100  # questions to one realm that wait for those

T = TypeVar("T")


class RealmTurns:
    """The turns of each realm."""

    def __init__(self) -> None:
        self._turns: dict[str, DeferredSemaphore] = {}  # by the key of the realm

    def __len__(self) -> int:
        """How many realms are asked."""
        return len(self._turns)

    async def take(self, realm: str, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` returns, once it is its turn. Raises Busy, and what `ask` raises."""
        turns = self._turns.setdefault(realm, DeferredSemaphore(MAX_ASKED))
        if len(turns.waiting) >= MAX_WAITING:
            raise Busy
        await turns.acquire()
        try:
            return await ask()
        finally:
            turns.release()
            if turns.tokens == MAX_ASKED:
                self._turns.pop(realm, None)
