"""Who uses most of the disk."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred

from chatd.base.errors import Busy
from chatd.base.records import UsageInfo
from chatd.store.disk_usage import usage_by_account, usage_by_group, usage_by_realm
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_retention import RetentionTestCase


class Usage(RetentionTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.group(self.ana, self.budi)
        receipt = self.post(self.ana, "bagan", "halo").receipts[0]
        self.add_file((receipt.conversation, receipt.seq), 50)
        self.send(self.budi, "ana", "é")

    def read(self, query: Any, *args: Any) -> Any:
        return result_of(self.database.read(query, *args))

    def test_by_account(self) -> None:
        found, more = self.read(usage_by_account, 10)
        self.assertEqual(found, [UsageInfo("ana", 1, 4, 1, 50), UsageInfo("Budi", 1, 2, 0, 0)])
        self.assertEqual(more, 0)
        self.assertEqual(self.read(usage_by_account, 1), (found[:1], 1))

    def test_by_group(self) -> None:
        self.assertEqual(self.read(usage_by_group, 10), ([UsageInfo("bagan", 1, 4, 1, 50)], 0))

    def test_by_realm(self) -> None:
        found, _ = self.read(usage_by_realm, 10, "realm1")
        self.assertEqual(found, [UsageInfo("realm1", 2, 6, 1, 50)])

    def test_one_list_at_a_time(self) -> None:
        self.database.held_reads = True
        first = self.service.usage.list("accounts", 10)
        begun = ensureDeferred(first)
        self.assertIs(outcome_of(self.service.usage.list("accounts", 10)), Busy)
        self.database.answer()
        self.database.held_reads = False
        self.assertEqual(len(result_of(begun)[0]), 2)
        self.assertEqual(len(result_of(self.service.usage.list("groups", 10))[0]), 1)
