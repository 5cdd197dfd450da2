"""Two kinds of time.

Timers and durations use a monotonic clock, which never steps. Stored times, and times compared with stored
ones (messages, sessions, certificates, files), use the wall clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

Wall: TypeAlias = Callable[[], float]  # seconds since 1970 UTC


def date_of(wall: Wall) -> datetime:
    """The date and time by `wall`, in UTC."""
    return datetime.fromtimestamp(wall(), UTC)


def make_monotonic(reactor: Any, monotonic: Callable[[], float] = time.monotonic) -> bool:
    """Let `reactor` measure time by `monotonic`. Returns whether it does.

    Twisted's reactors use the wall clock, so setting that back by an hour would stop all timers for an hour.
    They call `IReactorTime.seconds` on themselves, and an instance attribute replaces that. Nothing changes
    if the reactor has timers already, or a clock of its own.
    """
    if reactor.getDelayedCalls():
        return False
    before = vars(reactor).get("seconds")
    reactor.seconds = monotonic
    probe = reactor.callLater(3600, lambda: None)
    follows = abs(probe.getTime() - 3600 - monotonic()) < 60
    probe.cancel()
    if not follows:
        if before is None:
            del reactor.seconds
        else:
            reactor.seconds = before
    return bool(follows)
