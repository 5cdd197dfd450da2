"""Stops thread pools without blocking the reactor."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool


def stop_pool(reactor: Any, pool: ThreadPool) -> Deferred[None]:
    """Stop `pool`, once. Fires when all work that it was given is done and its threads have ended.

    `ThreadPool.stop` joins its threads, so it runs in a thread of its own.
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
