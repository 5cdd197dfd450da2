"""The database: one thread owns the writing connection and commits all waiting jobs together.

The outcomes of jobs are told only after their transaction is on disk. Reads run in threads of their own,
each in a short transaction that sees everything committed so far.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatd.base.counters import Counters
from chatd.base.errors import StorageFailed
from chatd.base.fair_threads import FairThreads
from chatd.base.isolation import guarded
from chatd.base.thread_pools import stop_pool
from chatd.store.engine import READERS, damage_in
from chatd.store.writer import Job, Outcome, Writer

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")
Batch: TypeAlias = Callable[[Connection, Sequence[Item]], Sequence[Result]]

MAX_SEARCHES = 200  # waiting ones; beyond it, those of the busiest account make room
MAX_JOBS = 2000  # in one transaction, which bounds how long the first of them waits for the commit

log = Logger()


class Database:
    """The writer in its thread, and the readers in theirs. Its methods are called, and its Deferreds fire,
    in the reactor's thread. `stopwatch` returns monotonic seconds; it measures transactions.
    """

    def __init__(
        self,
        engine: Engine,
        reactor: Any,
        counters: Counters | None = None,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._engine = engine
        self._reactor = reactor
        self._counters = counters or Counters()
        self._stopwatch = stopwatch
        self._handed = 0  # jobs that the writer has, and whose outcomes have not been told
        self._writer = Writer(engine, self.found_damage)
        self._writer.on_refused(lambda: reactor.callFromThread(self._count_failed))
        # The driver's message about damage, once that was noticed.
        self.damage: str | None = None
        self._waiting: list[Job] = []
        self._queue: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="database", daemon=True)
        self._readers = ThreadPool(0, READERS, name="readers")
        self._searchers = FairThreads(reactor, "searchers", 1, MAX_SEARCHES)
        self._closed: Deferred[None] = Deferred()
        self._running = False
        self._settled: list[Callable[[], None]] = []

    def start(self) -> None:
        self._running = True
        self._readers.start()
        self._searchers.start()
        self._thread.start()

    def stop(self) -> Deferred[None]:
        """Run the jobs that were accepted, then close. Fires when the last transaction is on disk."""
        if self._running:
            self._running = False
            self._hand_over()
            self._queue.put(None)
        return self._closed

    @property
    def queued(self) -> int:
        """How many jobs wait for the writer, or for the end of their transaction."""
        return len(self._waiting) + self._handed

    @property
    def trouble(self) -> str | None:
        """Why the last transaction that changes anything could not be stored; None if it was."""
        return self._writer.trouble

    def found_damage(self, what: str) -> None:
        """Log that the database is damaged, once. May be called in any thread."""
        if self.damage is None:
            self.damage = what
            log.critical(
                "the database is damaged: {what}; restore a backup, or rescue what can be read with "
                "sqlite3's .recover",
                what=what,
            )

    def _count_failed(self) -> None:
        self._counters.failed += 1

    def on_rollback(self, forget: Callable[[], None]) -> None:
        self._writer.on_rollback(forget)

    def on_refused(self, then: Callable[[], None]) -> None:
        self._writer.on_refused(then)

    def on_settled(self, then: Callable[[], None]) -> None:
        """Call `then` each time that the outcomes of a transaction's jobs have been told."""
        self._settled.append(then)

    def run(
        self, job: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run `job(connection, ...)` in the next transaction. Fires once that is committed."""
        if kwargs:
            raise TypeError("jobs take positional arguments")
        return self._submit(Job(Deferred(), job, args))

    def batch(self, job: Batch[Item, Result], item: Item) -> Deferred[Result]:
        """Run `job(connection, items)` for `item` and its neighbours. Fires once that is committed."""
        return self._submit(Job(Deferred(), job, (item,), True))

    def submit(self, job: Batch[Item, Result], item: Item, done: Any) -> None:
        """As `batch`, for a `done` that is not a Deferred but has its `callback` and `errback`."""
        self._submit(Job(done, job, (item,), True))

    def read(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run `query(connection, ...)` in a reader's thread."""
        if not self._running:
            return fail(StorageFailed())
        in_thread: Callable[..., T] = self._read
        return deferToThreadPool(self._reactor, self._readers, in_thread, query, *args, **kwargs)

    def search(
        self,
        account_id: int,
        query: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """As `read`, for slow queries. They run one at a time in a thread of their own, and accounts take
        turns. Fails with Busy if too many wait."""
        if kwargs:
            raise TypeError("searches take positional arguments")
        if not self._running:
            return fail(StorageFailed())
        in_thread: Callable[..., T] = self._read
        return self._searchers.run((account_id,), 0, in_thread, query, *args)

    def _submit(self, job: Job) -> Deferred[Any]:
        if not self._running:
            job.done.errback(StorageFailed())
            return job.done
        waiting = self._waiting
        if not waiting:
            # Other jobs of this turn of the reactor join the same transaction.
            self._reactor.callLater(0, self._hand_over)
        waiting.append(job)
        return job.done

    def _hand_over(self) -> None:
        if self._waiting:
            self._handed += len(self._waiting)
            self._queue.put(self._waiting)
            self._waiting = []

    def _work(self) -> None:
        """The writer's thread."""
        more: list[Job] | None = []
        while more is not None:
            more = self._queue.get()
            jobs = list(more or ())
            while more is not None and len(jobs) < MAX_JOBS and not self._queue.empty():
                more = self._queue.get()
                jobs.extend(more or ())
            if jobs:
                began = self._stopwatch()
                outcomes = self._commit(jobs)
                took = self._stopwatch() - began
                self._reactor.callFromThread(self._settle, outcomes, took)
        self._writer.close()
        self._reactor.callFromThread(self._close)

    def _commit(self, jobs: Sequence[Job]) -> list[Outcome]:
        """As `Writer.commit`, but returns failures even for a bug there, so that the thread survives."""
        try:
            return self._writer.commit(jobs)
        except Exception:
            log.failure("a transaction of {jobs} jobs failed", jobs=len(jobs))
            failure = Failure()
            return [Outcome(job.done, failure) for job in jobs]

    def _settle(self, outcomes: Sequence[Outcome], took: float) -> None:
        self._handed -= len(outcomes)
        self._counters.jobs.add(len(outcomes))
        self._counters.seconds.add(took)
        for outcome in outcomes:
            # As Outcome.tell, without a call for each message.
            value = outcome.value
            try:
                if isinstance(value, Failure):
                    outcome.done.errback(value)
                else:
                    outcome.done.callback(value)
            except Exception:
                log.failure("what became of a job could not be told")
        for then in self._settled:
            guarded("what follows a transaction was not done", then)

    def _close(self) -> None:
        stopped = DeferredList([stop_pool(self._reactor, self._readers), self._searchers.stop()])
        stopped.addCallback(lambda _: self._engine.dispose())
        stopped.addBoth(lambda _: self._closed.callback(None))

    def _read(self, query: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        try:
            with self._engine.connect() as connection, connection.begin():
                return query(connection, *args, **kwargs)
        except DBAPIError as error:
            if (damage := damage_in(error)) is not None:
                self.found_damage(damage)
            log.failure("the database refused a query")
            raise StorageFailed() from None
