"""What this realm knows of its own starts, and of what other realms have returned since them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.store.peer_marks import PeerMark, all_marks, doubt, lower_marks, raise_mark, read_marks
from chatd.store.starts import begin_start, start_before
from tests.support.engines import new_database


class Marks(SynchronousTestCase):
    def setUp(self) -> None:
        engine = new_database(self)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)

    def test_start_before(self) -> None:
        """A number that was given in a start, or lost before it, leads to the start before that."""
        self.assertIsNone(start_before(self.connection, 1))
        for first, since in ((100, 1), (200, 120), (300, 250)):
            begin_start(self.connection, first, since)
        found = [start_before(self.connection, each) for each in (5, 110, 150, 240, 260, 310)]
        self.assertEqual(found, [0, 100, 100, 200, 200, None])

    def settled(self) -> dict[str, int]:
        return {realm: mark.settled for realm, mark in all_marks(self.connection).items()}

    def test_doubt(self) -> None:
        """Marks that are in doubt are lowered once, also those that are raised after the doubt."""
        raise_mark(self.connection, "low", PeerMark(settled=100))
        raise_mark(self.connection, "high", PeerMark(7, 8, settled=300))
        doubt(self.connection, 200)
        doubt(self.connection, 250)
        raise_mark(self.connection, "late", PeerMark(settled=400))
        self.assertEqual(self.settled(), {"low": 100, "high": 300, "late": 400})
        lower_marks(self.connection)
        self.assertEqual(self.settled(), {"low": 100, "high": 200, "late": 200})
        self.assertEqual(all_marks(self.connection)["high"], PeerMark(7, 8, 200))
        raise_mark(self.connection, "high", PeerMark(settled=300))
        lower_marks(self.connection)
        self.assertEqual(self.settled()["high"], 300)

    def test_doubt_after_a_kill(self) -> None:
        """They are lowered when they are read at the next start."""
        raise_mark(self.connection, "high", PeerMark(settled=300))
        doubt(self.connection, 0)
        found = read_marks(self.connection, bytes)
        self.assertEqual(found.by_realm, {"high": PeerMark()})
