"""The thread that commits jobs: all jobs that wait when a transaction ends share the next one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.store.jobs import Job, Outcome
from chatd.store.writer import Writer

MAX_JOBS = 2000  # in one transaction, which bounds how long the first of them waits for the commit

log = Logger()


class WriterThread:
    """Runs `writer` in a thread. `settle` and `closed` are called in the reactor's thread: `settle` after
    each transaction, with the outcomes and the seconds that it took by `stopwatch`."""

    def __init__(
        self,
        writer: Writer,
        reactor: IReactorFromThreads,
        stopwatch: Callable[[], float],
        settle: Callable[[Sequence[Outcome], float], None],
        closed: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._reactor = reactor
        self._stopwatch = stopwatch
        self._settle = settle
        self._closed = closed
        self._queue: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="database", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def put(self, jobs: list[Job]) -> None:
        """Commit `jobs` in the next transaction."""
        self._queue.put(jobs)

    def stop(self) -> None:
        """End the thread after the jobs that were put."""
        self._queue.put(None)

    def _run(self) -> None:
        more: list[Job] | None = []
        while more is not None:
            more = self._next()
            jobs = list(more or ())
            while more is not None and len(jobs) < MAX_JOBS and not self._queue.empty():
                more = self._queue.get()
                jobs.extend(more or ())
            if jobs or self._writer.looks_after is not None:
                began = self._stopwatch()
                outcomes = self._commit(jobs)
                self._tell(outcomes, self._stopwatch() - began)
        self._tell(self._writer.give_up(), 0.0)
        self._writer.close()
        self._reactor.callFromThread(self._closed)

    def _next(self) -> list[Job] | None:
        """Wait for jobs, unless the writer has something left to do meanwhile."""
        try:
            return self._queue.get(timeout=self._writer.looks_after)
        except queue.Empty:
            return []

    def _tell(self, outcomes: Sequence[Outcome], took: float) -> None:
        if outcomes:
            self._reactor.callFromThread(self._settle, outcomes, took)

    def _commit(self, jobs: Sequence[Job]) -> list[Outcome]:
        """As `Writer.commit`, but returns failures even for a bug there, so that the thread survives."""
        try:
            return self._writer.commit(jobs)
        except Exception:
            log.failure("a transaction of {jobs} jobs failed", jobs=len(jobs))
            failure = Failure()
            return [Outcome(job.done, failure) for job in jobs]
