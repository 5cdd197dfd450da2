"""Histograms: which values are counted in which bucket."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.counters import JOBS, SECONDS, Histogram
from chatd.store.writer_thread import MAX_JOBS


class Histograms(SynchronousTestCase):
    def test_bounds_are_inclusive(self) -> None:
        histogram = Histogram((1, 2, 5))
        for value in (0, 1, 2, 3, 5, 6):
            histogram.add(value)
        self.assertEqual(histogram.cumulated(), [(1, 2), (2, 3), (5, 5), (math.inf, 6)])
        self.assertEqual(histogram.total, 17)

    @given(st.lists(st.floats(0, 10)))
    def test_any_values(self, values: list[float]) -> None:
        histogram = Histogram(SECONDS)
        for value in values:
            histogram.add(value)
        for bound, count in histogram.cumulated():
            self.assertEqual(count, sum(value <= bound for value in values))

    def test_bounds_are_sorted(self) -> None:
        for bounds in (JOBS, SECONDS):
            self.assertEqual(list(bounds), sorted(set(bounds)))
        self.assertEqual(JOBS[-1], MAX_JOBS)
