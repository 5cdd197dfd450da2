"""A message that is refused, and the link ends before that is stored."""

from __future__ import annotations

from typing import Any

from chatd.base.errors import StorageFailed, UnknownUser
from tests.support.network import LinkedTestCase, outcome


class RefusedWhileCutTestCase(LinkedTestCase):
    def refuse(self) -> list[Any]:
        """budi writes to nobody. realm2 knows that this is refused, and has not stored it. Returns what budi
        is told."""
        end = self.connection.transport_of(self.one)
        end.holding = {"Deliver answer"}
        told = outcome(self.budi.begins_to_send("nobody@realm1", "halo"))
        self.network.settle()
        database = self.two.realm.database
        self.patch(database, "step", lambda *_count: False)
        end.holding = set()
        self.network.settle()
        self.network.cut()
        self.network.settle()
        return told

    def test_told(self) -> None:
        told = self.refuse()
        del self.two.realm.database.step
        self.network.settle()
        self.assertIsInstance(told[0], UnknownUser)

    def test_not_stored(self) -> None:
        """The sender reads that the message is queued, and is told later."""
        told = self.refuse()
        del self.two.realm.database.step
        self.two.realm.database.full = True
        self.network.settle()
        self.assertEqual([each.data["state"] for each in told], ["queued"])
        self.two.realm.database.full = False
        self.network.until(lambda: self.network.open_connections(self.one, self.two))
        self.network.advance(60)
        self.assertTrue([each for each in self.budi.reads() if each.startswith("system")])
        self.flushLoggedErrors(StorageFailed)
