"""The two clocks of the daemon, and the reactor's interface as the daemon uses it.

Timers and durations use a monotonic clock, which never steps: code that needs one takes an
`IReactorTime`. Stored times, and times compared with stored ones (messages, sessions, certificates,
files), use the wall clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from twisted.internet.interfaces import (
    IReactorCore,
    IReactorFromThreads,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IReactorUNIX,
)

Wall: TypeAlias = Callable[[], float]  # seconds since 1970 UTC


class IReactor(
    IReactorCore,
    IReactorTime,
    IReactorFromThreads,
    IReactorTCP,
    IReactorUNIX,
    IReactorPluggableNameResolver,
):
    """What the daemon uses of Twisted's reactor. Code that needs only timers takes an `IReactorTime`."""


def date_of(wall: Wall) -> datetime:
    """The date and time by `wall`, in UTC."""
    return datetime.fromtimestamp(wall(), UTC)


def make_monotonic(reactor: Any, monotonic: Callable[[], float] = time.monotonic) -> bool:
    """Make `reactor` measure time with `monotonic`. Returns whether that worked.

    Twisted's reactors use the wall clock, so setting that back by an hour would stop all timers for an
    hour. They call `IReactorTime.seconds` on themselves, and this replaces it by an instance attribute. A
    reactor that has timers already, or that ignores the attribute, is left as it was.
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
