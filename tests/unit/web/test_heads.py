"""Malformed requests are answered without warnings or tracebacks in the log."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from chatd.web.metrics_site import MetricsSite
from tests.support.common import run
from tests.support.rawhttp import Raw, RawTestCase

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
TOKEN = "Tm9ib2R5IHNob3VsZCBldmVyIHNlZSB0aGlzIHRva2U"


class HeadTestCase(RawTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.logged: list[LogEvent] = []
        observe: Any = self.logged.append
        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def check_log(self) -> None:
        """No warning and no error was logged."""
        found = [formatEvent(event) for event in self.logged if event["log_level"] >= LogLevel.warn]
        self.assertEqual(found, [])
        self.assertEqual(self.flushLoggedErrors(), [])


class Lengths(HeadTestCase):
    async def statuses(self, raw: Raw, fields: str) -> int:
        raw.send(f"POST /session HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n".encode())
        status = (await raw.answer()).status
        raw.cut()
        return status

    def test_long_numbers(self) -> Any:
        """Numbers with more digits than Python parses."""

        async def play() -> None:
            for digits in (19, 4300, 4301, 16_000):
                fields = f"Content-Length: {'9' * digits}"
                self.assertEqual(await self.statuses(await self.dial(), fields), 400, digits)
                fields += "\r\nAccept: */*"
                self.assertEqual(await self.statuses(await self.dial(), fields), 400, digits)
            fields = f"content-length: {'9' * 18}"
            self.assertEqual(await self.statuses(await self.dial(), fields), 413)
            self.check_log()

        return run(play())

    def test_unknown_transfer_encodings(self) -> Any:
        """A proxy may see the end of such a body elsewhere."""

        async def play() -> None:
            for value in ("identity", "gzip, chunked", "chunked, identity", ""):
                raw = await self.dial()
                self.assertEqual(
                    await self.statuses(raw, f"Transfer-Encoding: {value}"), 400, value
                )
            self.check_log()

        return run(play())

    def test_at_the_metrics(self) -> Any:
        async def play() -> None:
            realm: Any = self.realm
            site = MetricsSite(reactor, realm.service, realm.sessions, self.connections)
            net: Any = reactor
            port = net.listenTCP(0, site, interface="127.0.0.1")
            self.addCleanup(port.stopListening)
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
            raw: Raw = await connectProtocol(endpoint, Raw())
            self.assertEqual(await self.statuses(raw, f"Content-Length: {'9' * 5000}"), 400)
            await raw.gone()
            self.check_log()

        return run(play())


class Forms(HeadTestCase):
    def test_names_of_parts(self) -> Any:
        """Forms are not parsed."""

        async def play() -> None:
            for name in (b'name="\xff"', b"name*=utf-8''x", b'name="x"'):
                body = b"--b\r\nContent-Disposition: form-data; " + name + b"\r\n\r\nx\r\n--b--\r\n"
                answer = await self.say(
                    "POST", "/session", body=body, Content_Type="multipart/form-data; boundary=b"
                )
                self.assertEqual((answer.status, answer.json["code"]), (400, "bad-syntax"), name)
            self.check_log()

        return run(play())


class Handshakes(HeadTestCase):
    def test_none(self) -> Any:
        """A malformed handshake is refused, and its query is not logged."""

        async def play() -> None:
            for changes in (
                dict.fromkeys(HANDSHAKE),
                {"Upgrade": "h2c"},
                {"Sec-WebSocket-Version": "8"},
                {"Sec-WebSocket-Key": None},
                {"Sec-WebSocket-Protocol": "\u00fc"},
            ):
                fields = {**HANDSHAKE, **changes}
                raw = await self.dial()
                path = f"/ws?token={TOKEN}"
                raw.begin("GET", path, {name: value for name, value in fields.items() if value})
                answer = await raw.answer()
                self.assertEqual((answer.status, answer.json["code"]), (400, "bad-syntax"), changes)
                raw.cut()
            self.check_log()
            self.assertNotIn(TOKEN, "".join(str(formatEvent(event)) for event in self.logged))

        return run(play())

    def test_path(self) -> Any:
        """Twisted accepts a path that is not ASCII; the WebSocket library does not."""

        async def play() -> None:
            raw = await self.dial()
            fields = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
            raw.send(b"GET /ws/\x80 HTTP/1.1\r\nHost: localhost\r\n" + fields.encode() + b"\r\n")
            self.assertEqual((await raw.answer()).json["code"], "bad-syntax")
            raw.cut()
            self.check_log()

        return run(play())
