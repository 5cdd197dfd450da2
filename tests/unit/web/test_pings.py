"""WebSockets whose client has vanished are noticed."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure
from twisted.web._websocket_impl import Buffer
from wsproto.utilities import LocalProtocolError

from chatd.web import websocket_frames
from chatd.web.web_dialect import WebDialect
from chatd.web.websocket import ChatWebSocket
from tests.support.common import ClockedTestCase, run
from tests.support.peering import until
from tests.support.websites import SiteTestCase

PING_TIME = (
    10.0  # shorter than the default, because an unauthenticated connection closes after 60 s
)
SHIPPED = websocket_frames.PING_TIME
ADDRESS = IPv4Address("TCP", "192.0.2.7", 50000)


class Stream:
    """The byte stream below a WebSocket, and its HTTP channel and request."""

    def __init__(self) -> None:
        self.transport = self.channel = self
        self.aborted = False
        self.fed = b""

    def getClientAddress(self) -> IPv4Address:  # noqa: N802
        return ADDRESS

    def dataReceived(self, data: bytes) -> None:
        self.fed += data

    def upgraded(self) -> None: ...

    def getHeader(self, _name: str) -> None: ...  # noqa: N802

    def abortConnection(self) -> None:
        self.aborted = True

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class Wire:
    """Twisted's WebSocket transport."""

    def __init__(self) -> None:
        self.pings = 0
        self.fails = False
        self._textBuffer, self._bytesBuffer = Buffer(""), Buffer(b"")

    def ping(self) -> None:
        if self.fails:
            raise LocalProtocolError
        self.pings += 1

    def sendTextMessage(self, text: str) -> None: ...  # noqa: N802

    def loseConnection(self, code: int) -> None: ...

    def attachProducer(self, producer: Any) -> None: ...  # noqa: N802

    def detachProducer(self) -> None: ...  # noqa: N802


class Vanished(ClockedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(websocket_frames, "PING_TIME", PING_TIME)
        self.stream = Stream()
        self.wire = Wire()
        request: Any = self.stream
        self.socket = ChatWebSocket(self.realm.door(WebDialect()), request, None, refused=False)
        self.socket.negotiationStarted(self.wire)
        self.socket.negotiationFinished()
        self.addCleanup(self.lose)

    def lose(self) -> None:
        self.socket.connectionLost(Failure(ConnectionAborted()))

    def test_as_shipped(self) -> None:
        self.assertEqual(SHIPPED, 30.0)

    def test_no_answer(self) -> None:
        self.clock.advance(PING_TIME)
        self.assertEqual((self.wire.pings, self.stream.aborted), (1, False))
        self.clock.advance(PING_TIME - 0.1)
        self.assertFalse(self.stream.aborted)
        self.clock.advance(0.1)
        self.assertTrue(self.stream.aborted)

    def test_answers(self) -> None:
        """Any byte shows that the client is alive, not only a pong."""
        for count in range(1, 6):
            self.clock.advance(PING_TIME)
            self.assertEqual((self.wire.pings, self.stream.aborted), (count, False))
            self.stream.dataReceived(b"x")

    def test_nothing_is_read(self) -> None:
        """While reading is paused, silence means nothing."""
        self.socket._frames.pauseProducing()
        for _ in range(3):
            self.clock.advance(PING_TIME)
        self.assertFalse(self.stream.aborted)
        self.socket._frames.resumeProducing()
        self.clock.advance(PING_TIME)
        self.assertTrue(self.stream.aborted)

    def test_closed_meanwhile(self) -> None:
        """A ping that can't be sent raises nothing."""
        self.wire.fails = True
        self.clock.advance(PING_TIME)
        self.assertFalse(self.stream.aborted)

    def test_closed_and_still_there(self) -> None:
        """After a close frame from either side, the connection below ends."""
        self.wire.fails = True
        for _ in range(2):
            self.clock.advance(PING_TIME)
        self.assertTrue(self.stream.aborted)

    def test_closed_here_and_still_there(self) -> None:
        self.socket.bytesMessageReceived(b"{}")
        self.assertFalse(self.stream.aborted)
        self.clock.advance(PING_TIME)
        self.assertTrue(self.stream.aborted)

    def test_flood(self) -> None:
        """Frames without text are charged piece by piece, since one read may have ten thousand of them. The
        rest is read later, in order."""
        flood = b"".join(f"{count:06}".encode() for count in range(11_000))
        self.stream.dataReceived(flood)
        at_once = len(self.stream.fed)
        self.assertLess(at_once, 24 << 10)
        self.clock.advance(3.0)
        self.assertTrue(at_once < len(self.stream.fed) < len(flood))
        for _ in range(60):
            self.clock.advance(0.5)
        self.assertEqual(self.stream.fed, flood)

    def test_gone(self) -> None:
        """No timer is left."""
        self.lose()
        self.clock.advance(PING_TIME * 3)
        self.assertEqual(self.wire.pings, 0)


class Alive(SiteTestCase):
    def test_pings_are_answered(self) -> Any:
        """A real connection stays open by its pongs alone."""

        async def play() -> None:
            self.patch(websocket_frames, "PING_TIME", 0.02)
            socket = await self.open((await self.register("messi")).cookie)
            await until(lambda: socket.pings > 5)
            self.assertEqual((await socket.ask(command="ping"))["status"], "OK")
            await socket.close()

        return run(play())
