"""What a connection has handed out, and to whom."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from chatd.lines.jsonlines import JsonDialect
from chatd.model import Message
from tests.common import RealmTestCase


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
