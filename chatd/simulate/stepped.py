"""Stand-ins for the threads of a realm: their work is done step by step."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from chatd.app.realm import Threads
from chatd.base.clocks import Wall
from chatd.base.counters import Counters
from chatd.base.errors import StorageFailed
from chatd.files.folder import Uploads
from chatd.files.shared_folder import SharedFolder
from chatd.simulate.databases import connect_without_sync, tell
from chatd.store.backend import WriterTurns
from chatd.store.jobs import Beside, Job, Outcome, Unanswered
from chatd.store.writer import Writer


def _is_on() -> bool:
    return False


class DoubtfulWriter(Writer):
    """A Writer whose connection to a server can be lost. `doubtful` says of each of the next transactions, of
    which no answer comes, whether it is committed."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.doubtful: list[bool] = []

    def _end_turn(
        self,
        turns: WriterTurns,
        transaction: RootTransaction,
        outcomes: list[Outcome],
        left: list[Job],
    ) -> None:
        if not self.doubtful:
            super()._end_turn(turns, transaction, outcomes, left)
            return
        for store in self._before_commit:
            store(self._connection)
        turns.end(self._connection)
        end = "COMMIT" if self.doubtful.pop(0) else "ROLLBACK"
        self._connection.exec_driver_sql(end).close()
        self._left += left
        self.reconnect()
        raise Unanswered(outcomes)

    def reconnect(self) -> None:
        """The next transaction begins on a new connection."""
        self._connection.invalidate()


