"""Runs queries in threads of their own, each in a short transaction that sees everything committed so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from chatd.base.clocks import IReactor
from chatd.base.errors import StorageFailed
from chatd.base.fair_threads import FairThreads
from chatd.base.thread_pools import DaemonPool, stop_pool
from chatd.store.backend import READERS
from chatd.store.engine import backend_of
from chatd.store.outage_log import OutageLog

T = TypeVar("T")

MAX_SEARCHES = 200  # that wait; beyond it, those of the busiest account are refused

log = Logger()


class Readers:
    """`on_damage` is called, in any thread, with the driver's message when the database turns out to be
    damaged."""

    def __init__(self, engine: Engine, reactor: IReactor, on_damage: Callable[[str], None]) -> None:
        self._backend = backend_of(engine)
        self._engine = self._backend.reading(engine)
        self._reactor = reactor
        self._on_damage = on_damage
        self._pool = DaemonPool(0, READERS, name="readers")
        self._outages = OutageLog(log, "nothing can be read")
        self._searchers = FairThreads(reactor, "searchers", 1, MAX_SEARCHES)

    def start(self) -> None:
        self._pool.start()
        self._searchers.start()

    def stop(self) -> Deferred[Any]:
        """Fires when the queries under way are done."""
        return DeferredList([stop_pool(self._reactor, self._pool), self._searchers.stop()])

    def read(self, query: Callable[..., T], *args: Any, **kwargs: Any) -> Deferred[T]:
        """Run `query(connection, ...)` in one of READERS threads."""
        in_thread: Callable[..., T] = self._query
        return deferToThreadPool(self._reactor, self._pool, in_thread, query, *args, **kwargs)

    def search(self, account_id: int, query: Callable[..., T], *args: Any) -> Deferred[T]:
        """Run a slow query. They run one at a time in a thread of their own, and accounts take turns. Fails
        with Busy."""
        in_thread: Callable[..., T] = self._query
        return self._searchers.run((account_id,), 0, in_thread, query, *args)

    def _query(self, query: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        try:
            with self._engine.connect() as connection, connection.begin():
                return query(connection, *args, **kwargs)
        except DBAPIError as error:
            if (damage := self._backend.damage_in(error.orig)) is not None:
                self._on_damage(damage)
            if self._backend.is_outage(error):
                # It may occur often, so log no traceback.
                self._outages.failed(error.orig)
            else:
                log.failure("the database refused a query")
            raise StorageFailed() from None
