"""Runs jobs, many in one transaction.

A job that fails is undone alone. Consecutive jobs for the same batch function are passed to it together, so
that messages are stored with one executemany.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.errors import StorageFailed
from chatd.base.isolation import guarded
from chatd.store.backend import WriterTurns
from chatd.store.engine import backend_of
from chatd.store.jobs import Beside, Job, JobFailed, Outcome, Unanswered
from chatd.store.outage_log import OutageLog

Runner: TypeAlias = Callable[[Callable[..., Any], tuple[Any, ...]], Any]

log = Logger()

LOOK_EVERY = 0.2  # seconds between attempts to find out what became of a transaction


class Writer:
    """Owns the writing connection. `commit` runs in one thread, which `chatd.store.database` provides.

    `on_damage` is called with the driver's message when the database turns out to be damaged.
    """

    def __init__(
        self, engine: Engine, on_damage: Callable[[str], None] = lambda message: None
    ) -> None:
        self._connection = engine.connect()
        self._backend = backend_of(engine)
        self._backend.set_up_writer(self._connection)
        self._on_damage = on_damage
        # Why the last transaction could not be stored; None once one has been.
        self.trouble: str | None = None
        self._watched = False  # whether it matters if a transaction changes anything
        self._has_changed = False  # whether one did, if it matters
        self.turns = self._backend.turns()  # None: no other process writes
        self._rolled_back: list[Callable[[], None]] = []
        self._renewed: list[Callable[[Connection, bool], None]] = []
        self._turned: list[Callable[[Connection, bool], None]] = []
        self._before_commit: list[Callable[[Connection], None]] = []
        self._refused: list[Callable[[], None]] = []
        self._beside: dict[Callable[..., Any], Beside] = {}
        self._left: list[Job] = []
        self._unanswered: list[Outcome] = []
        self._outages = OutageLog(log, "nothing can be stored")
        self._running = (0, 0)  # the first of the jobs that run, and the one after the last

    def allow_beside(self, run: Callable[..., Any], beside: Beside) -> None:
        """Let the batch function `run` store items beside other nodes, also together with others that do so
        in the same way."""
        self._beside[run] = beside

    def on_rollback(self, forget: Callable[[], None]) -> None:
        """Call `forget` whenever a job's changes are undone, so that caches of jobs can be dropped."""
        self._rolled_back.append(forget)

    def on_refused(self, then: Callable[[], None]) -> None:
        """Call `then` whenever a whole transaction could not be committed."""
        self._refused.append(then)

    def on_others(self, renew: Callable[[Connection, bool], None]) -> None:
        """Call `renew(connection, reconnected)`, in a transaction that begins, whenever other nodes may have
        changed something, so that caches of jobs are dropped. `reconnected`: the connection is a new one."""
        self._renewed.append(renew)

    def on_turns(self, renew: Callable[[Connection, bool], None]) -> None:
        """As `on_others`, for what nodes change only in their turns, and not beside each other."""
        self._turned.append(renew)

    def before_commit(self, store: Callable[[Connection], None]) -> None:
        """Call `store` in each transaction before it is committed, if there are other nodes, which have to
        find in the database what jobs keep in memory."""
        self._before_commit.append(store)

    def note_refusal(self) -> None:
        """Call what `on_refused` has registered."""
        for then in self._refused:
            guarded("a failed transaction was not noted", then)

    def close(self) -> None:
        self._connection.close()

    def commit(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run `jobs` in one transaction and return the outcome of each.

        Some outcomes are returned by a later call, perhaps without jobs: of jobs that were left to the next
        transaction, because another node writes to the same; and of all jobs if the connection is lost before
        the commit is answered, once it is known whether they were stored.
        """
        found = self._find_answer() if self._unanswered else []
        if self._left:
            jobs, self._left = [*self._left, *jobs], []
        if not jobs:
            return found
        if self.trouble is None or self._unanswered:
            return [*found, *self._commit(jobs)]
        trouble, self.trouble = self.trouble, None
        self._watched, self._has_changed = True, False
        outcomes = self._commit(jobs)
        self._watched = False
        if self.trouble is None and not self._has_changed:
            self.trouble = trouble  # nothing was written, so the cause may still be there
        return [*found, *outcomes]

    @property
    def looks_after(self) -> float | None:
        """The seconds after which `commit` should be called again, also without jobs; None if it need not
        be."""
        if self._unanswered:
            return LOOK_EVERY
        return 0.0 if self._left else None

    def give_up(self) -> list[Outcome]:
        """Do the jobs that were left to a later transaction, and refuse those whose outcomes are not known
        yet. Returns the outcomes."""
        outcomes: list[Outcome] = []
        while self._left and not self._unanswered:
            outcomes += self.commit([])
        waiting: list[Job | Outcome] = [*self._unanswered, *self._left]
        self._unanswered, self._left = [], []
        return [*outcomes, *self._refuse(waiting, StorageFailed())] if waiting else outcomes

    def _commit(self, jobs: Sequence[Job], may_be_beside: bool = True) -> list[Outcome]:
        """As `commit`.

        Beside other nodes, items are stored that allow it, if nothing else is in the transaction.

        The first attempt uses no savepoints, which would cost every transaction a third. If a job fails,
        the transaction is rolled back and all jobs run again, each in a savepoint.
        """
        if self._unanswered:
            return self._refuse(jobs, StorageFailed())
        beside = self._find_beside(jobs) if may_be_beside else None
        try:
            return self._transact(jobs, self._run_bare, beside)
        except JobFailed:
            self._forget()
        except Unanswered as unanswered:
            return self._await_answer(unanswered)
        except Exception as error:
            return self._refuse(jobs, error)
        try:
            return self._transact(jobs, self._run_guarded)
        except Unanswered as unanswered:
            return self._await_answer(unanswered)
        except JobFailed as failed:
            return self._divide(jobs) if self._is_connection_lost else self._refuse(jobs, failed)
        except Exception as error:
            return self._refuse(jobs, error)

    @property
    def _is_connection_lost(self) -> bool:
        return self.turns is not None and self.turns.is_lost

    def _divide(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run jobs in several transactions, because some have lost the connection twice: perhaps they take so
        long that the server ends the turn. Those are alone, so that the others are stored."""
        self._forget()
        start, end = self._running
        if end - start < len(jobs):
            cuts = [0, start, end, len(jobs)]
        elif len(jobs) > 1:
            cuts = [0, len(jobs) // 2, len(jobs)]
        else:
            return self._run_patiently(jobs)
        outcomes: list[Outcome] = []
        for first, last in itertools.pairwise(cuts):
            if first < last:
                outcomes += self._commit(jobs[first:last], may_be_beside=False)
        return outcomes

    def _run_patiently(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run jobs that take long between two statements."""
        assert self.turns is not None  # noqa: S101 - without turns there is no limit
        self.turns.patient = True
        try:
            return self._transact(jobs, self._run_guarded)
        except Unanswered as unanswered:
            return self._await_answer(unanswered)
        except Exception as error:
            return self._refuse(jobs, error)
        finally:
            self.turns.patient = False

    def _await_answer(self, unanswered: Unanswered) -> list[Outcome]:
        self._forget()
        self._unanswered = unanswered.outcomes
        self.trouble = "the connection was lost before a commit was answered"
        log.warn(
            "a commit of {jobs} jobs was not answered; looking for it", jobs=len(self._unanswered)
        )
        return []

    def _find_answer(self) -> list[Outcome]:
        """The outcomes of the transaction whose commit was not answered, if they are known now."""
        assert self.turns is not None  # noqa: S101 - it was not waited for
        try:
            with self._connection.begin():
                stored = self.turns.was_committed(self._connection)
        except DBAPIError as error:
            self.trouble = str(error.orig)
            return []
        outcomes, self._unanswered = self._unanswered, []
        log.info(
            "the transaction whose commit was not answered {was} stored",
            was={True: "was", False: "was not", None: "may have been"}[stored],
        )
        return outcomes if stored else self._refuse(outcomes, StorageFailed())

    def _find_beside(self, jobs: Sequence[Job]) -> Beside | None:
        """How to run the jobs while other nodes write, if there are any, and each job allows that."""
        if self.turns is None or not self.turns.others:
            return None
        found: Beside | None = None
        for job in jobs:
            beside = self._beside.get(job.run) if job.batch else None
            if beside is None or found not in (None, beside) or not beside.may(job.args[0]):
                return None
            found = beside
        return found

    def _transact(
        self, jobs: Sequence[Job], run: Runner, beside: Beside | None = None
    ) -> list[Outcome]:
        """Raises JobFailed if a job failed, and not the commit: then certainly nothing was stored. Raises
        Unanswered."""
        turns = self.turns
        transaction = self._connection.begin()
        try:
            if turns is not None and turns.begin(self._connection, beside is not None):
                renewed = self._turned if turns.turned else ()
                for renew in (*renewed, *self._renewed):
                    renew(self._connection, turns.reconnected)
            mark = self._mark()
            try:
                chosen, left = (
                    (jobs, []) if beside is None else beside.choose(self._connection, jobs)
                )
                outcomes = self._run_all(chosen, run)
            except Exception as error:
                raise JobFailed from error
            self._has_changed = self._mark() != mark or self._has_changed
            if turns is None:
                transaction.commit()
            else:
                self._end_turn(turns, transaction, outcomes, left)
        except BaseException:
            with suppress(DBAPIError):  # the connection is lost, so the server does it
                transaction.rollback()
            raise
        return outcomes

    def _mark(self) -> int | None:
        """The mark of changes, if it matters whether the transaction changes anything."""
        return self._backend.change_mark(self._connection) if self._watched else None

    def _end_turn(
        self,
        turns: WriterTurns,
        transaction: RootTransaction,
        outcomes: list[Outcome],
        left: list[Job],
    ) -> None:
        """Commit. Raises JobFailed, Unanswered."""
        try:
            for store in self._before_commit:
                store(self._connection)
            turns.end(self._connection)
        except SQLAlchemyError as error:
            if turns.is_lost:  # perhaps the last job took too long
                raise JobFailed from error
            raise
        try:
            transaction.commit()
            self._left += left
        except DBAPIError as error:
            if turns.is_lost:
                self._left += left
                raise Unanswered(outcomes) from error
            raise

    def _refuse(self, jobs: Sequence[Job | Outcome], failed: Exception) -> list[Outcome]:
        """Return the outcomes of `jobs` after their transaction was lost."""
        self._forget()
        self.note_refusal()
        error = failed.__cause__ if isinstance(failed, JobFailed) else failed
        assert isinstance(error, Exception)  # noqa: S101 - a JobFailed has a cause
        self._is_damage(error)
        if isinstance(error, DBAPIError) and self._is_outage(error):
            # It may occur often, so log no traceback.
            self.trouble = str(error.orig)
            self._outages.failed(self.trouble)
            error = StorageFailed()
        elif isinstance(error, SQLAlchemyError):
            self.trouble = str(getattr(error, "orig", None) or type(error).__name__)
            log.failure(
                "the database refused a transaction of {jobs} jobs", Failure(error), jobs=len(jobs)
            )
            error = StorageFailed()
        failure = Failure(error)
        return [Outcome(job.done, failure) for job in jobs]

    def _is_outage(self, error: DBAPIError) -> bool:
        """Whether no job is to blame: the disk is full or missing, or the server is."""
        return isinstance(error, OperationalError) or self._backend.is_outage(error)

    def _run_all(self, jobs: Sequence[Job], run: Runner) -> list[Outcome]:
        outcomes: list[Outcome] = []
        start = 0
        while start < len(jobs):
            job = jobs[start]
            end = start + 1
            if job.batch:
                while end < len(jobs) and jobs[end].batch and jobs[end].run == job.run:
                    end += 1
                self._running = (start, end)
                self._run_batch(jobs[start:end], run, outcomes)
            else:
                self._running = (start, end)
                outcomes.append(Outcome(job.done, run(job.run, job.args)))
            start = end
        return outcomes

    def _run_bare(self, job: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        return job(self._connection, *args)

    def _run_guarded(self, job: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Return what the job returned, or the Failure for which it was undone."""
        try:
            with self._connection.begin_nested():
                return job(self._connection, *args)
        except DBAPIError as error:
            # Errors such as a full disk end the whole transaction, not only the savepoint.
            if self._backend.ends_transaction(error) or self._is_connection_lost:
                raise
            return self._undone(error)
        except Exception as error:
            return self._undone(error)

    def _undone(self, error: Exception) -> Failure:
        """The outcome of a job that was undone because of this error."""
        self._forget()
        failure = Failure(error)
        if self._is_damage(error):
            return Failure(StorageFailed())
        if isinstance(error, OperationalError):
            log.failure("the database refused a job", failure)
            return Failure(StorageFailed())
        return failure

    def _is_damage(self, error: Exception) -> bool:
        found = self._backend.damage_in(getattr(error, "orig", None))
        if found is not None:
            self._on_damage(found)
        return found is not None

    def _run_batch(self, jobs: Sequence[Job], run: Runner, outcomes: list[Outcome]) -> None:
        job = jobs[0].run
        values = run(job, ([each.args[0] for each in jobs],))
        if isinstance(values, Failure):
            # Run the items one by one, so that only the failing ones fail.
            for each in jobs:
                value = run(job, ([each.args[0]],))
                value = value if isinstance(value, Failure) else value[0]
                outcomes.append(Outcome(each.done, value))
            return
        if len(values) != len(jobs):
            raise ValueError(f"{len(values)} results of {len(jobs)} items")
        outcomes += map(Outcome, [each.done for each in jobs], values)

    def _forget(self) -> None:
        if self.turns is not None:
            self.turns.forget()
        for forget in self._rolled_back:
            guarded("what jobs keep in memory was not forgotten", forget)
