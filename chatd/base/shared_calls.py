"""Calls whose callers share one result: for each key, at most one is under way."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class SharedCalls(Generic[T]):
    """A caller that asks while the call for its key is under way gets the same result."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Deferred[T]]] = {}
        self._calls: dict[str, Deferred[T]] = {}

    def __len__(self) -> int:
        """How many calls are under way."""
        return len(self._waiting)

    def __contains__(self, key: str) -> bool:
        """Whether a call for the key is under way."""
        return key in self._waiting

    def run(self, key: str, call: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        """Begin `call`, unless one for the key is under way. Fires with its result. A caller that cancels the
        Deferred does not cancel the call."""
        waiter: Deferred[T] = Deferred()
        if key in self._waiting:
            self._waiting[key].append(waiter)
            return waiter
        self._waiting[key] = [waiter]
        running = Deferred.fromCoroutine(call())
        if key in self._waiting:
            self._calls[key] = running
        running.addBoth(self._done, key)
        return waiter

    def cancel(self) -> None:
        """Cancel all calls."""
        for running in list(self._calls.values()):
            running.cancel()

    def _done(self, result: Any, key: str) -> None:
        self._calls.pop(key, None)
        for waiter in self._waiting.pop(key):
            if not waiter.called:  # it may have been cancelled
                waiter.callback(result)
