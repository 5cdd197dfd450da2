"""When realms were last reached: noted to the hour, kept over kills, moved back with the clock."""

from __future__ import annotations

from typing import Any

from chatd.simulate.servers import Server
from chatd.store import reached as store
from chatd.store.reached import LastContact
from tests.support.network import LinkedTestCase

HOUR = 3_600_000  # ms
LONG = 7200  # seconds


class ReachedTestCase(LinkedTestCase):
    settings = {"groups": {"rescue_after": LONG}}

    def contact(self, server: Server) -> LastContact:
        found: LastContact | None = server.realm.database.now(
            lambda db: store.contact_with(db, "realm2")
        )
        assert found is not None
        return found

    def away(self) -> int | None:
        found: int | None = self.network.result(self.one.realm.federation.reached.away("realm2"))
        return found

    def test_linked(self) -> None:
        began = self.contact(self.one).at
        self.assertEqual(self.away(), 0)
        self.network.advance(3_650)
        self.assertEqual(self.contact(self.one), LastContact(began + HOUR))
        self.assertIsNone(self.network.result(self.one.realm.federation.reached.away("realm3")))

    def test_away(self) -> None:
        """A short absence is no long one, and a long one is remembered after a kill and the return."""
        self.two.kill()
        self.network.advance(3600)
        self.one.restart()
        self.network.advance(60)
        self.assertGreaterEqual(self.away() or 0, HOUR)
        self.two.open()
        self.meet()
        met = self.contact(self.one)
        self.assertEqual((met.away_from, met.away_to), (None, None))
        self.two.kill()
        self.one.kill()
        self.network.advance(LONG + 60)
        self.two.open()
        self.one.open()
        self.meet()
        now = self.contact(self.one)
        self.assertEqual((now.away_from, now.away_to), (met.at, now.at))
        self.assertGreater(now.at - met.at, LONG * 1000)

    def test_few_writes(self) -> None:
        """Links that come and go cost one row an hour."""
        reached = self.one.realm.federation.reached
        self.network.settle()
        runs: list[Any] = []
        self.patch(reached._database, "run", lambda *each: runs.append(each) or None)  # type: ignore[func-returns-value]
        for _ in range(100):
            reached.link_down("realm2")
            reached.link_up("realm2")
        self.assertEqual(runs, [])

    def test_clock_moves_back(self) -> None:
        database = self.one.realm.database

        def note(now: int) -> None:
            database.now(lambda db: store.note_contacts(db, ["realm2"], now, HOUR))

        note(HOUR * 1_000_000)
        note(HOUR)
        self.assertEqual(self.contact(self.one).at, HOUR)

    def test_forgotten_realm(self) -> None:
        """A realm that is lost may be forgotten by an operator. Its groups can be rescued nevertheless."""
        self.budi.creates("bagan")
        self.ana.joins("bagan@realm2")
        self.network.settle()
        database = self.one.realm.database
        database.now(lambda db: store.note_contacts(db, ["realm3"], 1, HOUR))
        database.now(lambda db: store.forget(db, ["realm2", "realm3"]))
        self.assertTrue(self.contact(self.one))
        self.assertIsNone(database.now(lambda db: store.contact_with(db, "realm3")))
