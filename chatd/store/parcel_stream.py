"""The order of what arrives over one link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import CancelledError, Deferred

from chatd.base.errors import StorageFailed

T = TypeVar("T")


class ParcelStream:
    """The parcels that arrive over one link, in order. After one that could not be stored, no later one is
    stored, so that the order is kept. `broken`, `_waiting` and `_places` belong to the reactor's thread, the
    rest to the writer's once its first job is handed over."""

    def __init__(self) -> None:
        self.broken = False
        self._places = 0  # how many jobs were handed over
        self._failed: int | None = None  # the place of the first job that has failed
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

    def next(self) -> StreamPlace:
        """Return the place of a job that is handed over to the writer now."""
        self._places += 1
        return StreamPlace(self, self._places)

    def run(self, refused: int, place: int, job: Callable[..., T], *arguments: Any) -> T:
        """Do the job with this place. Raises as `check`."""
        self.check(refused, place)
        try:
            result = job(*arguments)
        except Exception:
            self._failed = place
            raise
        if self._failed == place:
            self._failed = None
        return result

    def check(self, refused: int, place: int) -> None:
        """Raises StorageFailed if a job with a lower place has failed. `refused` counts the transactions that
        were not committed.

        If a transaction fails because of one of its jobs, all of them run again. So those before the one that
        has failed must run, too: if they were refused and it succeeds now, it would be stored without them.
        """
        self.begin(refused)
        failed = self._failed is not None and self._failed < place
        if self.broken or failed or refused != self._refused:
            raise StorageFailed


class StreamPlace(NamedTuple):
    """The place of one job among those of a stream."""

    stream: ParcelStream
    number: int

    def run(self, refused: int, job: Callable[..., T], *arguments: Any) -> T:
        """As ParcelStream.run."""
        return self.stream.run(refused, self.number, job, *arguments)

    def check(self, refused: int) -> None:
        """As ParcelStream.check."""
        self.stream.check(refused, self.number)
