"""Messages to people who have moved, as the writer's thread addresses them again."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from sqlalchemy import Connection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import MovedAway
from chatd.store import rerouted
from chatd.store.rerouted import Rerouted

CONNECTION = cast(
    "Connection", None
)  # the function that addresses messages again makes no use of it


class Item(msgspec.Struct, frozen=True):
    conversation: int
    to: str = "ana"


class ReroutedTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.rerouted = Rerouted[Item]()
        self.rerouted.on_message(self.readdress)

    def readdress(self, _connection: Connection, item: Item) -> Item:
        if item.to == "budi":
            raise MovedAway(to="budi@realm2")
        return Item(item.conversation, f"{item.to}@realm2")

    def checked(self, *items: Item | Failure) -> Any:
        return self.rerouted.checked(CONNECTION, items)

    def test_none(self) -> None:
        """A batch without such messages stays the same object, for which its writer looks."""
        items = (Item(1), Item(2))
        self.assertIs(self.rerouted.checked(CONNECTION, items), items)
        self.rerouted.add(3)
        self.assertIs(self.rerouted.checked(CONNECTION, items), items)

    def test_only_those(self) -> None:
        """The other messages of a batch stay as they are, also one that is refused already."""
        self.rerouted.add(2)
        refused = Failure(ValueError())
        found = self.checked(Item(1), Item(2), refused)
        self.assertEqual(found, [Item(1), Item(2, "ana@realm2"), refused])

    def test_refused(self) -> None:
        """A message that can't be addressed again is refused, and the others are stored."""
        self.rerouted.add(2)
        refused, stored = self.checked(Item(2, "budi"), Item(2))
        self.assertIsInstance(refused, Failure)
        self.assertIsInstance(refused.value, MovedAway)
        self.assertEqual(stored, Item(2, "ana@realm2"))

    def test_bound(self) -> None:
        """The oldest conversations are forgotten when there are too many."""
        self.patch(rerouted, "MAX_REROUTED", 2)
        for conversation in (1, 2, 3):
            self.rerouted.add(conversation)
        found = [each.to for each in self.checked(Item(1), Item(2), Item(3))]
        self.assertEqual(found, ["ana", "ana@realm2", "ana@realm2"])
