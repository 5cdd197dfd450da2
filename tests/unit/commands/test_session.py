"""What a connection has handed out, and to whom."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from chatd.base.model import Message
from chatd.lines.dialects.jsonlines import JsonDialect
from tests.support.common import RealmTestCase


class Attaching(RealmTestCase):
    async def test_a_profile_that_was_changed_meanwhile(self) -> None:
        """A login that began before knows the account as it is when it gets its session."""
        wire = self.connect(JsonDialect())
        self.addCleanup(wire.lose, Failure(ConnectionDone()))
        await wire.ask(command="register", username="messi", password="surabaya")
        accounts = self.realm.service.accounts
        login = await accounts.login("messi", "surabaya", "192.0.2.1")
        await wire.ask(command="profile", name="Leo")
        wire.protocol.connection.attach(login)
        self.assertEqual((await wire.ask(command="whoami"))["name"], "Leo")


class Handing(RealmTestCase):
    async def test_a_session_that_ended_meanwhile_is_given_nothing(self) -> None:
        """Else the marks would move for whoever logs in next on the same connection."""
        wire = self.connect(JsonDialect())
        self.addCleanup(wire.lose, Failure(ConnectionDone()))
        await wire.ask(command="register", username="messi", password="surabaya")
        client = wire.protocol.connection.own
        session = client.session
        assert session is not None
        await wire.ask(command="logout")
        message = Message(1, 7, 3, 0, "henderson", "messi", text="halo")
        client.give(session, [message])
        await wire.ask(command="register", username="lineker", password="surabaya")
        again = wire.protocol.connection.own
        self.assertEqual((client.given, again.given), ({}, {}))
        assert again.session is not None
        again.give(again.session, [message])
        self.assertEqual(again.given, {7: 3})
