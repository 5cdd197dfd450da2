"""Which entries of a log were seen, in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.client.seen_entries import MAX_BEYOND, SeenEntries


class SeenEntriesTests(SynchronousTestCase):
    @given(st.permutations(range(6, 16)), st.integers(0, 10))
    def test_any_order(self, seqs: list[int], count: int) -> None:
        """The end passes no entry that was not seen."""
        seen = SeenEntries()
        seen.add(5)
        for seq in seqs[:count]:
            seen.add(seq)
        known = {5, *seqs[:count]}
        self.assertEqual({seq for seq in range(5, 20) if seq in seen}, known)
        self.assertEqual(seen.end, next(seq for seq in range(5, 20) if seq + 1 not in known))
        seen.reach(10)
        self.assertEqual(seen.end, next(seq for seq in range(10, 20) if seq + 1 not in known))

    def test_restart(self) -> None:
        """A realm that was restored from a backup gives the numbers after its end again."""
        seen = SeenEntries()
        for seq in (5, 6, 9):
            seen.add(seq)
        seen.restart(4)
        self.assertEqual([seq for seq in range(4, 10) if seq in seen], [4])

    def test_bounded(self) -> None:
        """An entry that never comes does not keep all later ones in memory."""
        seen = SeenEntries()
        seen.add(1)
        for seq in range(3, 4 * MAX_BEYOND):
            seen.add(seq)
        self.assertEqual(seen.end, 4 * MAX_BEYOND - 1)
