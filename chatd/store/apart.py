"""Runs the jobs by which a node keeps its place among the others: beats and leases.

On a server they have a connection and a thread of their own, and take no turn (chatd.store.node_turns). So
they do not wait for long jobs of any node, and do not make other nodes drop what they keep in memory. What
such jobs change is read by others of them, and by jobs that lock it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from chatd.base.clocks import IReactor
from chatd.base.errors import StorageFailed
from chatd.base.thread_pools import DaemonPool, stop_pool
from chatd.store.engine import backend_of
from chatd.store.outage_log import OutageLog

T = TypeVar("T")

log = Logger()


class ApartJobs:
    """One thread, which runs a job at a time."""

    def __init__(self, engine: Engine, reactor: IReactor) -> None:
        self._engine = engine
        self._backend = backend_of(engine)
        self._reactor = reactor
        self._pool = DaemonPool(0, 1, name="beats")
        self._outages = OutageLog(log, "a beat was not stored, or leases not renewed")

    def start(self) -> None:
        self._pool.start()

    def stop(self) -> Deferred[Any]:
        """Fires when the job under way is done."""
        return stop_pool(self._reactor, self._pool)

    def run(self, job: Callable[..., T], *args: Any) -> Deferred[T]:
        """Run `job(connection, ...)` in a transaction. Fires once that is committed. Fails with
        StorageFailed."""
        in_thread: Callable[..., T] = self._run
        return deferToThreadPool(self._reactor, self._pool, in_thread, job, *args)

    def _run(self, job: Callable[..., T], *args: Any) -> T:
        try:
            with self._engine.begin() as connection:
                self._backend.limit_waiting(connection)
                return job(connection, *args)
        except DBAPIError as error:
            self._outages.failed(error.orig)
            raise StorageFailed() from None
