"""Changing the display name, and ending all sessions of an account."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from chatd.base.errors import BadToken
from chatd.base.model import Account
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.service.accounts import Accounts
from tests.support.common import RealmTestCase, Wire
from tests.support.inline import result_of
from tests.unit.service.test_messages import MessagesTestCase

PASSWORD = "surabaya"


class WireTestCase(RealmTestCase):
    async def enter(self, name: str, register: bool = False) -> tuple[Wire, str]:
        """Open a connection on which `name` is logged in. Returns it and the token."""
        wire = self.connect(JsonDialect())
        self.addCleanup(wire.lose, Failure(ConnectionDone()))
        command = "register" if register else "auth"
        reply = await wire.ask(command=command, username=name, password=PASSWORD)
        return wire, reply["tokenId"]


class Profile(WireTestCase):
    async def test_whoami(self) -> None:
        """The reply is that of whoami, and values that are not given stay."""
        messi, _ = await self.enter("messi", register=True)
        found = await messi.ask(command="profile", name="Leo Messi", country="Argentina")
        self.assertEqual((found["name"], found["country"]), ("Leo Messi", "Argentina"))
        self.assertEqual(await messi.ask(command="whoami"), found)
        found = await messi.ask(command="profile", country="Inggris")
        self.assertEqual((found["name"], found["country"]), ("Leo Messi", "Inggris"))
        self.assertEqual(await messi.ask(command="profile"), found)
        found = await messi.ask(command="profile", country="")
        self.assertEqual((found["name"], found["country"]), ("Leo Messi", ""))
        self.assertEqual((await messi.ask(command="profile", name=""))["code"], "empty-text")

    async def test_new_name_is_seen_everywhere(self) -> None:
        """Other connections and sessions, lists and later logins see the new name."""
        messi, token = await self.enter("messi", register=True)
        phone, _ = await self.enter("messi")
        laptop = self.connect(JsonDialect())
        self.addCleanup(laptop.lose, Failure(ConnectionDone()))
        await laptop.ask(command="resume", token=token)
        lineker, _ = await self.enter("lineker", register=True)
        await lineker.ask(command="send", to="messi", text="halo")
        await messi.ask(command="profile", name="Leo")
        for wire in (messi, phone, laptop):
            self.assertEqual((await wire.ask(command="whoami"))["name"], "Leo")
        users = await lineker.ask(command="users")
        self.assertIn("Leo", [each["name"] for each in users["users"]])
        found = await lineker.ask(command="conversations")
        self.assertEqual(found["conversations"][0]["name"], "Leo")
        accounts = self.realm.service.accounts
        self.assertEqual(await accounts.display_name("messi"), "Leo")
        fresh = await laptop.ask(command="auth", username="messi", password=PASSWORD)
        self.assertEqual((fresh["message"], fresh["name"]), ("Welcome, Leo", "Leo"))

    async def test_in_a_room(self) -> None:
        """The room shows the new name."""
        messi, _ = await self.enter("messi", register=True)
        lineker, _ = await self.enter("lineker", register=True)
        for wire in (messi, lineker):
            await wire.ask(command="roomjoin", room="tamu")
        await messi.ask(command="profile", name="Leo")
        await messi.ask(command="roomchat", text="halo")
        event = await lineker.line()
        self.assertEqual((event["from"], event["name"], event["text"]), ("messi", "Leo", "halo"))
        rooms = await lineker.ask(command="rooms")
        self.assertEqual(rooms["rooms"], [{"room": "tamu", "users": ["lineker", "messi"]}])

    async def test_kept(self) -> None:
        await self.enter("messi", register=True)
        accounts = self.realm.service.accounts
        account = await accounts.find("messi")
        await accounts.change_profile(account, "Leo", "Argentina")
        await self.reopen()
        found = await self.realm.service.accounts.find("messi")
        self.assertEqual((found.display_name, found.country), ("Leo", "Argentina"))
        self.assertEqual((found.id, found.name), (account.id, "messi"))


class WhatWasReadBefore(MessagesTestCase):
    def test_does_not_bring_the_old_name_back(self) -> None:
        """A read of the account that began before the change does not restore the old name."""
        self.reopen()
        accounts: Accounts = self.service.accounts
        self.database.held_reads = True
        done: Deferred[Account] = Deferred.fromCoroutine(accounts.find("ana"))
        self.database.held_reads = False
        result_of(accounts.change_profile(self.ana, "Ana Dewi", None))
        self.database.answer()
        self.assertEqual(result_of(done).display_name, "Ana Dewi")
        self.assertEqual(result_of(accounts.find("ana")).display_name, "Ana Dewi")


class LogoutEverywhere(WireTestCase):
    async def test_all_sessions_end(self) -> None:
        """All connections of the account are told, and its tokens become invalid. Other accounts are not
        affected."""
        messi, token = await self.enter("messi", register=True)
        phone, other = await self.enter("messi")
        tab = self.connect(JsonDialect())
        self.addCleanup(tab.lose, Failure(ConnectionDone()))
        await tab.ask(command="resume", token=token)
        lineker, _ = await self.enter("lineker", register=True)
        reply = await messi.ask(command="logout", everywhere=True)
        self.assertEqual(reply["message"], "Goodbye, messi; all your sessions have ended")
        for wire in (phone, tab):
            event = await wire.line()
            self.assertEqual(event["event"], "session-ended")
            self.assertEqual(event["message"], "You were logged out everywhere; log in again")
        for wire in (messi, phone, tab):
            self.assertEqual((await wire.ask(command="whoami"))["code"], "not-logged-in")
            self.assertEqual(wire.transport.events, [])
        for each in (token, other):
            with self.assertRaises(BadToken):
                await self.realm.service.accounts.resume(each)
        self.assertEqual((await lineker.ask(command="whoami"))["username"], "lineker")
        again = await messi.ask(command="auth", username="messi", password=PASSWORD)
        self.assertEqual(again["status"], "OK")

    async def test_not_everywhere(self) -> None:
        messi, _ = await self.enter("messi", register=True)
        phone, _ = await self.enter("messi")
        await messi.ask(command="logout", everywhere=False)
        self.assertEqual((await phone.ask(command="whoami"))["status"], "OK")

    async def test_logout_confirms_the_inbox(self) -> None:
        """As with any logout, this confirms that the inbox arrived."""
        messi, _ = await self.enter("messi", register=True)
        lineker, _ = await self.enter("lineker", register=True)
        await lineker.ask(command="send", to="messi", text="halo")
        await messi.ask(command="inbox")
        await messi.ask(command="logout", everywhere=True)
        await messi.ask(command="auth", username="messi", password=PASSWORD)
        self.assertEqual((await messi.ask(command="inbox"))["messages"], [])
