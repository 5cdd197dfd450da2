"""A question that several may ask at once, and that is put only once at a time.

What is asked for over HTTP by whoever likes, and answered by the database, must not pile up there when the
database is slow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

T = TypeVar("T")


class SharedQuery(Generic[T]):
    """`question` is put when somebody asks and it is not under way already."""

    def __init__(self, clock: IReactorTime, question: Callable[[], Deferred[T]]) -> None:
        self._clock = clock
        self._question = question
        self._asking = False
        self._waiting: list[Deferred[T]] = []

    async def ask(self, seconds: float) -> T:
        """The answer, or what it failed with. Raises `defer.TimeoutError` if that takes too long."""
        mine: Deferred[T] = Deferred(self._waiting.remove)
        self._waiting.append(mine)
        if not self._asking:
            self._asking = True
            self._question().addBoth(self._answered)
        return await mine.addTimeout(seconds, self._clock)

    def _answered(self, result: Any) -> None:
        self._asking = False
        # What one of them does when he is told may make another one go.
        while self._waiting:
            self._waiting.pop(0).callback(result)
