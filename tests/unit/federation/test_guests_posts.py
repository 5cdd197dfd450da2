"""Posts to open groups elsewhere of people who are no members: nothing of them comes back."""

from __future__ import annotations

import sqlalchemy as sa

from chatd.base.errors import StorageFailed
from chatd.store.schema import pending
from tests.support.network import LinkedTestCase


class GuestsPostTestCase(LinkedTestCase):
    def test_delivered_while_the_disk_is_full(self) -> None:
        """It is not pending any more, once the disk has room."""
        self.ana.creates("bagan")
        end = self.connection.transport_of(self.one)
        end.holding = {"Deliver answer"}
        posting = self.budi.begins_to_post("bagan@realm1", "halo", "kunci")
        self.network.settle()
        database = self.two.realm.database
        database.full = True
        end.holding = set()
        self.network.settle()
        database.full = False
        self.flushLoggedErrors(StorageFailed)
        self.assertEqual(self.network.result(posting, 10).message, "Message sent")
        self.network.advance(70)
        left = database.now(lambda db: db.scalar(sa.select(sa.func.count()).select_from(pending)))
        self.assertEqual(left, 0)
        self.assertEqual(self.ana.history(group="bagan"), ["budi@realm2: halo"])
