"""Numbers are divided into pages of one size."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.store.number_pages import ROWS, pages_of


class PagesTestCase(SynchronousTestCase):
    def test_sizes(self) -> None:
        for count in (0, 1, ROWS, ROWS + 1):
            numbers = list(range(count))
            pages = pages_of(numbers)
            self.assertEqual({len(page) for page in pages}, {ROWS} if numbers else set())
            self.assertEqual(sorted({each for page in pages for each in page}), numbers)
