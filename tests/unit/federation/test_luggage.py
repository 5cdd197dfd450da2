"""What accounts take along when they move, true and hostile."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from chatd.base.model import Party
from chatd.base.names import Address, parse_address
from chatd.commands import values as ask
from chatd.federation.parcels import Luggage
from chatd.federation.signing.move_statements import encode
from chatd.service.moved_addresses import MovedAddresses
from chatd.store import luggage as store
from chatd.store.account_moves import FOLLOWED, OVER, Move, StoredMove
from tests.unit.federation.test_account_moves import MovesTestCase


class LuggageTestCase(MovesTestCase):
    def luggage(self, *items: Any) -> str:
        """Let anna get luggage from realm1. Returns the code of the verdict."""
        return self.received(encode(list(items)))

    def received(self, page: bytes) -> str:
        [verdict] = self.two.receives("realm1", (1 << 60, Luggage("ana", "anna", page)))
        return verdict.code

    def contacts(self) -> list[str]:
        return sorted(each.username for each in self.anna.does(ask.ListContacts()).items)

    def blocked(self) -> list[str]:
        return sorted(each.address for each in self.anna.does(ask.ListBlocks()).items)

    def test_pages(self) -> None:
        """Luggage that is too large for one parcel crosses in several."""
        self.patch(store, "MAX_PAGE", 40)
        names = [f"{name}@realm3" for name in ("citra", "dodi", "eka")]
        for name in ("dodi", "eka"):
            self.three.person(name)
        for name in names:
            self.ana.does(ask.AddContact(parse_address(name)))
        self.moved()
        self.assertEqual(self.contacts(), names)

    def test_unreadable(self) -> None:
        self.moved()
        self.assertEqual(self.received(b"x"), "bad-signature")
        self.assertEqual(self.luggage(["none", "x"]), "bad-signature")

    def test_strange_people(self) -> None:
        """Contacts are addresses of other realms, or of others who are in the new realm."""
        self.two.person("dewi")
        self.moved()
        before = self.contacts()
        people = ("citra", "nobody@realm2", "anna@realm2", "dewi@realm2", "a b@realm3")
        self.assertEqual(self.luggage(*(["contact", each] for each in people)), "")
        self.assertEqual(self.contacts(), [*before, "dewi"])

    def test_blocks(self) -> None:
        """Neither the account nor its realm is blocked, and the number of blocks is limited."""
        self.moved()
        blocks = ("@realm9", "@realm9", "x@realm9", "anna@realm2", "@realm2")
        self.assertEqual(self.luggage(*(["block", each] for each in blocks)), "")
        self.assertEqual(self.blocked(), ["@@realm9", "x@realm9"])
        self.patch(store, "MAX_BLOCKS", 2)
        self.luggage(["block", "y@realm9"])
        self.assertEqual(self.blocked(), ["@@realm9", "x@realm9"])

    def test_many_groups(self) -> None:
        self.patch(store, "MAX_MOVING", 2)
        self.moved()
        groups = [["group", "realm9", number, "a", 0] for number in range(1, 5)]
        self.assertEqual(self.luggage(*groups), "")
        database, account = self.two.realm.database, self.anna.account.id
        kept = [
            database.now(
                lambda reading, at=at: store.take_moving_group(reading, account, "realm9", at)
            )
            for at in range(1, 5)
        ]
        self.assertEqual([each is not None for each in kept], [True, True, False, False])


class AddressesTestCase(TestCase):
    """Moves in memory."""

    def setUp(self) -> None:
        self.moved_addresses = MovedAddresses()

    def note(self, old: Party, new: Party, state: str = FOLLOWED) -> None:
        self.moved_addresses.note([StoredMove(Move(old, new, 1, 1, 0, b""), state)])

    def test_circle(self) -> None:
        """A circle of moves, which hostile realms can claim, ends."""
        one, two = (Party(f"a@{realm}", f"a@{realm}", realm=realm) for realm in ("r1", "r2"))
        self.note(one, two)
        self.note(two, one)
        self.assertIn(str(self.moved_addresses.current(Address("a", "r1"))), ("a@r1", "a@r2"))

    def test_over(self) -> None:
        """A move that is over is forgotten, and its account lives here."""
        old, new = Party("a", "a", 7), Party("a@r2", "a@r2", realm="r2")
        self.assertEqual(self.moved_addresses.current(Address("a")), Address("a"))
        self.note(old, new)
        self.assertTrue(self.moved_addresses.anyone_away)
        self.assertEqual(str(self.moved_addresses.current(Address("a"))), "a@r2")
        self.note(old, new, OVER)
        self.assertFalse(self.moved_addresses.anyone_away)
        self.assertEqual(self.moved_addresses.current(Address("a")), Address("a"))
