"""Stops thread pools without blocking the reactor."""

from __future__ import annotations

import threading

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool


def stop_pool(reactor: IReactorFromThreads, pool: ThreadPool) -> Deferred[None]:
    """Stop `pool`. Fires when all of its work is done and its threads have ended.

    `ThreadPool.stop` joins the threads, so it runs in a thread of its own.
    """
    stopped: Deferred[None] = Deferred()

    def stop() -> None:
        try:
            pool.stop()
        except Exception:
            reactor.callFromThread(stopped.errback, Failure())
        else:
            reactor.callFromThread(stopped.callback, None)

    threading.Thread(target=stop, name="stopping", daemon=True).start()
    return stopped
