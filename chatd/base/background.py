"""Work whose result nothing waits for."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.errors import ShuttingDown, StorageFailed

# Refusals of a full disk and of a daemon that stops. The database has logged why it stores nothing.
EXPECTED = StorageFailed, ShuttingDown

log = Logger()


def in_background(
    what: str, work: Deferred[Any] | Coroutine[Deferred[Any], Any, Any], **details: object
) -> Deferred[Any]:
    """Let `work` run, and log its failure as `log_unexpected` does. The returned Deferred does not fail."""
    running = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
    return running.addErrback(_failed, what, details)


def log_unexpected(what: str, failure: Failure | None = None, **details: Any) -> None:
    """Log a failure with `what`, a sentence that says what was not done, unless it is EXPECTED. `details`
    fill the sentence. Within `except`, `failure` may be left out."""
    failure = failure or Failure()
    if not failure.check(*EXPECTED):
        log.failure(what, failure, **details)


def _failed(failure: Failure, what: str, details: dict[str, Any]) -> None:
    log_unexpected(what, failure, **details)
