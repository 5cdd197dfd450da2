"""A query whose answer is shared by everybody who waits for it.

Anybody may send the HTTP requests that need it. While the database is slow, such requests must not queue up
there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

T = TypeVar("T")


class SharedQuery(Generic[T]):
    """Runs `query` when somebody asks, unless it is running already."""

    def __init__(self, clock: IReactorTime, query: Callable[[], Deferred[T]]) -> None:
        self._clock = clock
        self._query = query
        self._asking = False
        self._waiting: list[Deferred[T]] = []

    async def ask(self, seconds: float) -> T:
        """The result of the query. Raises the query's exception, and `defer.TimeoutError` after that many
        seconds."""
        mine: Deferred[T] = Deferred(self._waiting.remove)
        self._waiting.append(mine)
        if not self._asking:
            self._asking = True
            self._query().addBoth(self._answered)
        return await mine.addTimeout(seconds, self._clock)

    def _answered(self, result: Any) -> None:
        self._asking = False
        # A callback may cancel another caller.
        while self._waiting:
            self._waiting.pop(0).callback(result)
