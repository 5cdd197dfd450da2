"""The order of messages whose targets are looked up."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.model import Account
from chatd.service.send_turns import SendTurns

ANA = Account(1, "ana", "ana", "Ana", "", False)


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
            with turns.looking_up(ANA):
                await turns.wait(ANA)
                done.append(name)

        sending = [
            Deferred.fromCoroutine(each) for each in (composed("a"), composed("b"), plain("c"))
        ]
        self.assertEqual(done, [])
        looked_up.callback(None)
        for each in sending:
            self.successResultOf(each)
        self.assertEqual(done, ["a", "b", "c"])
        self.assertEqual((dict(turns.active), turns._turns), ({}, {}))
