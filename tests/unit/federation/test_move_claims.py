"""People of a lost realm ask others to confirm their new addresses."""

from __future__ import annotations

from typing import Any

from chatd.base.errors import BadArgument, TooManyClaims, UnknownClaim
from chatd.base.names import Address, Place, parse_address
from chatd.commands import values as ask
from chatd.federation.parcels import AddressClaim
from chatd.simulate.people import Person
from chatd.store import move_claims as store
from chatd.store.account_moves import find_move
from tests.unit.federation.test_account_moves import MovesTestCase


class LostRealmTestCase(MovesTestCase):
    """realm1 is lost. anna of realm2 says that she was ana of realm1."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.sends("citra@realm3", "satu")
        self.dewi = self.two.person("dewi")
        self.dewi.sends("ana@realm1", "dua")
        for each in ("citra@realm3", "dewi"):
            self.anna.does(ask.AddContact(parse_address(each)))
        self.one.kill()
        self.addCleanup(self.one.open)

    def claim(self, person: Person | None = None, old: str = "ana@realm1") -> int:
        """Returns how many people are asked."""
        reply = (person or self.anna).does(ask.ClaimAccount(parse_address(old)))
        self.settle()
        asked: int = reply.data["asked"]
        return asked

    def comes_back(self) -> None:
        self.one.open()
        self.addCleanup(self.one.kill)
        self.network.advance(40.0)
        self.settle()

    def claims(self, person: Person) -> list[tuple[str, str]]:
        found = person.does(ask.ListMoves()).items
        return [(each.address, each.old) for each in found if each.what == "claims"]

    def test_confirmed(self) -> None:
        self.claim()
        self.assertEqual(self.claims(self.citra), [("anna@realm2", "ana@realm1")])
        self.assertIn("says that they were ana@realm1", self.citra.reads()[-1])
        self.assertEqual(self.conversations(self.citra)[-1], "ana@realm1")
        self.citra.does(ask.AcceptMove(parse_address("anna@realm2")))
        self.dewi.does(ask.AcceptMove(parse_address("anna")))
        self.citra.sends("anna@realm2", "tiga")
        self.settle()
        self.assertEqual(self.citra.history("anna@realm2"), ["ana@realm1: satu", "citra: tiga"])
        self.assertEqual(self.dewi.history("anna"), ["dewi: dua"])
        self.assertEqual(self.claims(self.citra), [])

    def test_waiting(self) -> None:
        """What still waits for the lost realm goes to the new address, once and in order, with changes of it,
        also if the lost realm comes back. The rest stays where it was."""
        self.citra.sends("ana@realm1", "dua")
        self.citra.sends("budi@realm1", "for budi")
        self.citra.sends("ana@realm1", "tiga")
        place = Place(Address("ana", "realm1"))
        seqs = {each.text: each.seq for each in self.citra.does(ask.ShowHistory(place, 9)).items}
        self.citra.does(ask.EditMessage(place, seqs["dua"], "dua setengah"))
        self.citra.does(ask.ReplyToMessage(place, seqs["dua"], "empat"))
        self.claim()
        self.citra.does(ask.AcceptMove(parse_address("anna@realm2")))
        self.settle()
        expected = ["citra@realm3: dua setengah", "citra@realm3: tiga", "citra@realm3: empat"]
        self.assertEqual(self.anna.history("citra@realm3"), expected)
        there: Any = self.anna.does(ask.ShowHistory(Place(Address("citra", "realm3")), 9)).items
        self.assertEqual(there[2].reply, there[0].seq)
        self.comes_back()
        self.assertEqual(self.ana.history("citra@realm3"), ["ana: satu"])
        self.assertEqual(self.budi.history("citra@realm3"), ["citra@realm3: for budi"])
        self.assertEqual(self.anna.history("citra@realm3"), expected)

    def test_waiting_in_the_new_realm(self) -> None:
        """An account of the new realm sees what waited, as unread."""
        self.dewi.sends("ana@realm1", "tiga")
        self.claim()
        self.dewi.does(ask.AcceptMove(parse_address("anna")))
        self.assertEqual(self.anna.history("dewi"), ["dewi: dua", "dewi: tiga"])
        self.assertIn("dewi: tiga", self.anna.reads())
        self.comes_back()
        self.assertNotIn("dewi@realm2: tiga", self.ana.reads())

    def test_two_conversations(self) -> None:
        """If both talk with each other already, what waited stays in the old conversation, and waits."""
        self.dewi.sends("anna", "halo")
        self.dewi.sends("ana@realm1", "tiga")
        self.claim()
        self.dewi.does(ask.AcceptMove(parse_address("anna")))
        self.assertEqual(self.anna.history("dewi"), ["dewi: halo"])
        self.comes_back()
        self.assertIn("dewi@realm2: tiga", self.ana.reads())

    def test_declined(self) -> None:
        """Nothing follows, and nobody else may claim the same address."""
        self.claim()
        self.citra.does(ask.DeclineMove(parse_address("anna@realm2")))
        self.dewi.does(ask.AddContact(parse_address("citra@realm3")))
        self.claim()
        self.claim(self.dewi)
        self.assertEqual(self.claims(self.citra), [])
        self.assertRaises(
            UnknownClaim, self.citra.does, ask.AcceptMove(parse_address("anna@realm2"))
        )
        self.assertIn("ana@realm1", self.conversations(self.citra))

    def test_unknown(self) -> None:
        """Only who knows the old address is asked."""
        self.claim(old="budi@realm1")
        self.assertEqual(self.claims(self.citra), [])
        self.assertEqual(self.conversations(self.citra), ["ana@realm1"])

    def test_blocked(self) -> None:
        self.citra.does(ask.BlockPerson(parse_address("anna@realm2")))
        self.claim()
        self.assertEqual(self.claims(self.citra), [])

    def test_old_address_blocked(self) -> None:
        """Somebody who is blocked does not write to them from another address."""
        self.citra.does(ask.BlockPerson(parse_address("ana@realm1")))
        self.claim()
        self.assertEqual(self.claims(self.citra), [])

    def test_blocked_by_claimer(self) -> None:
        """People whom the account has blocked do not hear of its new address from it."""
        self.anna.does(ask.BlockPerson(parse_address("citra@realm3")))
        self.assertEqual(self.claim(), 1)
        self.assertEqual(self.claims(self.citra), [])
        self.assertEqual(len(self.claims(self.dewi)), 1)

    def test_count(self) -> None:
        """People of the lost realm are not asked, nor is the account itself; each other person is once."""
        self.anna.sends("dewi", "halo")
        self.anna.sends("citra@realm3", "halo")
        self.anna.sends("anna", "for me")
        self.one.open()
        self.settle()
        self.anna.does(ask.AddContact(parse_address("budi@realm1")))
        self.one.kill()
        self.assertEqual(self.claim(), 2)

    def test_own_realm(self) -> None:
        for old in ("ana", "ana@realm2"):
            self.assertRaises(BadArgument, self.claim, old=old)

    def test_expired(self) -> None:
        """A claim that is not shown any more can't be confirmed either."""
        self.claim()
        for server in (self.two, self.three):
            server.stepped += store.LIFE / 1000 + 1
        self.assertEqual(self.claims(self.citra), [])
        for command in (ask.AcceptMove, ask.DeclineMove):
            with self.assertRaises(UnknownClaim):
                self.citra.does(command(parse_address("anna@realm2")))
        self.assertEqual(self.conversations(self.citra)[-1], "ana@realm1")

    def test_moved(self) -> None:
        """Where the old realm has said itself that its account has moved, nobody else may claim it."""
        self.one.open()
        self.settle()
        self.citra.sends("anna@realm2", "halo")  # so both conversations stay
        self.moved()
        self.assertIn("ana@realm1", self.conversations(self.citra))
        self.assertIsNotNone(
            self.network.result(self.three.service.database.read(find_move, "ana@realm1"))
        )
        self.dewi.does(ask.AddContact(parse_address("citra@realm3")))
        self.one.kill()
        self.claim(self.dewi)
        self.assertEqual(self.claims(self.citra), [])

    def test_many(self) -> None:
        """An account has a bounded number of open claims, and those of one realm are bounded."""
        for name in ("budi", "eka"):
            claim = AddressClaim("anna", "citra", f"{name}@realm1")
            self.three.receives("realm2", (1 << 60, claim))
        self.assertEqual(self.claims(self.citra), [], "they know neither of them")
        for bound in ("MAX_OPEN", "MAX_OF_REALM"):
            with self.subTest(bound):
                self.patch(store, bound, 0)
                self.claim()
                self.assertEqual(self.claims(self.citra), [])
                self.patch(store, bound, 1)
        self.claim()
        self.assertEqual(self.claims(self.citra), [("anna@realm2", "ana@realm1")])

    def test_contact_only(self) -> None:
        """Somebody who has the old address as a contact, and never wrote, is asked, too."""
        eka = self.two.person("eka")
        self.one.open()
        self.settle()
        eka.does(ask.AddContact(parse_address("budi@realm1")))
        self.one.kill()
        self.dewi.does(ask.AddContact(parse_address("eka")))
        self.claim(self.dewi, old="budi@realm1")
        self.assertEqual(self.claims(eka), [("dewi", "budi@realm1")])
        eka.does(ask.AcceptMove(parse_address("dewi")))
        self.assertEqual([each.username for each in eka.does(ask.ListContacts()).items], ["dewi"])
        self.assertEqual(self.conversations(eka), ["system"])

    def test_bounded(self) -> None:
        for _ in range(3):
            self.claim()
        self.assertRaises(TooManyClaims, self.claim)
        claim = AddressClaim("anna", "citra", "dewi@realm2")
        [verdict] = self.three.receives("realm2", (1 << 60, claim))
        self.assertEqual(verdict.code, "bad-signature")
