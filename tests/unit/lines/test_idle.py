"""Silent connections are closed: always before a login, and if so configured after it."""

from __future__ import annotations

from math import inf

from chatd.lines.silence import UPLOAD_TIME
from tests.unit.lines.cases import (
    ManualClock,
    ProtocolTestCase,
    objects,
    settle,
)


class IdleConnections(ProtocolTestCase):
    """Silence is allowed for 60 seconds before a login, and for the configured time after it."""

    limits = {"idle": 100}

    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    async def test_silence_before_login_closes_after_60_s(self) -> None:
        wire = self.wire()
        self.clock.advance(59)
        await settle()
        self.assertFalse(wire.transport.disconnecting)
        self.clock.advance(1)
        await settle()
        self.assertTrue(wire.transport.disconnecting)
        (event,) = objects(wire.taken())
        self.assertEqual((event["event"], event["code"]), ("closing", "idle"))

    async def test_half_a_line_is_silence(self) -> None:
        """Bytes without a line end do not keep a connection open."""
        wire = self.wire()
        for _ in range(61):
            wire.feed(b"x")
            self.clock.advance(1)
        self.assertTrue(wire.transport.disconnecting)

    async def test_a_line_restarts_the_limit(self) -> None:
        wire = self.wire()
        for _ in range(5):
            self.clock.advance(50)
            await wire.ask(command="ping")
        self.assertFalse(wire.transport.disconnecting)
        self.clock.advance(61)
        self.assertTrue(wire.transport.disconnecting)

    async def test_when_an_account_was_heard(self) -> None:
        """It is the last request on any of its connections. An account without one is never idle."""
        wire = await self.logged_in()
        (account_id,) = self.realm.service.presence.connected()
        last_heard = self.realm.sessions.last_heard
        for pause in (0, 30):
            self.clock.advance(pause)
            await wire.ask(command="ping")
            self.clock.advance(20)
            self.assertEqual(last_heard(account_id), self.clock.seconds() - 20)
        self.assertEqual(last_heard(account_id + 1), inf)

    async def test_session_may_be_silent_for_the_configured_time(self) -> None:
        wire = await self.logged_in()
        self.clock.advance(99)
        self.assertFalse(wire.transport.disconnecting)
        await wire.ask(command="ping")
        self.clock.advance(99)
        self.assertFalse(wire.transport.disconnecting)
        self.clock.advance(2)
        self.assertTrue(wire.transport.disconnecting)
        await settle()
        self.assertEqual(objects(wire.taken())[-1]["code"], "idle")

    async def test_continuing_upload_is_not_silence(self) -> None:
        wire = await self.logged_in()
        await wire.ask(command="sendfile", to="henderson", filename="a", size=10)
        for byte in b"0123456789":
            self.clock.advance(90)
            self.assertFalse(wire.transport.disconnecting)
            wire.feed(bytes([byte]))
        self.assertEqual((await wire.line())["status"], "OK")

    async def test_stalled_upload_is_silence(self) -> None:
        wire = await self.logged_in()
        await wire.ask(command="sendfile", to="henderson", filename="a", size=10)
        wire.feed(b"01234")
        for _ in range(int(UPLOAD_TIME // 50) + 3):
            self.clock.advance(50)
        self.assertTrue(wire.transport.disconnecting or wire.transport.aborted)


class SilentSessions(ProtocolTestCase):
    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    async def test_by_default_a_session_may_be_silent_forever(self) -> None:
        wire = await self.logged_in()
        for _ in range(1000):
            self.clock.advance(3600)
        self.assertEqual((await wire.ask(command="ping"))["message"], "pong")
