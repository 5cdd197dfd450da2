"""Realms whose message requests people here do not want are paused."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent

from chatd.base.errors import ChatError
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.simulate.people import Person
from chatd.store.reputation import COUNTED, LEAST_UNWANTED
from tests.support.network import LinkedTestCase

ANA = "ana@realm1"
NAMES = [f"user{each}" for each in range(LEAST_UNWANTED)]


class PausedTestCase(LinkedTestCase):
    """realm1 has added realm2, and realm2 nobody."""

    settings = {"strangers": "requests"}

    def setUp(self) -> None:
        super().setUp()
        self.people = [self.two.person(name) for name in NAMES]

    def asks(self, name: str, sender: str = "ana") -> str:
        """Somebody in realm1 writes to somebody in realm2, and waits. Returns the state or the code."""
        who = self.ana if sender == "ana" else self.one.person(sender)
        begun = who.begins(ask.SendMessage((parse_address(f"{name}@realm2"),), "halo", wait=True))
        try:
            state: str = self.network.result(begun, 1).data["state"]
        except ChatError as error:
            return error.code
        return state

    def paused(self) -> int | None:
        """Until when the list of realms says that realm1 is paused."""
        realms = self.budi.does(ask.ListRealms()).items
        until: int | None = next(each.paused for each in realms if each.realm == "realm1")
        return until

    def decline(self, who: Person) -> None:
        who.does(ask.DeclineInvitation(Place(user=parse_address(ANA))))

    def pause(self) -> None:
        for name in NAMES:
            self.assertEqual(self.asks(name), "requested")
        for who in self.people[1:]:
            self.decline(who)
        self.assertEqual((self.paused(), self.asks("nobody")), (None, "requested"))
        self.people[0].does(ask.BlockPerson(parse_address(ANA)))

    def test_paused(self) -> None:
        """New requests are refused, whether or not there is such an account. The operator is told."""
        with capturedLogs() as logged:
            self.pause()
        warnings = [formatEvent(each) for each in logged if "paused" in formatEvent(each)]
        self.assertEqual(len(warnings), 1)
        self.assertIn("realm1", warnings[0])
        now, until = self.two.realm.service.context.now(), self.paused() or 0
        self.assertTrue(now < until <= now + COUNTED)
        self.assertEqual({self.asks("budi"), self.asks("nobody2")}, {"request-pending"})
        self.assertEqual(self.asks("citra", "other"), "request-pending")

    def test_acquaintances_go_on(self) -> None:
        self.budi.sends(ANA, "hai")
        self.pause()
        self.assertEqual(self.asks("budi"), "delivered")

    def test_wanted_again(self) -> None:
        """Somebody who accepts later counts for the realm."""
        self.pause()
        self.people[1].sends(ANA, "hai")
        self.assertIsNone(self.paused())
        self.assertEqual(self.asks("budi"), "requested")

    def test_blocking_a_realm(self) -> None:
        """Blocking the realm counts like blocking its person, once for each account."""
        for name in NAMES:
            self.asks(name)
        for who in self.people:
            who.does(ask.BlockPerson("realm1"))
            who.does(ask.BlockPerson(parse_address(ANA)))
        self.assertIsNotNone(self.paused())

    def test_blocks_of_those_who_were_not_asked(self) -> None:
        """An account that no request has reached has no say."""
        for who in self.people:
            who.does(ask.BlockPerson(parse_address(ANA)))
        self.assertIsNone(self.paused())
