"""The index for searching is kept up to date in the background."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import StorageFailed
from chatd.service.indexing import AFTER_FAILURE, EVERY, MAX_REST, Indexing


class Index:
    """Has `pieces` to add. `failure` is raised by `store`."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = list(pieces)
        self.stored: list[str] = []
        self.failure: Exception | None = None
        self.forgot = 0

    def prepare(self) -> str | None:
        return self.pieces[0] if self.pieces else None

    def store(self, piece: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.stored.append(self.pieces.pop(0))

    def forget(self) -> None:
        self.forgot += 1


class Database:
    def read(self, query: Any, *args: Any) -> Deferred[Any]:
        return maybeDeferred(query, *args)

    run = read


class IndexingTest(SynchronousTestCase):
    def begin(self, *pieces: str) -> Index:
        self.clock, index = Clock(), Index(*pieces)
        context: Any = SimpleNamespace(clock=self.clock, database=Database())
        given: Any = index
        self.indexing = Indexing(context, given)
        return index

    def test_pieces(self) -> None:
        """One after the other; then it looks for new ones."""
        index = self.begin("a", "b")
        self.indexing.start()
        self.clock.pump([0, MAX_REST, MAX_REST])
        self.assertEqual(index.stored, ["a", "b"])
        index.pieces.append("c")
        self.clock.advance(EVERY)
        self.assertEqual(index.stored, ["a", "b", "c"])
        self.indexing.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_full_disk(self) -> None:
        """It is tried again later. The database has logged it."""
        index = self.begin("a")
        index.failure = StorageFailed()
        self.indexing.start()
        self.clock.advance(0)
        self.assertEqual(index.forgot, 1)
        index.failure = None
        self.clock.advance(AFTER_FAILURE)
        self.assertEqual(index.stored, ["a"])

    def test_error(self) -> None:
        """It is logged with its traceback, and does not end the indexing."""
        index = self.begin("a")
        index.failure = ZeroDivisionError()
        self.indexing.start()
        self.clock.advance(0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        index.failure = None
        self.clock.advance(AFTER_FAILURE)
        self.assertEqual(index.stored, ["a"])
