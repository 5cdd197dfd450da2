"""Which parcels have come that leave no entry."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.store import mirrors, received
from chatd.store.origins import FIRST_NUMBER
from chatd.store.schema import received as table
from chatd.store.settings import put_setting
from tests.support.engines import new_database

TERM = FIRST_NUMBER


class Received(SynchronousTestCase):
    def setUp(self) -> None:
        engine = new_database(self)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)

    def is_news(self, number: int, realm: str = "realm2", group: str = "bagan") -> bool:
        return mirrors.is_news(self.connection, realm, group, number)

    @given(st.lists(st.integers(FIRST_NUMBER, FIRST_NUMBER + 30), max_size=60))
    def test_whatever_their_order(self, numbers: list[int]) -> None:
        """A number is new once, also after higher ones."""
        received.forget(self.connection, ["realm2"])
        seen: set[int] = set()
        for number in numbers:
            self.assertEqual(self.is_news(number), number not in seen)
            seen.add(number)

    def test_by_realm(self) -> None:
        self.assertTrue(self.is_news(TERM))
        self.assertTrue(self.is_news(TERM, "realm3"))
        self.assertFalse(self.is_news(TERM))

    def test_bounded(self) -> None:
        """The newest numbers are known; what is below them counts as known."""
        self.patch(received, "KEPT", 10)
        for number in range(20):
            self.assertTrue(self.is_news(TERM + 2 * number))
        count = self.connection.scalar(sa.select(sa.func.count()).select_from(table))
        self.assertEqual(count, 10)
        self.assertFalse(self.is_news(TERM + 1))
        self.assertFalse(self.is_news(TERM + 19))
        self.assertTrue(self.is_news(TERM + 21))
        self.assertFalse(self.is_news(TERM + 20))

    def test_version_1(self) -> None:
        """A database of an earlier version has the newest number of each group."""
        put_setting(self.connection, "who is in groups, realm2 bagan", "7")
        self.assertFalse(self.is_news(6))
        self.assertFalse(self.is_news(7))
        self.assertTrue(self.is_news(8))
        self.assertFalse(self.is_news(8))
        self.assertTrue(self.is_news(5, group="lain"))
