"""Which realms are paused because people here do not want their message requests."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.store import reputation
from chatd.store.reputation import COUNTED, LEAST_UNWANTED, RATIO
from tests.support.engines import add_accounts, new_database

DAY = 24 * 3600 * 1000
NOW = 100 * DAY


class Reputation(SynchronousTestCase):
    def setUp(self) -> None:
        engine = new_database(self)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)
        add_accounts(self.connection, range(100))

    def note(self, account: int, unwanted: bool, at: int = NOW, realm: str = "realm2") -> bool:
        return reputation.note_decision(self.connection, realm, account, unwanted, at)

    def until(self, now: int = NOW) -> int | None:
        return reputation.paused_until(self.connection, "realm2", now)

    def test_begins_and_ends(self) -> None:
        begun = [self.note(each, True, NOW + each) for each in range(LEAST_UNWANTED + 1)]
        self.assertEqual(begun, [False] * (LEAST_UNWANTED - 1) + [True, False])
        end = self.until(NOW + 10)
        self.assertEqual(end, NOW + 1 + COUNTED)
        self.assertEqual(reputation.paused_realms(self.connection, NOW + 10), {"realm2": end})
        self.assertIsNone(self.until(NOW + 1 + COUNTED))

    def test_one_account(self) -> None:
        """However often one account declines, it counts once. Its last decision is the one that counts."""
        for each in range(3 * LEAST_UNWANTED):
            self.assertFalse(self.note(1, True, NOW + each))
        for each in range(LEAST_UNWANTED):
            self.note(each, True)
        self.assertIsNotNone(self.until())
        self.note(1, False)
        self.assertIsNone(self.until())

    def test_other_realms(self) -> None:
        for each in range(LEAST_UNWANTED):
            self.note(each, True, realm=f"realm{each}")
        self.assertEqual(reputation.paused_realms(self.connection, NOW), {})

    def test_old_decisions_are_removed(self) -> None:
        self.note(1, True, NOW - COUNTED)
        self.note(2, True, NOW)
        kept = self.connection.execute(sa.text("SELECT account_id FROM request_decisions"))
        self.assertEqual(kept.scalars().all(), [2])

    @given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 6)), max_size=30))
    def test_end(self, decisions: list[tuple[int, bool, int]]) -> None:
        """The realm is paused until the moment that it says, and not from then on."""
        reputation.forget(self.connection, ["realm2"])
        kept: dict[int, tuple[int, bool]] = {}
        for account, unwanted, day in sorted(decisions, key=lambda each: each[2]):
            at = NOW - 6 * DAY + day * DAY
            self.note(account, unwanted, at)
            kept[account] = at, unwanted

        def paused(now: int) -> bool:
            left = [unwanted for at, unwanted in kept.values() if at > now - COUNTED]
            return sum(left) >= max(LEAST_UNWANTED, RATIO * (len(left) - sum(left)))

        end = self.until()
        self.assertEqual(end is not None, paused(NOW))
        if end is not None:
            self.assertTrue(all(map(paused, range(NOW, end, DAY // 4))) and paused(end - 1))
            self.assertFalse(paused(end))
