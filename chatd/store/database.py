"""The database: one thread owns the writing connection and commits all waiting jobs together.

A job that fails takes no other with it; what all of them
did reaches the disk in one commit, and only then are they told. Items for the same batch function that
follow each other are given to it together: that is how messages are stored with one executemany.
Reads run in threads of their own, each in a short transaction that sees all that was committed.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, Table, create_engine, event, insert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatd.counters import Counters
from chatd.errors import StorageFailed
from chatd.fairthreads import FairThreads
from chatd.isolation import guarded
from chatd.threads import stop_pool

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")
Runner: TypeAlias = Callable[[Callable[..., Any], tuple[Any, ...]], Any]
Batch: TypeAlias = Callable[[Connection, Sequence[Item]], Sequence[Result]]

READERS = 4
MAX_SEARCHES = 200  # that wait; with more, those of the busiest account make room
MAX_JOBS = 2000  # in one transaction: what a commit may make the first of them wait

log = Logger()


class CodeTaken(Exception):
    """A code that was made by chance stands for something else already: try again with another."""


class JobFailed(Exception):
    """A job raised something in a transaction that was not committed."""


class Job(msgspec.Struct):
    """One thing to do in the writing transaction; `batch` jobs carry an item for a shared call."""

    done: Deferred[Any]
    run: Callable[..., Any]
    args: tuple[Any, ...] = ()
    batch: bool = False


class Outcome(msgspec.Struct):
    """What became of a job: what it returned, or the Failure of it."""

    done: Deferred[Any]
    value: Any

    def tell(self) -> None:
        if isinstance(self.value, Failure):
            self.done.errback(self.value)
        else:
            self.done.callback(self.value)


def connect(url: str) -> Engine:
    """An engine for `url`; on SQLite with what durability and concurrency need."""
    engine = create_engine(
        url,
        pool_size=READERS + 3,
        pool_reset_on_return=None,
        hide_parameters=True,  # errors end in the log, and what people write does not belong there
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # The driver's own idea of transactions is switched off: it would commit around savepoints.
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "busy_timeout = 10000",
        "cache_size = -65536",
        "temp_store = MEMORY",
        # A page that many commits touch is copied into the database once, not every 4 MB of log.
        "wal_autocheckpoint = 8192",
        "journal_size_limit = 67108864",
    ):
        connection.execute(f"PRAGMA {pragma}").close()
    # SQLite's own lower() knows ASCII only, and searching would miss what differs in other letters.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def driver_insert(connection: Connection, table: Table) -> str:
    """The insert of whole rows as SQLAlchemy writes it for this database, columns in the table's order.

    For the driver as it is: processing what needs none takes longer than storing it.
    """
    compiler: Any = type(connection.dialect)
    style = "qmark" if connection.dialect.name == "sqlite" else "format"
    return str(insert(table).compile(dialect=compiler(paramstyle=style)))


def damage_in(error: Exception) -> str | None:
    """What the database says if it is damaged, and not only busy or full."""
    said = str(getattr(error, "orig", ""))
    return said if "malformed" in said or "not a database" in said else None


class Writer:
    """Runs jobs, many in one transaction. Knows no thread: the Database gives it one."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.connect()
        # Why nothing could be stored the last time; None once something was.
        self.trouble: str | None = None
        self._rolled_back: list[Callable[[], None]] = []
        self._refused: list[Callable[[], None]] = []

    def on_damage(self, what: str) -> None:
        """The database is damaged. The Database puts its own in place of this."""

    def on_rollback(self, forget: Callable[[], None]) -> None:
        """Call `forget` whenever something that a job did was undone: for what jobs keep in memory."""
        self._rolled_back.append(forget)

    def on_refused(self, then: Callable[[], None]) -> None:
        """Call `then` whenever a whole transaction was not committed."""
        self._refused.append(then)

    def close(self) -> None:
        self._connection.close()

    def commit(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run all of `jobs`, commit, and say what became of each."""
        if self.trouble is None:
            return self._commit(jobs)
        trouble, self.trouble = self.trouble, None
        before = self._changes()
        outcomes = self._commit(jobs)
        if self.trouble is None and before is not None and self._changes() == before:
            self.trouble = trouble  # nothing was written, so nothing is known
        return outcomes

    def _changes(self) -> int | None:
        """How many rows were ever changed; None where the driver does not tell."""
        raw: Any = self._connection.connection.dbapi_connection
        return getattr(raw, "total_changes", None)

    def _commit(self, jobs: Sequence[Job]) -> list[Outcome]:
        """As `commit`.

        They run without more ado at first. If one of them fails, all is undone and they run again, each
        in a savepoint: that costs twice, but savepoints would cost every transaction a third.
        """
        try:
            return self._transact(jobs, self._run_bare)
        except JobFailed:
            self._forget()
        except Exception as error:
            return self._refuse(jobs, error)
        try:
            return self._transact(jobs, self._run_guarded)
        except Exception as error:
            return self._refuse(jobs, error)

    def _transact(self, jobs: Sequence[Job], run: Runner) -> list[Outcome]:
        """Raises JobFailed if it was not the commit that failed: then nothing was stored for certain."""
        with self._connection.begin():
            try:
                return self._run_all(jobs, run)
            except Exception as error:
                raise JobFailed from error

    def _refuse(self, jobs: Sequence[Job], failed: Exception) -> list[Outcome]:
        """None of `jobs` was done."""
        self._forget()
        for then in self._refused:
            guarded("a failed transaction was not noted", then)
        error = failed.__cause__ if isinstance(failed, JobFailed) else failed
        assert isinstance(error, Exception)  # noqa: S101 - a JobFailed has a cause
        self._is_damage(error)
        if isinstance(error, OperationalError):
            # A full disk, or one that is gone: not a mistake of ours, and it may come often.
            self.trouble = str(error.orig)
            log.error("nothing can be stored: {reason}", reason=self.trouble)
            error = StorageFailed()
        elif isinstance(error, SQLAlchemyError):
            self.trouble = str(getattr(error, "orig", None) or type(error).__name__)
            log.failure(
                "the database refused a transaction of {jobs} jobs", Failure(error), jobs=len(jobs)
            )
            error = StorageFailed()
        failure = Failure(error)
        return [Outcome(job.done, failure) for job in jobs]

    def _run_all(self, jobs: Sequence[Job], run: Runner) -> list[Outcome]:
        outcomes: list[Outcome] = []
        start = 0
        while start < len(jobs):
            job = jobs[start]
            end = start + 1
            if job.batch:
                while end < len(jobs) and jobs[end].batch and jobs[end].run is job.run:
                    end += 1
                self._run_batch(jobs[start:end], run, outcomes)
            else:
                outcomes.append(Outcome(job.done, run(job.run, job.args)))
            start = end
        return outcomes

    def _run_bare(self, job: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        return job(self._connection, *args)

    def _run_guarded(self, job: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """What the job returned, or the Failure that undid it."""
        try:
            with self._connection.begin_nested():
                return job(self._connection, *args)
        except (OperationalError, InterfaceError):
            # A full disk and the like end the whole transaction, whatever the savepoint says.
            raise
        except Exception as error:
            self._forget()
            return Failure(StorageFailed()) if self._is_damage(error) else Failure()

    def _is_damage(self, error: Exception) -> bool:
        found = damage_in(error)
        if found is not None:
            self.on_damage(found)
        return found is not None

    def _run_batch(self, jobs: Sequence[Job], run: Runner, outcomes: list[Outcome]) -> None:
        job = jobs[0].run
        values = run(job, ([each.args[0] for each in jobs],))
        if isinstance(values, Failure):
            # One of them is bad: find out which, and keep the others.
            for each in jobs:
                value = run(job, ([each.args[0]],))
                value = value if isinstance(value, Failure) else value[0]
                outcomes.append(Outcome(each.done, value))
            return
        outcomes.extend(Outcome(each.done, value) for each, value in zip(jobs, values, strict=True))

    def _forget(self) -> None:
        for forget in self._rolled_back:
            guarded("what jobs keep in memory was not forgotten", forget)


class Database:
    """The writer in its thread, and the readers in theirs. Everything is asked for, and answered, in
    the reactor's thread. `stopwatch` gives seconds since whenever, to tell how long a transaction takes.
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
        self._handed = 0  # jobs that the writer has, and that were not told yet what became of them
        self._writer = Writer(engine)
        self._writer.on_refused(lambda: reactor.callFromThread(self._count_failed))
        self._writer.on_damage = self.found_damage  # type: ignore[method-assign]
        # What is damaged in the database, once that was noticed.
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
        """Finish what was accepted, then close. Fires when the last transaction is on disk."""
        if self._running:
            self._running = False
            self._hand_over()
            self._queue.put(None)
        return self._closed

    @property
    def queued(self) -> int:
        """How many jobs wait for the writer, or for the end of the transaction that it is at."""
        return len(self._waiting) + self._handed

    @property
    def trouble(self) -> str | None:
        """Why the last transaction that was to change something could not be stored, if that is so."""
        return self._writer.trouble

    def found_damage(self, what: str) -> None:
        """Note that the database is damaged, for who looks after the realm. May be called in any thread."""
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
        """Call `then` each time that a transaction's jobs have all been told what became of them."""
        self._settled.append(then)

    def run(
        self, job: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Have `job(connection, ...)` run in the next transaction; fires once it is committed."""
        if kwargs:
            raise TypeError("jobs take positional arguments")
        return self._submit(Job(Deferred(), job, args))

    def batch(self, job: Batch[Item, Result], item: Item) -> Deferred[Result]:
        """Have `job(connection, items)` run for `item` and its neighbours; fires once committed."""
        return self._submit(Job(Deferred(), job, (item,), True))

    def submit(self, job: Batch[Item, Result], item: Item, done: Any) -> None:
        """As `batch`, telling `done` by its `callback` or `errback`, as if it were a Deferred."""
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
        """As `read`, for what may take long: one at a time, so that no other reader waits for it, and
        accounts take turns. Errs with Busy if there are too many."""
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
            # Whatever else this turn of the reactor brings goes into the same transaction.
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
        """As `Writer.commit`. Whatever it raises, the thread goes on to the next jobs."""
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
            try:
                outcome.tell()
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