class SteppedDatabase:
    """A chatd.store.database.Database without threads: `step` commits jobs, `step_read` answers a query.

    While the disk is `full`, no transaction can be committed; or while `failing` returns true. Nobody hears
    how a transaction has ended in which the machine was switched off (`is_off`).
    """

    def __init__(self, engine: Engine, clock: Any = None, *_: object) -> None:
        self._engine = engine
        self._clock = clock
        self._looks = False  # for what has become of a transaction
        self._writer = DoubtfulWriter(engine)
        self._reading = engine.connect()
        self._settled: list[Callable[[], None]] = []
        self._jobs: list[Job] = []
        self._apart: deque[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._reads: deque[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._stopped: Deferred[None] | None = None
        self.is_off: Callable[[], bool] = _is_on
        self.full = False
        self.failing: Callable[[], bool] = lambda: self.full

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]:
        self._stopped = Deferred()
        return self._stopped

    def run(self, job: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return self._submit(Job(Deferred(), job, args))

    def run_apart(self, job: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if self._writer.turns is None:
            return self.run(job, *args)
        if self._stopped is not None:
            return fail(StorageFailed())
        done: Deferred[Any] = Deferred()
        self._apart.append((done, job, args))
        return done

    def batch(self, job: Callable[..., Any], item: Any) -> Deferred[Any]:
        return self._submit(Job(Deferred(), job, (item,), True))

    def submit(self, job: Callable[..., Any], item: Any, done: Any) -> None:
        self._submit(Job(done, job, (item,), True))

    def _submit(self, job: Job) -> Deferred[Any]:
        if self._stopped is not None:
            job.done.errback(StorageFailed())
            return job.done
        self._jobs.append(job)
        return job.done

    def read(self, query: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if self._stopped is not None:
            return fail(StorageFailed())
        done: Deferred[Any] = Deferred()
        self._reads.append((done, query, args))
        return done

    def search(self, _account_id: int, query: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Searches do not take turns by account here."""
        return self.read(query, *args)

    def on_rollback(self, forget: Callable[[], None]) -> None:
        self._writer.on_rollback(forget)

    def on_others(self, renew: Callable[[Connection, bool], None]) -> None:
        self._writer.on_others(renew)

    def on_turns(self, renew: Callable[[Connection, bool], None]) -> None:
        self._writer.on_turns(renew)

    def join(self, node: int) -> None:
        if self._writer.turns is not None:
            self._writer.turns.node = node

    def before_commit(self, store: Callable[[Connection], None]) -> None:
        self._writer.before_commit(store)

    def allow_beside(self, run: Callable[..., Any], beside: Beside) -> None:
        self._writer.allow_beside(run, beside)

    def on_refused(self, then: Callable[[], None]) -> None:
        self._writer.on_refused(then)

    def on_settled(self, then: Callable[[], None]) -> None:
        self._settled.append(then)

    @property
    def may_commit(self) -> bool:
        """Whether `step` may have something to do."""
        return bool(self._jobs) or self._stopped is not None or self._writer.looks_after is not None

    def _look(self) -> None:
        self._looks = False
        if self._stopped is None or not self._stopped.called:
            self._commit([])

    @property
    def doubtful(self) -> list[bool]:
        """See DoubtfulWriter."""
        return self._writer.doubtful

    @property
    def may_run_apart(self) -> bool:
        return bool(self._apart)

    @property
    def may_read(self) -> bool:
        return bool(self._reads)

    def step(self, count: int | None = None) -> bool:
        """Commit the first `count` jobs, or all. Returns whether there was anything to do."""
        if not self._jobs and self._writer.looks_after is None:
            return self._end()
        jobs, self._jobs = self._jobs[:count], self._jobs[len(self._jobs[:count]) :]
        if self.failing():
            self._writer.note_refusal()
            for job in jobs:
                job.done.errback(Failure(StorageFailed()))
            return True
        return self._commit(jobs)

    def _commit(self, jobs: list[Job]) -> bool:
        outcomes = self._writer.commit(jobs)
        if (wait := self._writer.looks_after) is not None and not self._looks:
            self._looks = True
            self._clock.callLater(wait, self._look)
        if self.is_off():
            return True
        for outcome in outcomes:
            tell(outcome)
        for then in self._settled:
            then()
        return True

    def step_apart(self) -> bool:
        """Run a job of `run_apart`. It takes no turn."""
        if not self._apart:
            return False
        done, job, args = self._apart.popleft()
        try:
            if self.full:
                raise StorageFailed
            with self._engine.begin() as connection:
                value = job(connection, *args)
        except (DBAPIError, StorageFailed):
            if not self.is_off():
                done.errback(StorageFailed())
            return True
        if not self.is_off():
            done.callback(value)
        return True

    def reconnect(self) -> None:
        """The connections to the server are new ones from now on."""
        self._writer.reconnect()
        self._reading.close()
        self._engine.dispose()
        self._reading = self._engine.connect()

    def step_read(self) -> bool:
        if not self._reads:
            return False
        done, query, args = self._reads.popleft()
        try:
            value = self.now(query, *args)
        except Exception:
            done.errback(Failure())
        else:
            done.callback(value)
        return True

    def now(self, query: Callable[..., Any], *args: Any) -> Any:
        """Run a query at once, and return its result."""
        with self._reading.begin():
            return query(self._reading, *args)

    def _end(self) -> bool:
        if self._stopped is None or self._stopped.called or self._reads or self._apart:
            return False
        self.close()
        self._stopped.callback(None)
        return True

    def close(self) -> None:
        self._reading.close()
        self._writer.close()
        self._engine.dispose()


class InstantPasswords:
    """A chatd.service.passwords.Passwords whose hash is the password."""

    def __init__(self, *_: object) -> None: ...

    def use(self, _cost: object) -> None:
        """There is no cost."""

    def start(self) -> None: ...

    stop = start

    def hash(self, password: str, *_: object) -> Deferred[str]:
        return succeed(password)

    def verify(self, password: str, hashed: str | None, *_: object) -> Deferred[bool]:
        return succeed(password == hashed)

    def is_outdated(self, _hashed: str, _password: str) -> bool:
        return False


class SteppedWork:
    """The work of a thread pool without threads: `step` does one piece of it."""

    def __init__(self) -> None:
        self._work: deque[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self.is_off: Callable[[], bool] = _is_on  # the machine is, and nobody hears of its work

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self._work.append((done, work, args))
        return done

    @property
    def may_work(self) -> bool:
        return bool(self._work)

    def step(self) -> bool:
        if not self._work:
            return False
        done, work, args = self._work.popleft()
        value: Any
        try:
            value = work(*args)
        except Exception:
            value = Failure()
        if not self.is_off():
            done.callback(value)  # calls the errbacks if it is a Failure
        return True


class SteppedUploads(SteppedWork, Uploads):
    """Uploads without threads."""

    def __init__(
        self, clock: Any, folder: Path, counters: Counters | None = None, wall: Wall = time.time
    ) -> None:
        SteppedWork.__init__(self)
        Uploads.__init__(self, clock, folder, counters, wall)

    def start(self) -> None:
        for folder in (self.folder, self._incoming, self._rooms):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.thumbnails.start()

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def clean(self, known: Any, keep_parts: float = math.inf) -> int:
        return super().clean(known, keep_parts)

    @property
    def parts(self) -> list[Path]:
        """The files that have arrived in part."""
        return sorted(self._incoming.glob("*.part"))


class SteppedSharedFolder(SteppedWork, SharedFolder):
    """A folder that several nodes share, without threads."""

    def __init__(self, *args: Any) -> None:
        SteppedWork.__init__(self)
        SharedFolder.__init__(self, *args)

    def stop(self) -> Deferred[None]:
        self._leave()
        return succeed(None)

    def kill(self) -> None:
        """The system unlocks what a process has locked that ends."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def clean(self, known: Any, keep_parts: float = math.inf) -> int:
        return super().clean(known, keep_parts)


STEPPED = Threads(
    connect_without_sync,
    cast(Any, SteppedDatabase),
    cast(Any, InstantPasswords),
    cast(Any, SteppedUploads),
    SteppedSharedFolder,
)
