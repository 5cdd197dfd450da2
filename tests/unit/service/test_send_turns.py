"""The order of messages whose targets are looked up."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.model import Account
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.service.send_turns import SendTurn, SendTurns
from tests.support.network import NetworkTestCase

COUNT = 150  # as many as would exceed the recursion limit if each went on inside of the one before
ANA = Account(1, "ana", "ana", "Ana", "")


class SendTurnsTest(SynchronousTestCase):
    def test_order(self) -> None:
        """Each waits for the earlier ones. After the last one, no turn is remembered."""
        turns = SendTurns()
        done: list[str] = []
        looked_up: Deferred[None] = Deferred()

        async def composed(name: str) -> None:
            async with turns.turn(ANA):
                await looked_up
                done.append(name)

        async def plain(name: str) -> None:
            async with turns.in_order(ANA):
                done.append(name)

        sending = [
            Deferred.fromCoroutine(each)
            for each in (composed("a"), composed("b"), plain("c"), plain("d"), plain("e"))
        ]
        self.assertEqual(done, [])
        looked_up.callback(None)
        for each in sending:
            self.successResultOf(each)
        self.assertEqual(done, ["a", "b", "c", "d", "e"])
        self.assertEqual((dict(turns.active), turns._turns), ({}, {}))


class SendTurnTest(SynchronousTestCase):
    def test_cancelled(self) -> None:
        """One that does not wait any more is left out."""
        turn = SendTurn()
        first, second, third = (turn.acquire() for _ in range(3))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.successResultOf(first)
        self.assertNoResult(third)
        turn.release()
        self.successResultOf(third)


class PipelinedTest(NetworkTestCase):
    """Plain messages that are sent while an earlier one is looked up in several steps keep their order,
    however many there are."""

    def setUp(self) -> None:
        super().setUp()
        server = self.network.server("realm1")
        self.ana, self.budi = server.person("ana"), server.person("budi")

    def test_direct(self) -> None:
        budi = parse_address("budi")
        self.ana.sends("budi", "awal")
        self.ana.begins(ask.SendMessage((budi,), "balasan", reply=1))
        for number in range(COUNT):
            self.ana.begins_to_send("budi", f"{number}")
        self.network.settle()
        found = self.ana.does(ask.ShowHistory(Place(user=budi), 500)).items
        expected = ["awal", "balasan", *map(str, range(COUNT))]
        self.assertEqual([each.text for each in found], expected)

    def test_group(self) -> None:
        self.ana.creates("bagan")
        self.ana.posts("bagan", "awal")
        self.ana.begins(ask.SendGroupMessage(parse_address("bagan"), "balasan", reply=2))
        for number in range(5):
            self.ana.begins_to_post("bagan", f"{number}")
        self.network.settle()
        expected = [f"ana: {each}" for each in ("awal", "balasan", *range(5))]
        self.assertEqual(self.ana.history(group="bagan"), expected)
