"""The index for searching is built in the background, piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import StorageFailed
from chatd.service.indexing import AFTER_FAILURE, EVERY, MAX_REST, Indexing
from chatd.store.search.interface import IndexMoved


class FakeIndex:
    """Lacks `pieces`, and prepares so many at a time. `stored` has those that were added."""

    together = 1
    is_behind = False

    def __init__(self, *pieces: Any) -> None:
        self.pieces = list(pieces)
        self.stored: list[Any] = []
        self.forgotten = 0

    def prepare(self) -> list[Any]:
        return self.pieces[: self.together]

    def store(self, piece: Any) -> None:
        self.stored.append(self.pieces.pop(0))

    def forget(self) -> None:
        self.forgotten += 1


class FakeContext:
    """Runs jobs at once, or fails with `error`. A job takes `seconds`, and waits for `gate` if there is
    one."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.database = self
        self.error: Exception | None = None
        self.gate: Deferred[None] | None = None
        self.seconds = 0.0
        self.settled: list[Callable[[], None]] = []

    def on_settled(self, then: Callable[[], None]) -> None:
        self.settled.append(then)

    def read(self, function: Any, *args: Any) -> Deferred[Any]:
        return succeed(function(*args))

    def run(self, function: Any, *args: Any) -> Deferred[Any]:
        self.clock.rightNow += self.seconds
        if self.error is not None:
            return fail(self.error)
        if self.gate is not None:
            return self.gate.addCallback(lambda _result: function(*args))
        return succeed(function(*args))


class Building(SynchronousTestCase):
    def begin(self, *pieces: str) -> FakeIndex:
        index = FakeIndex(*pieces)
        self.context = FakeContext()
        self.indexing = Indexing(self.context, index)  # type: ignore[arg-type]
        self.indexing.start()
        return index

    def test_piece_by_piece(self) -> None:
        """Pieces follow one another with pauses; then it looks for new ones now and then."""
        index = self.begin("a", "b")
        self.context.clock.advance(0)
        self.assertEqual(index.stored, ["a"])
        self.context.clock.pump([0.01, 0.01])
        self.assertEqual(index.stored, ["a", "b"])
        index.pieces.append("c")
        self.context.clock.advance(EVERY / 2)
        self.assertEqual(index.stored, ["a", "b"])
        self.context.clock.advance(EVERY / 2 + 0.01)
        self.assertEqual(index.stored, ["a", "b", "c"])

    def test_several_pieces(self) -> None:
        """Pieces that were prepared together are stored one after another, without a pause. Stopping leaves
        the rest for the next start."""
        index = self.begin("a", "b", "c", "d", "e")
        index.together = 3
        self.context.clock.advance(0)
        self.assertEqual(index.stored, ["a", "b", "c"])
        gate = self.context.gate = Deferred()
        self.context.clock.advance(MAX_REST)
        stopping = self.indexing.stop()
        gate.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(index.stored, ["a", "b", "c", "d"])

    def test_rests(self) -> None:
        """After a long piece it rests for longer, within bounds."""
        index = self.begin("a", "b")
        self.context.seconds = 10.0
        self.context.clock.advance(0)
        self.context.clock.advance(MAX_REST * 0.9)
        self.assertEqual(index.stored, ["a"])
        self.context.clock.advance(MAX_REST * 0.2)
        self.assertEqual(index.stored, ["a", "b"])

    def test_far_behind(self) -> None:
        """If much was stored, it begins early; but it still rests after each piece, and after a failure."""
        index = self.begin()
        clock, [settle] = self.context.clock, self.context.settled
        settle()
        clock.advance(0)
        index.pieces += ["a", "b"]
        settle()
        clock.advance(0)
        self.assertEqual(index.stored, [])
        index.is_behind = True
        settle()
        clock.advance(0)
        self.assertEqual(index.stored, ["a"])
        settle()
        clock.advance(0)
        self.assertEqual(index.stored, ["a"])
        self.context.error = StorageFailed()
        clock.advance(MAX_REST)
        settle()
        clock.advance(0)
        self.context.error = None
        clock.advance(AFTER_FAILURE / 2)
        self.assertEqual(index.stored, ["a"])
        clock.advance(AFTER_FAILURE / 2)
        self.assertEqual(index.stored, ["a", "b"])

    def test_failures(self) -> None:
        """A full disk, or a bug, delays it. It drops what it has in memory and begins again later."""
        for error in (StorageFailed(), ValueError("a bug")):
            index = self.begin("a")
            self.context.error = error
            self.context.clock.advance(0)
            self.assertEqual((index.stored, index.forgotten), ([], 1))
            self.context.error = None
            self.context.clock.advance(AFTER_FAILURE)
            self.assertEqual(index.stored, ["a"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_stop(self) -> None:
        """Stopping waits for the piece under way; nothing is added after it."""
        index = self.begin("a", "b")
        gate = self.context.gate = Deferred()
        self.context.clock.advance(0)
        stopping = self.indexing.stop()
        self.assertNoResult(stopping)
        gate.callback(None)
        self.successResultOf(stopping)
        self.context.clock.advance(EVERY * 10)
        self.assertEqual(index.stored, ["a"])

    def test_start_again(self) -> None:
        """Once it is started again, it does not rely on what it knew: another node may have gone on."""
        index = self.begin("a", "b", "c")
        self.context.clock.advance(0)
        self.indexing.suspend()
        self.context.clock.advance(EVERY * 10)
        self.assertEqual((index.stored, index.forgotten), (["a"], 0))
        self.indexing.start()
        self.context.clock.advance(0)
        self.assertEqual((index.stored, index.forgotten), (["a", "b"], 1))
        self.context.clock.advance(MAX_REST)
        self.assertEqual((index.stored, index.forgotten), (["a", "b", "c"], 1))

    def test_start_during_a_piece(self) -> None:
        """It works on one piece at a time."""
        index = self.begin("a", "b")
        gate = self.context.gate = Deferred()
        self.context.clock.advance(0)
        self.indexing.suspend()
        self.indexing.start()
        self.context.gate = None
        self.context.clock.advance(EVERY)
        self.assertEqual(index.stored, [])
        gate.callback(None)
        self.context.clock.advance(MAX_REST)
        self.assertEqual((index.stored, index.forgotten), (["a", "b"], 1))

    def test_another_builds(self) -> None:
        """A piece that another node's has overtaken is prepared again, and that is not a failure."""
        index = self.begin("a")
        self.context.error = IndexMoved()
        self.context.clock.advance(0)
        self.assertEqual((index.stored, index.forgotten), ([], 1))
        self.context.error = None
        self.context.clock.advance(EVERY)
        self.assertEqual(index.stored, ["a"])

    def test_stop_while_it_waits(self) -> None:
        self.begin()
        self.context.clock.advance(0)
        self.successResultOf(self.indexing.stop())
        self.indexing.start()  # the lease comes too late
        self.assertEqual(self.context.clock.getDelayedCalls(), [])
