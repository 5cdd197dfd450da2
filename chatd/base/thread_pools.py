"""Thread pools that do not keep a process alive, and that stop without blocking the reactor."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool


class DaemonThread(threading.Thread):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, daemon=True)


class DaemonPool(ThreadPool):
    """A pool whose threads end with the process. An orderly shutdown stops it; a start that has failed just
    ends, and must not wait for idle threads."""

    threadFactory = DaemonThread  # noqa: N815 - as Twisted names it


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
