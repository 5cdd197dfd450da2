"""Exceptions that nobody expects and that only the log tells of."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(ILogObserver)
class Mishaps:
    """A context in which exceptions that are logged are noted in `found`: unexpected ones, and those of
    Deferreds that nobody handles. The latter are only noticed when the Deferred is freed."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.details: list[str] = []

    def __enter__(self) -> Self:
        globalLogPublisher.addObserver(self)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        globalLogPublisher.removeObserver(self)

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is None and event.get("log_level") is not LogLevel.critical:
            return
        said = formatEvent(event).strip() or "unhandled error in a Deferred"
        if isinstance(failure, Failure):
            said = f"{said}: {type(failure.value).__name__}: {failure.value}"
            self.details.append(failure.getTraceback())
        self.found.append(said)
