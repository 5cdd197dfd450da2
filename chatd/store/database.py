"""The database as the rest of the daemon uses it: jobs that change it, and queries.

One thread owns the writing connection and commits all waiting jobs together (chatd.store.writer_thread). The
outcome of a job is known only when its transaction is on disk. Queries run in threads of their own
(chatd.store.readers).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.clocks import IReactor
from chatd.base.counters import Counters
from chatd.base.errors import StorageFailed
from chatd.base.isolation import guarded
from chatd.store.apart import ApartJobs
from chatd.store.engine import backend_of
from chatd.store.jobs import Beside, Job, Outcome
from chatd.store.readers import Readers
from chatd.store.writer import Writer
from chatd.store.writer_thread import WriterThread

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")
Batch: TypeAlias = Callable[[Connection, Sequence[Item]], Sequence[Result | Failure]]

log = Logger()


class Database:
    """Its methods are called, and its Deferreds fire, in the reactor's thread. `stopwatch` returns monotonic
    seconds and measures transactions."""

    def __init__(
        self,
        engine: Engine,
        reactor: IReactor,
        counters: Counters | None = None,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._engine = engine
        self._reactor = reactor
        self._counters = counters or Counters()
        self.damage: str | None = None  # the driver's message about damage, once that was noticed
        self._waiting: list[Job] = []
        self._handed = 0  # jobs that the writer has, and whose outcomes are not known yet
        self._writer = Writer(engine, self.found_damage)
        self._writer.on_refused(lambda: reactor.callFromThread(self._count_failed))
        self._thread = WriterThread(self._writer, reactor, stopwatch, self._settle, self._close)
        self._readers = Readers(engine, reactor, self.found_damage)
        # None: only one process uses the database
        self._apart = None if self._writer.turns is None else ApartJobs(engine, reactor)
        self._closed: Deferred[None] = Deferred()
        self._running = False
        self._settled: list[Callable[[], None]] = []

    def start(self) -> None:
        self._running = True
        self._readers.start()
        if self._apart is not None:
            self._apart.start()
        self._thread.start()

    def stop(self) -> Deferred[None]:
        """Run the jobs that were accepted, then close. Fires when the last transaction is on disk."""
        if self._running:
            self._running = False
            self._hand_over()
            self._thread.stop()
        return self._closed

    @property
    def file(self) -> Path | None:
        """The database's file; None if it is on a server."""
        return backend_of(self._engine).file_of(self._engine)

    @property
    def has_died(self) -> bool:
        """Whether the writer's thread has ended although nobody has stopped it."""
        return self._running and not self._thread.is_alive()

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
        """Call `forget`, in the writer's thread, whenever a job's changes are undone."""
        self._writer.on_rollback(forget)

    def on_others(self, renew: Callable[[Connection, bool], None]) -> None:
        """Call `renew(connection, reconnected)`, in the writer's thread and in a transaction that begins,
        whenever other nodes may have changed something. `reconnected`: the connection is a new one."""
        self._writer.on_others(renew)

    def on_turns(self, renew: Callable[[Connection, bool], None]) -> None:
        """As `on_others`, for what nodes change only in their turns, and not beside each other."""
        self._writer.on_turns(renew)

    def before_commit(self, store: Callable[[Connection], None]) -> None:
        """Call `store`, in the writer's thread, in each transaction before its commit, if there may be other
        nodes."""
        self._writer.before_commit(store)

    def join(self, node: int) -> None:
        """Write as the node with this id from now on. For a database that only one process uses it does
        nothing."""
        if self._writer.turns is not None:
            self._writer.turns.node = node

    def allow_beside(self, run: Callable[..., Any], beside: Beside) -> None:
        """Let the batch function `run` store items beside other nodes, if there are any."""
        self._writer.allow_beside(run, beside)

    def on_refused(self, then: Callable[[], None]) -> None:
        """Call `then`, in the writer's thread, whenever a whole transaction could not be committed."""
        self._writer.on_refused(then)

    def on_settled(self, then: Callable[[], None]) -> None:
        """Call `then` after each transaction, once all its outcomes have been passed on."""
        self._settled.append(then)

    def run(
        self, job: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run `job(connection, ...)` in the next transaction. Fires once that is committed."""
        if kwargs:
            raise TypeError("jobs take positional arguments")
        return self._submit(Job(Deferred(), job, args))

    def run_apart(
        self, job: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """As `run`, for jobs that tell other nodes that this one lives, and what it may do. Where there may
        be other nodes, they take no turn, and do not wait for other jobs."""
        if self._apart is None:
            return self.run(job, *args, **kwargs)
        if not self._running:
            return fail(StorageFailed())
        return self._apart.run(job, *args)

    def batch(self, job: Batch[Item, Result], item: Item) -> Deferred[Result]:
        """Run `job(connection, items)` for `item` and its neighbours. Fires once that is committed. A Failure
        that the job returns for an item fails that item alone."""
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
        return self._readers.read(query, *args, **kwargs)

    def search(
        self,
        account_id: int,
        query: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """As `read`, for slow queries: they run one at a time, and accounts take turns. Fails with Busy if
        too many wait."""
        if kwargs:
            raise TypeError("searches take positional arguments")
        if not self._running:
            return fail(StorageFailed())
        return self._readers.search(account_id, query, *args)

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
            self._thread.put(self._waiting)
            self._waiting = []

    def _settle(self, outcomes: Sequence[Outcome], took: float) -> None:
        self._handed -= len(outcomes)
        self._counters.jobs.add(len(outcomes))
        self._counters.seconds.add(took)
        for outcome in outcomes:
            value = outcome.value
            try:
                if isinstance(value, Failure):
                    outcome.done.errback(value)
                else:
                    outcome.done.callback(value)
            except Exception:
                log.failure("the outcome of a job could not be passed on")
        for then in self._settled:
            guarded("a call that follows a transaction failed", then)

    def _close(self) -> None:
        stopped = self._readers.stop()
        if self._apart is not None:
            stopped = DeferredList([stopped, self._apart.stop()])
        stopped.addCallback(lambda _: self._engine.dispose())
        stopped.addBoth(lambda _: self._closed.callback(None))
