"""Line protocols and the site behind the PROXY protocol: limits count for the client."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

from chatd.base.config import Config, WebConfig
from chatd.base.sources import Networks
from chatd.lines.dialects.plain import PlainDialect
from chatd.net.listening import listen
from tests.support.rawhttp import Raw
from tests.support.websites import SiteTestCase

ONE, OTHER = "192.0.2.7", "198.51.100.9"


def header(host: str) -> bytes:
    return f"PROXY TCP4 {host} 127.0.0.1 50000 8889\r\n".encode()


class ProxyClientsTestCase(SiteTestCase):
    limits = {"connections_per_address": 1}

    async def open_behind(self, factory: Any) -> int:
        """The port of a door for proxies on this machine."""
        endpoint, trusted = "haproxy:tcp:0:interface=127.0.0.1", Networks.parse("127.0.0.1")
        port: Any = await listen(reactor, "plain", endpoint, factory, trusted)
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def dial(self, port: int, data: bytes) -> Raw:
        raw: Raw = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Raw())
        self.addCleanup(raw.gone)
        self.addCleanup(raw.cut)
        raw.send(data)
        return raw


class Lines(ProxyClientsTestCase):
    async def test_connections_per_address(self) -> None:
        """Connections count for the client, not for the proxy."""
        factory = self.realm.door(PlainDialect())
        port = await self.open_behind(factory)
        for host in (ONE, OTHER):
            raw = await self.dial(port, header(host) + b"ping\r\n")
            await raw.until(lambda raw=raw: b"pong" in raw.got)  # type: ignore[misc]
        refused = await self.dial(port, header(ONE) + b"ping\r\n")
        await refused.gone()
        self.assertIn(b"too many connections from your address", refused.got)
        self.assertNotIn(b"pong", refused.got)

    async def test_http(self) -> None:
        """A foreign protocol is recognized by the first bytes after the header, however they arrive."""
        factory = self.realm.door(PlainDialect())
        port = await self.open_behind(factory)
        request = b"POST / HTTP/1.1\r\n\r\nregister mallory surabaya1\r\n"
        for size in (len(header(ONE)), 1 << 16, len(header(ONE)) + 3):
            data = header(ONE) + request
            raw = await self.dial(port, data[:size])
            raw.send(data[size:])
            await raw.gone()
            self.assertNotIn(b"Welcome", raw.got)
        self.assertEqual(await self.realm.database.read(_count_accounts), 0)


def _count_accounts(connection: Any) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM accounts").scalar())


class Browsers(ProxyClientsTestCase):
    """Two proxies: an inner one that speaks the PROXY protocol, for one that sends X-Forwarded-For."""

    def make_config(self) -> Config:
        self.web = WebConfig(trusted_proxies=Networks.parse("10.0.0.1"))
        return super().make_config()

    async def source(self, head: bytes) -> str:
        """The address that a failed login counts for if these bytes precede it."""
        seen: list[str] = []

        async def login(_name: str, _password: Any, source: str) -> Any:
            seen.append(source)
            raise ZeroDivisionError

        self.patch(self.realm.service.accounts, "login", login)
        proxy, _, fields = head.partition(b"\n")
        body = b'{"username": "messi", "password": "surabaya1"}'
        request = b"POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(body)
        port = await self.open_behind(self.site)
        raw = await self.dial(port, proxy + b"\n" + request + fields + b"\r\n" + body)
        self.assertEqual((await raw.answer()).status, 500)
        self.flushLoggedErrors(ZeroDivisionError)
        return seen[0]

    async def test_client(self) -> None:
        self.assertEqual(await self.source(header(ONE)), ONE)

    async def test_forwarded(self) -> None:
        field = f"X-Forwarded-For: 203.0.113.1, {OTHER}\r\n".encode()
        self.assertEqual(await self.source(header("10.0.0.1") + field), OTHER)
        self.assertEqual(await self.source(header(ONE) + field), ONE)
