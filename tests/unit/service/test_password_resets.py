"""Guesses of the tokens with which people choose another password."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatd.base.errors import BadResetLink, TooManyCodes
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.service.login_guard import FREE_FAILURES_PER_ADDRESS
from tests.support.common import ClockedTestCase

HERE, THERE = "192.0.2.1", "192.0.2.2"
WRONG, NEW = "x" * 43, "another-password"


class Guesses(ClockedTestCase):
    async def test_guesses(self) -> None:
        """Wrong tokens from an address are followed by pauses, and in the end by refusals. Another address is
        not delayed."""
        service = self.realm.service
        account = await service.accounts.add("messi", "surabaya", None, None)
        act = service.audit.act(Principal("local", OPERATOR), "admin.user.reset", "messi", "")
        token = (await service.resets.new(act, account)).link.rpartition("/")[2]
        for _ in range(FREE_FAILURES_PER_ADDRESS):
            self.assertIs(await self.refused(service.resets.use(WRONG, NEW, HERE)), BadResetLink)
        trying = [Deferred.fromCoroutine(service.resets.use(WRONG, NEW, HERE)) for _ in range(12)]
        self.assertIs(await self.refused(trying.pop()), TooManyCodes)
        await service.resets.use(token, NEW, THERE)
        self.clock.pump([10.0] * 10)
        for each in trying:
            each.addErrback(lambda failure: failure.trap(BadResetLink, TooManyCodes))
