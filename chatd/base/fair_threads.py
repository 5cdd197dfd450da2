"""A thread pool for slow work, which the owners of the work share fairly (chatd.base.fair_queue)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool

from chatd.base.errors import Busy, ShuttingDown
from chatd.base.fair_queue import FairQueue, Path
from chatd.base.thread_pools import DaemonPool, stop_pool

P = ParamSpec("P")
T = TypeVar("T")


class Work(msgspec.Struct):
    """A call that waits for a thread."""

    done: Deferred[Any]
    call: Callable[..., Any]
    args: tuple[Any, ...]


class FairThreads:
    """At most `threads` calls run at once, and `capacity` wait. Its methods are called, and its Deferreds
    fire, in the reactor's thread."""

    def __init__(
        self,
        reactor: IReactorFromThreads,
        name: str,
        threads: int,
        capacity: int,
        priorities: int = 1,
    ) -> None:
        self._reactor = reactor
        self._pool = DaemonPool(0, threads, name=name)
        self._free = threads
        self._waiting: FairQueue[Work] = FairQueue(capacity, priorities)
        self._stopped = False

    def start(self) -> None:
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Refuse the waiting calls. Fires when the running ones are done."""
        self._stopped = True
        while self._waiting:
            self._waiting.take().done.errback(ShuttingDown())
        return stop_pool(self._reactor, self._pool)

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return len(self._waiting)

    def run(
        self, owner: Path, priority: int, call: Callable[P, T], *args: P.args, **_none: P.kwargs
    ) -> Deferred[T]:
        """Fires with what `call(*args)` returns in a thread. Fails with what it raises, with Busy if it had
        to make room for other calls, or with ShuttingDown."""
        done: Deferred[T] = Deferred()
        work = Work(done, call, args)
        if self._stopped:
            done.errback(ShuttingDown())
        elif self._free:
            self._begin(work)
        else:
            dropped = self._waiting.put(owner, work, priority)
            if dropped is not None:
                dropped.done.errback(Busy())
        return done

    def _begin(self, work: Work) -> None:
        self._free -= 1
        running = deferToThreadPool(self._reactor, self._pool, work.call, *work.args)
        running.addBoth(self._ended, work.done)

    def _ended(self, result: Any, done: Deferred[Any]) -> None:
        self._free += 1
        if self._waiting and not self._stopped:
            self._begin(self._waiting.take())
        done.callback(result)  # a Failure goes to the errbacks
