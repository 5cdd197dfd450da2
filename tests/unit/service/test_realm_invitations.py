"""Who may register: invitations are counted with the accounts, and can't be guessed."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import select
from twisted.internet.defer import Deferred

from chatd.base.config import AccountsConfig, Config
from chatd.base.errors import (
    BadInvitation,
    InvitationNeeded,
    RegistrationClosed,
    TooManyCodes,
    UserExists,
)
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.service.login_guard import FREE_FAILURES_PER_ADDRESS
from chatd.store.schema import realm_invitations
from tests.support.common import CHEAP, ClockedTestCase

HERE, THERE = "192.0.2.1", "192.0.2.2"
PASSWORD = "surabaya"
WRONG = "3f7k-9q2m-4cvd-h81x"
DAY = 86_400


class Invitations(ClockedTestCase):
    def make_config(self) -> Config:
        accounts = AccountsConfig(registration="invite", argon2=CHEAP)
        return msgspec.structs.replace(super().make_config(), accounts=accounts)

    async def code(self, uses: int = 1) -> str:
        service = self.realm.service
        act = service.audit.act(Principal("local", OPERATOR), "admin.invite.new", None, "")
        return (await service.realm_invitations.new(act, uses, DAY, "")).code

    def register(self, name: str, code: str | None, source: str = HERE) -> Any:
        return self.realm.service.accounts.register(name, PASSWORD, None, None, source, code)

    async def used(self) -> list[int]:
        query = select(realm_invitations.c.used)
        return await self.realm.database.read(lambda connection: list(connection.scalars(query)))

    def set_registration(self, mode: str) -> None:
        config = self.realm.config
        accounts = msgspec.structs.replace(config.accounts, registration=mode)
        self.realm.use(msgspec.structs.replace(config, accounts=accounts))

    async def test_as_typed(self) -> None:
        """The case, hyphens and letters that look like digits do not matter."""
        code = await self.code()
        typed = code.replace("-", "").upper().replace("0", "O").replace("1", "I")
        await self.register("messi", typed)
        self.assertEqual(await self.used(), [1])

    async def test_stored_as_hash(self) -> None:
        code = await self.code()
        rows = await self.realm.database.read(
            lambda connection: connection.execute(select(realm_invitations)).all()
        )
        self.assertNotIn(code, repr(rows))
        self.assertNotIn(code.replace("-", ""), repr(rows))

    async def test_at_the_same_moment(self) -> None:
        """Of several who use the last use, one gets an account. A name that is taken uses nothing."""
        code = await self.code(2)
        await self.register("messi", code)
        self.assertIs(await self.refused(self.register("Messi", code)), UserExists)
        self.assertEqual(await self.used(), [1])
        trying = [Deferred.fromCoroutine(self.register(name, code)) for name in ("a", "b", "c")]
        found = [await self.refused(each) for each in trying]
        self.assertEqual(
            sorted(map(str, found)), sorted(map(str, [None, BadInvitation, BadInvitation]))
        )
        self.assertEqual(await self.used(), [2])

    async def test_modes(self) -> None:
        """A reload changes who may register. Where everybody may, no code is looked at or used."""
        code = await self.code(5)
        self.assertIs(await self.refused(self.register("messi", None)), InvitationNeeded)
        self.set_registration("closed")
        self.assertIs(await self.refused(self.register("messi", code)), RegistrationClosed)
        self.set_registration("open")
        await self.register("messi", code)
        await self.register("henderson", WRONG)
        self.assertEqual(await self.used(), [0])
        self.set_registration("invite")
        await self.register("lineker", code)
        self.assertEqual(await self.used(), [1])

    async def test_guesses(self) -> None:
        """Wrong codes from an address are followed by pauses, and in the end by refusals. Another address is
        not delayed."""
        code = await self.code()
        for _ in range(FREE_FAILURES_PER_ADDRESS):
            self.assertIs(await self.refused(self.register("messi", WRONG)), BadInvitation)
        trying = [Deferred.fromCoroutine(self.register(f"x{n}", WRONG)) for n in range(12)]
        refused = [each for each in trying if each.called]
        self.assertTrue(refused)
        for each in refused:
            self.assertIs(await self.refused(each), TooManyCodes)
        await self.register("messi", code, THERE)
        self.clock.pump([10.0] * 10)
        for each in trying:
            each.addErrback(lambda failure: failure.trap(BadInvitation, TooManyCodes))
