"""Read marks that leave messages out, and how they are joined."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.read_marks import ReadMark, join_marks

NEWEST = 12


@st.composite
def marks(draw: st.DrawFn) -> ReadMark:
    seq = draw(st.integers(0, NEWEST))
    left = draw(st.frozensets(st.integers(1, seq))) if seq else frozenset()
    return ReadMark(seq, left)


def read_by(mark: ReadMark) -> set[int]:
    return {seq for seq in range(1, NEWEST + 1) if mark.has(seq)}


class Joining(SynchronousTestCase):
    def test_has(self) -> None:
        self.assertEqual(read_by(ReadMark(4, frozenset((2,)))), {1, 3, 4})
        self.assertEqual(read_by(ReadMark(0)), set())

    @given(marks(), marks())
    def test_joined(self, one: ReadMark, other: ReadMark) -> None:
        """The joined mark has what either has, in any order, and leaves out no more than the higher one."""
        both = one.joined(other)
        self.assertEqual(read_by(both), read_by(one) | read_by(other))
        self.assertEqual(both, other.joined(one))
        higher = max(one, other, key=lambda mark: mark.seq)
        self.assertLessEqual(len(both.left), len(higher.left))
        self.assertEqual(both.joined(one), both)

    def test_by_conversation(self) -> None:
        found = {1: ReadMark(3), 2: ReadMark(5, frozenset((4,)))}
        join_marks(found, {2: ReadMark(4), 3: ReadMark(1)})
        self.assertEqual(found, {1: ReadMark(3), 2: ReadMark(5), 3: ReadMark(1)})
