"""The order of what arrives over one link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred

from chatd.base.errors import StorageFailed
from chatd.store.origins import Origin

T = TypeVar("T")


class ParcelStream:
    """The parcels that arrive over one link, in order. After one that could not be stored, no later one is
    stored, so that the order is kept. `broken` and `_waiting` belong to the reactor's thread, the rest to the
    writer's once its first job is handed over."""

    def __init__(self) -> None:
        self.broken = False
        self.culprit: Origin | None = None  # origin of a failed job, which may run twice
        self._refused: int | None = None
        self._waiting: set[Deferred[Any]] = set()

    async def wait_for(self, turn: Deferred[Any]) -> None:
        """Wait for `turn`. Raises StorageFailed if the link ends first: its parcels arrive again over the
        next link and must not pile up here."""
        self._waiting.add(turn)
        try:
            await turn
        except CancelledError:
            raise StorageFailed from None
        finally:
            self._waiting.discard(turn)

    def end(self) -> None:
        """Note that the link has ended, which ends all waits."""
        for turn in list(self._waiting):
            turn.cancel()

    def begin(self, refused: int) -> None:
        """Note how many transactions were not committed before the first job of the stream is handed over.
        The job itself is too late for that if its transaction can't begin."""
        if self._refused is None:
            self._refused = refused

    def run(self, refused: int, origin: Origin | None, job: Callable[..., T], *arguments: Any) -> T:
        """Do a job whose first entry has this origin. Raises as `check`."""
        self.check(refused, origin)
        try:
            result = job(*arguments)
        except Exception:
            self.culprit = origin
            raise
        self.culprit = None
        return result

    def check(self, refused: int, origin: Origin | None) -> None:
        """Raises StorageFailed after a failure, unless it is that of the job whose first entry has this
        `origin`, which is repeated. `refused` counts the transactions that were not committed."""
        self.begin(refused)
        failed = self.culprit is not None and self.culprit != origin
        if self.broken or failed or refused != self._refused:
            raise StorageFailed
