"""Operators who manage accounts over connections: what the accounts' clients notice, their own included."""

from __future__ import annotations

from chatd.lines.dialects.jsonlines import JsonDialect
from tests.support.common import ClockedTestCase, Wire, make_operator

PASSWORD = "surabaya"


class Managing(ClockedTestCase):
    async def entered(self, name: str) -> Wire:
        """A connection that the account is logged in to."""
        wire = self.connect(JsonDialect())
        await wire.ask(command="auth", username=name, password=PASSWORD)
        return wire

    async def prepare(self) -> Wire:
        """An operator's connection."""
        await self.realm.service.accounts.add("messi", PASSWORD, "Lionel Messi", "Argentina")
        await make_operator(self.realm, "messi")
        return await self.entered("messi")

    async def test_an_operator_logs_out(self) -> None:
        """The reply still arrives, and the connection has no session after it."""
        for given in ({}, {"session": 1}):
            with self.subTest(given=given):
                if given:
                    operator = await self.entered("messi")
                    listed = await operator.ask(command="admin.user.sessions", user="messi")
                    given = {"session": listed["account_sessions"][0]["session"]}
                else:
                    operator = await self.prepare()
                other = await self.entered("messi")
                reply = await operator.ask(command="admin.user.logout", user="messi", **given)
                self.assertEqual(reply["status"], "OK")
                self.assertEqual((await operator.ask(command="whoami"))["code"], "not-logged-in")
                if not given:
                    self.assertEqual((await other.line())["event"], "session-ended")

    async def test_an_operator_disables_themselves(self) -> None:
        operator = await self.prepare()
        await self.realm.service.accounts.add("lina", PASSWORD, None, None)
        await make_operator(self.realm, "lina")
        other = await self.entered("messi")
        reply = await operator.ask(command="admin.user.disable", user="messi")
        self.assertEqual(reply["status"], "OK")
        ended = await other.line()
        self.assertEqual(ended["event"], "session-ended")
        self.assertIn("disabled", ended["message"])
        self.assertEqual((await operator.ask(command="whoami"))["code"], "not-logged-in")

    async def test_a_role_counts_at_once(self) -> None:
        """Also on connections that were open before it was given or taken."""
        operator = await self.prepare()
        await self.realm.service.accounts.add("lina", PASSWORD, None, None)
        lina = await self.entered("lina")
        self.assertEqual((await lina.ask(command="admin.user.list"))["code"], "not-moderator")
        for role, status in (("moderator", "OK"), ("user", "ERROR")):
            await operator.ask(command="admin.user.role", user="lina", role=role)
            self.assertEqual((await lina.ask(command="admin.user.list"))["status"], status)

    async def test_what_is_shown(self) -> None:
        operator = await self.prepare()
        reply = await operator.ask(command="admin.user.show", user="Messi")
        self.assertEqual((reply["country"], reply["sessions"]), ("Argentina", 1))
        self.assertIn("used", reply)
