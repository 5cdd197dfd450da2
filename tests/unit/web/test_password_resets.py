"""Choosing another password with the token of a link: once, within an hour, and not by guessing."""

from __future__ import annotations

from unittest.mock import patch

import msgspec
from sqlalchemy import select

from chatd.base.errors import BadToken, NoWebDoor, WrongPassword
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.service.audit import Act
from chatd.store import audit
from chatd.store.schema import password_resets
from tests.support.rawhttp import RawTestCase
from tests.support.websites import PASSWORD, Answer

NEW = "another-password"
HERE = "192.0.2.1"


class Resets(RawTestCase):
    def act(self) -> Act:
        return self.realm.service.audit.act(
            Principal("local", OPERATOR), "admin.user.reset", "messi", ""
        )

    async def token(self) -> str:
        service = self.realm.service
        account = await service.accounts.find("messi")
        return (await service.resets.new(self.act(), account)).link.rpartition("/")[2]

    async def reset(self, token: str, password: str = NEW) -> Answer:
        return await self.ask("POST", "/reset", {"token": token, "password": password})

    async def test_once(self) -> None:
        """The sessions end, also those in use; the second use is refused, and so is an earlier link."""
        await self.people("messi")
        accounts = self.realm.service.accounts
        login = await accounts.login("messi", PASSWORD, HERE)
        assert login.token is not None
        early, token = await self.token(), await self.token()
        self.assertEqual((await self.reset(early)).json["code"], "bad-reset-link")
        weak = await self.reset(token, "short")
        self.assertEqual((weak.code, weak.json["code"]), (400, "weak-password"))
        done = await self.reset(token)
        self.assertEqual((done.code, done.json["username"]), (200, "messi"))
        with self.assertRaises(BadToken):
            await accounts.resume(login.token)
        with self.assertRaises(WrongPassword):
            await accounts.login("messi", PASSWORD, HERE)
        await accounts.login("messi", NEW, HERE)
        again = await self.reset(token, "a-third-password")
        self.assertEqual((again.code, again.json["code"]), (403, "bad-reset-link"))

    async def entries(self) -> list[tuple[str, str, str | None, str, str]]:
        found, _ = await self.realm.service.audit.list(10, None)
        return [(each.actor, each.act, each.target, each.detail, each.outcome) for each in found]

    async def test_audit_log(self) -> None:
        """It has the use of a link, and neither wrong tokens nor anything of the token."""
        await self.people("messi")
        token = await self.token()
        before = await self.entries()
        await self.reset("x" * len(token))
        await self.reset(token, "short")
        self.assertEqual(await self.entries(), before)
        await self.reset(token)
        used = ("messi", "password.reset", "messi", "by a link", "done")
        self.assertEqual(await self.entries(), [used, *before])

    async def test_no_change_without_an_entry(self) -> None:
        """If the audit log can't learn of it, the password stays, and so does the link."""
        await self.people("messi")
        token = await self.token()

        def fail(*args: object) -> None:
            raise OSError("no entry")

        with patch.object(audit, "add_entry", fail):
            self.assertEqual((await self.reset(token)).code, 500)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        await self.realm.service.accounts.login("messi", PASSWORD, HERE)
        self.assertEqual((await self.reset(token)).code, 200)

    async def test_replaced_by_another_password(self) -> None:
        """A link does not replace a password that an operator or the person has set after it."""
        await self.people("messi")
        service = self.realm.service
        account = await service.accounts.find("messi")
        token = await self.token()
        await service.managed.set_password(self.act(), account, "third-password")
        self.assertEqual((await self.reset(token)).json["code"], "bad-reset-link")
        token = await self.token()
        change = service.accounts.change_password
        await change(account, "third-password", "fourth-password", b"", HERE)
        self.assertEqual((await self.reset(token)).json["code"], "bad-reset-link")

    async def test_expired(self) -> None:
        await self.people("messi")
        token = await self.token()
        rows = await self.realm.database.read(
            lambda connection: list(connection.execute(select(password_resets)))
        )
        [row] = rows
        self.assertNotIn(token.encode(), row.token_hash)
        now = self.realm.service.context.now()
        self.assertTrue(0 <= now + 3_600_000 - row.expires_at < 60_000)
        context = self.realm.service.context
        later = context.wall() + 3601
        self.patch(context, "wall", lambda: later)
        self.assertEqual((await self.reset(token)).json["code"], "bad-reset-link")

    async def test_refused(self) -> None:
        """GET does not use a link, and a request needs a token."""
        await self.people("messi")
        self.assertEqual((await self.ask("GET", "/reset")).json["code"], "bad-method")
        self.assertEqual((await self.ask("POST", "/reset", {})).json["code"], "bad-reset-link")

    async def test_without_a_door(self) -> None:
        await self.people("messi")
        context = self.realm.service.context
        self.patch(context, "config", msgspec.structs.replace(context.config, listen={}))
        with self.assertRaises(NoWebDoor):
            await self.token()
