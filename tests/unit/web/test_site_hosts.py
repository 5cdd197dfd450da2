"""The site and the metrics answer to their own host names only."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from chatd.base.config import WebConfig
from chatd.web.hosts import is_own_origin
from tests.support.common import run
from tests.support.rawhttp import Heard, RawTestCase

UPGRADE = (
    "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)
PATHS = ("/", "/sw.js", "/static/js/main.js", "/session", "/healthz", "/files/x", "/nothing")


class Names(RawTestCase):
    web = WebConfig(hosts=frozenset(("chat.example.org",)))

    async def ask_raw(self, head: str) -> Heard:
        """The answer to a request of these lines."""
        raw = await self.dial()
        raw.send(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        answer = await raw.answer(bodyless=head.startswith("HEAD"))
        raw.cut()
        return answer

    def test_foreign(self) -> Any:
        """Not even the page is sent."""

        async def play() -> None:
            for path in PATHS:
                answer = await self.ask_raw(f"GET {path} HTTP/1.1\nHost: evil.example:8550")
                self.assertEqual((answer.status, answer.json["code"]), (421, "foreign-host"), path)
                self.assertIn("evil.example", answer.json["message"])
                self.assertIn("content-security-policy", answer.headers)
            answer = await self.ask_raw(f"GET /ws HTTP/1.1\nHost: evil.example\n{UPGRADE}")
            self.assertEqual((answer.status, answer.json["code"]), (421, "foreign-host"))
            for line in ("HEAD / HTTP/1.1", "OPTIONS * HTTP/1.1"):
                answer = await self.ask_raw(f"{line}\nHost: evil.example")
                self.assertEqual(answer.status, 421, line)

        return run(play())

    def test_nothing_is_done(self) -> Any:
        """A page of a rebound name has that name in Origin, too. It can't even register."""

        async def play() -> None:
            body = '{"username": "messi", "password": "surabaya1"}'
            head = (
                "POST /accounts HTTP/1.1\nHost: evil.example:8550\n"
                f"Origin: http://evil.example:8550\nContent-Length: {len(body)}"
            )
            raw = await self.dial()
            raw.send(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body.encode())
            answer = await raw.answer()
            self.assertEqual((answer.status, answer.json["code"]), (421, "foreign-host"))
            await self.people("messi")  # the name is still free

        return run(play())

    def test_upload_is_not_read(self) -> Any:
        """The request is refused before its body is read."""

        async def play() -> None:
            answer = await self.ask_raw(
                "PUT /uploads/k?to=messi&filename=x&size=9 HTTP/1.1\nHost: evil.example\nContent-Length: 9"
            )
            self.assertEqual((answer.status, answer.json["code"]), (421, "foreign-host"))
            self.assertEqual(answer.headers["connection"], "close")

        return run(play())

    def test_own(self) -> Any:
        async def play() -> None:
            for host in ("realm1", "chat.example.org:443", "localhost:1", "127.0.0.1", "[::1]:80"):
                answer = await self.ask_raw(f"GET /session HTTP/1.1\nHost: {host}")
                self.assertEqual(answer.status, 200, host)
            self.assertEqual((await self.ask_raw("GET /healthz HTTP/1.0")).status, 200)

        return run(play())

    def test_malformed(self) -> Any:
        async def play() -> None:
            for head in (
                "GET / HTTP/1.1\nAccept: */*",
                "GET / HTTP/1.1\nHost: localhost\nHost: localhost",
                "GET / HTTP/1.1\nHost: localhost\nHost: evil.example",
                "GET / HTTP/1.1\nHost:",
                "GET http://evil.example/ HTTP/1.1\nHost: localhost",
                "GET http://localhost@evil.example/ HTTP/1.1\nHost: localhost",
                "GET / HTTP/1.1\nHost: 127.0.0.1%.evil.example",
                "GET / HTTP/1.1\nHost: ::1%eth0",
                "GET / HTTP/1.1\nHost: " + "\u00fc" * 5000,
            ):
                answer = await self.ask_raw(head)
                self.assertEqual((answer.status, answer.json["code"]), (400, "bad-host"), head)

        return run(play())

    def test_absolute_target(self) -> Any:
        """A proxy may send an absolute target (RFC 9112, 3.2.2). Its host must be that of the Host field."""

        async def play() -> None:
            for target in ("http://localhost/session?x", "HTTP://LOCALHOST/session"):
                answer = await self.ask_raw(f"GET {target} HTTP/1.1\nHost: localhost")
                self.assertEqual(answer.json["realm"], "realm1", target)
            answer = await self.ask_raw("GET http://localhost HTTP/1.1\nHost: localhost")
            self.assertIn(b"<!doctype html>", answer.body.lower())

        return run(play())


class Asked:
    """The part of a request that is_own_origin uses."""

    def __init__(self, host: str, is_secure: bool) -> None:
        self.requestHeaders = Headers({"Host": [host]})
        self.is_secure = is_secure

    def isSecure(self) -> bool:  # noqa: N802
        return self.is_secure


class Origins(SynchronousTestCase):
    def is_own(self, origin: str, host: str, is_secure: bool) -> bool:
        asked: Any = Asked(host, is_secure)
        return is_own_origin(asked, origin)

    def test_own(self) -> None:
        for origin, host in (
            ("http://chat.example.org", "chat.example.org"),
            ("http://chat.example.org", "chat.example.org:80"),
            ("http://localhost:8550", "localhost:8550"),
            ("https://chat.example.org", "chat.example.org"),  # behind a proxy that speaks TLS
        ):
            self.assertTrue(self.is_own(origin, host, is_secure=False), origin)
        for origin, host in (
            ("https://chat.example.org", "chat.example.org:443"),
            ("https://[::1]:8550", "[::1]:8550"),
        ):
            self.assertTrue(self.is_own(origin, host, is_secure=True), origin)

    def test_in_clear_text(self) -> None:
        """A page without TLS may be forged, so it may not use a session over TLS."""
        for port in ("", ":8550", ":80"):
            host = f"chat.example.org{port}"
            self.assertFalse(self.is_own(f"http://{host}", host, is_secure=True), host)
