"""Attaching sessions to a client, and delivering messages to them."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from chatd.base.read_marks import ReadMark
from chatd.lines.dialects.jsonlines import JsonDialect
from tests.support.common import RealmTestCase


class Attaching(RealmTestCase):
    async def test_login_gets_the_current_profile(self) -> None:
        """A login that began before the profile was changed gets the new one with its session."""
        wire = self.connect(JsonDialect())
        self.addCleanup(wire.lose, Failure(ConnectionDone()))
        await wire.ask(command="register", username="messi", password="surabaya")
        accounts = self.realm.service.accounts
        login = await accounts.login("messi", "surabaya", "192.0.2.1")
        await wire.ask(command="profile", name="Leo")
        wire.protocol.connection.attach(login)
        self.assertEqual((await wire.ask(command="whoami"))["name"], "Leo")


class Delivering(RealmTestCase):
    async def test_ended_session_gets_nothing(self) -> None:
        """Otherwise the marks would move for the next account that logs in on that connection."""
        wire = self.connect(JsonDialect())
        self.addCleanup(wire.lose, Failure(ConnectionDone()))
        await wire.ask(command="register", username="messi", password="surabaya")
        client = wire.protocol.connection.own
        session = client.session
        assert session is not None
        await wire.ask(command="logout")
        client.give(session, {7: ReadMark(3)})
        await wire.ask(command="register", username="lineker", password="surabaya")
        again = wire.protocol.connection.own
        self.assertEqual((client.given, again.given), ({}, {}))
        assert again.session is not None
        again.give(again.session, {7: ReadMark(3)})
        self.assertEqual(again.given, {7: ReadMark(3)})
