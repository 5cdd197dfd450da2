"""Bans of accounts, networks and realms: who gets in, who is told what, and when a ban ends."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred

from chatd.base.ban_targets import BanTarget, parse_ban_target
from chatd.base.errors import BadToken, Banned, NotBannedHere, TooManyBans, WrongPassword
from chatd.base.model import Account
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.service.audit import Act
from chatd.store import access_bans as store
from tests.support.common import ClockedTestCase, Wire

SOURCE = "192.0.2.1"
PASSWORD = "surabaya"


class BanTestCase(ClockedTestCase):
    @property
    def bans(self) -> Any:
        return self.realm.service.access_bans

    def act(self) -> Act:
        return self.realm.service.audit.act(Principal("local", OPERATOR), "admin.ban", None, "")

    async def ban(self, text: str, seconds: int | None = None, reason: str = "") -> None:
        target = parse_ban_target(text)
        account = None
        if target.kind == "account":
            account = await self.realm.service.accounts.find(target.name)
        await self.bans.add(self.act(), target, account, reason, seconds)

    async def account(self, name: str = "messi") -> Account:
        return await self.realm.service.accounts.add(name, PASSWORD, None, None)


class Networks(BanTestCase):
    async def test_what_a_ban_covers(self) -> None:
        await self.ban("198.51.100.0/24")
        await self.ban("203.0.113.9")
        await self.ban("2001:db8::5")
        inside = ("198.51.100.255", "203.0.113.9", "::ffff:203.0.113.9", "2001:db8::ffff:1")
        outside = ("198.51.101.0", "203.0.113.8", "2001:db8:0:1::5", "local", "", None)
        self.assertEqual([host for host in inside if self.bans.of_address(host) is None], [])
        self.assertEqual([host for host in outside if self.bans.of_address(host)], [])
        await self.bans.remove(self.act(), parse_ban_target("198.51.100.7/24"))
        self.assertIsNone(self.bans.of_address("198.51.100.255"))

    async def test_it_ends(self) -> None:
        await self.ban("198.51.100.0/24", 60, "floods")
        refusal = str(self.bans.refusal("198.51.100.1"))
        self.assertEqual(
            refusal,
            "You are banned from realm1 until 1970-01-12T13:47:40Z (floods); ask its operators",
        )
        self.clock.advance(60)
        self.assertIsNone(self.bans.refusal("198.51.100.1"))
        self.assertEqual(self.bans.list(None, 10), ([], 0))
        gone = self.bans.remove(self.act(), parse_ban_target("198.51.100.0/24"))
        self.assertIs(await self.refused(gone), NotBannedHere)

    async def test_after_a_restart(self) -> None:
        await self.ban("198.51.100.0/24", 60)
        await self.ban("203.0.113.9")
        self.clock.advance(60)
        await self.reopen()
        self.assertIsNone(self.bans.of_address("198.51.100.1"))
        self.assertIsNotNone(self.bans.of_address("203.0.113.9"))

    async def test_a_later_ban_replaces_an_earlier_one(self) -> None:
        await self.ban("203.0.113.9", 60, "one")
        await self.ban("203.0.113.9/32", None, "two")
        found, more = self.bans.list("network", 10)
        self.assertEqual([(ban.reason, ban.until) for ban in found], [("two", None)])
        self.assertEqual(more, 0)

    async def test_limit(self) -> None:
        self.patch(store, "MAX_BANS", 2)
        await self.ban("203.0.113.1", 60)
        await self.ban("203.0.113.2")
        self.assertIs(await self.refused(self.ban("203.0.113.3")), TooManyBans)
        await self.ban("203.0.113.2", None, "again")
        self.clock.advance(60)
        await self.ban("203.0.113.3")
        self.assertEqual(len(self.bans.list(None, 10)[0]), 2)


class Connections(BanTestCase):
    def arrive(self, host: str) -> tuple[Wire, list[dict[str, Any]]]:
        wire = Wire(self.realm.door(JsonDialect()), host)
        return wire, [json.loads(line) for line in wire.taken().splitlines()]

    async def test_a_new_connection_is_told_and_closed(self) -> None:
        await self.ban("203.0.113.0/24", 60)
        wire, lines = self.arrive("203.0.113.77")
        self.assertEqual([line.get("code") for line in lines], ["banned"])
        self.assertIn("until 1970-01-12T13:47:40Z", lines[0]["message"])
        self.assertTrue(wire.transport.disconnecting)
        wire, lines = self.arrive("198.51.100.1")
        self.assertEqual(lines, [])
        self.assertFalse(wire.transport.disconnecting)

    async def test_open_connections_are_told_and_closed(self) -> None:
        door = self.realm.door(JsonDialect())
        banned, other = Wire(door, "203.0.113.77"), Wire(door, "198.51.100.1")
        self.bans.on_network(door.close_banned)
        for wire in (banned, other):
            wire.taken()
        await self.ban("203.0.113.0/24")
        self.assertEqual(json.loads(banned.taken())["code"], "banned")
        self.assertTrue(banned.transport.disconnecting)
        self.assertEqual(other.taken(), b"")
        self.assertFalse(other.transport.disconnecting)


class BannedAccounts(BanTestCase):
    async def test_sessions_and_logins(self) -> None:
        accounts = self.realm.service.accounts
        await self.account()
        login = await accounts.login("messi", PASSWORD, SOURCE)
        assert login.token is not None
        await self.ban("MESSI", 60)
        self.assertIs(await self.refused(accounts.resume(login.token)), BadToken)
        self.assertIs(await self.refused(accounts.login("messi", PASSWORD, SOURCE)), Banned)
        wrong = accounts.login("messi", "wrong-password", SOURCE)
        self.assertIs(await self.refused(wrong), WrongPassword)
        self.clock.advance(60)
        await accounts.login("messi", PASSWORD, SOURCE)

    async def test_a_login_that_is_under_way(self) -> None:
        """The session that it stores after the ban does not count."""
        accounts = self.realm.service.accounts
        account = await self.account()
        target = BanTarget("account", "messi")
        banning = Deferred.fromCoroutine(self.bans.add(self.act(), target, account, "", None))
        logging_in = Deferred.fromCoroutine(accounts.login("messi", PASSWORD, SOURCE))
        await banning
        self.assertIs(await self.refused(logging_in), Banned)


class BannedRealms(BanTestCase):
    async def test_context(self) -> None:
        """The links are told at each change, also when a ban ends."""
        context, told = self.realm.service.context, []
        context.on_banned(lambda: told.append(sorted(context.blocked_realms)))
        await self.ban("@@Realm2", 60)
        await self.ban("@@realm3")
        self.clock.advance(61)
        await self.bans.remove(self.act(), parse_ban_target("@@realm3"))
        self.assertEqual(told, [["realm2"], ["realm2", "realm3"], ["realm3"], []])

    async def test_after_a_restart(self) -> None:
        await self.ban("@@realm2")
        await self.reopen()
        self.assertEqual(self.realm.service.context.blocked_realms, {"realm2"})
