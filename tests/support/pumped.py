"""A stand-in for the reactor, which a test drives: its time passes as the real one, while the test waits."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

STEP = 0.02  # seconds
PATIENCE = 30.0  # seconds, on a busy machine


class PumpedReactor(Clock):
    """Calls from threads wait until the test does."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = (
            queue.SimpleQueue()
        )

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:  # noqa: N802 - as in Twisted
        self._calls.put((call, args))

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Let calls and timers run until `condition` holds. `what` says what is missing if it never does."""
        began = last = time.monotonic()
        while not condition():
            now = time.monotonic()
            assert now - began < PATIENCE, what
            try:
                call, args = self._calls.get(timeout=STEP)
            except queue.Empty:
                pass
            else:
                call(*args)
            self.advance(now - last)
            last = now
