"""The site behind a proxy: limits, throttles and rates count the clients and not the proxy."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatd.base.ban_targets import parse_ban_target
from chatd.base.config import WebConfig
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.base.sources import Networks
from tests.support.common import run, sleep
from tests.support.websites import PASSWORD, Answer, SiteTestCase

ONE, OTHER = "192.0.2.7", "198.51.100.9"


class ProxiedTestCase(SiteTestCase):
    web = WebConfig(trusted_proxies=Networks.parse("127.0.0.1"))

    async def log_in(self, source: str, password: str, name: str = "messi") -> Answer:
        body = {"username": name, "password": password}
        return await self.ask("POST", "/session", body, {"X-Forwarded-For": source})


class Limits(ProxiedTestCase):
    limits = {"connections_per_address": 2}

    def test_web_sockets(self) -> Any:
        """Connections count for the client. The proxy's own connections count for nobody."""

        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            sockets = [
                await self.open(cookie, {"X-Forwarded-For": f"10.0.0.1, {ONE}"}) for _ in range(2)
            ]
            self.assertEqual(self.connections.by_source, {("web", ONE): 2})
            refused = await self.open(cookie, {"X-Forwarded-For": ONE})
            self.assertEqual((await refused.frame())["code"], "too-many-connections")
            other = await self.open(cookie, {"Forwarded": f"for={OTHER}"})
            self.assertEqual(self.connections.by_source["web", OTHER], 1)
            for socket in (*sockets, other):
                await socket.close()
            await refused.ended()
            self.assertEqual(self.connections.by_source, {})

        return run(play())

    def test_proxy_asks_for_itself(self) -> Any:
        """Without the header, the proxy is the client."""

        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            socket = await self.open(cookie)
            self.assertEqual(self.connections.by_source, {("web", "127.0.0.1"): 1})
            await socket.close()

        return run(play())


class UnderWay(ProxiedTestCase):
    limits = {"connections_per_address": 2}

    def test_requests(self) -> Any:
        """Through the proxy, a client may have as many requests at a time as it could have connections, so
        that it can't use up the proxy's connections."""

        async def play() -> None:
            await self.register("messi")
            held: Deferred[None] = Deferred()
            login = self.realm.service.accounts.login

            async def hold(*asked: Any) -> Any:
                await held
                return await login(*asked)

            self.patch(self.realm.service.accounts, "login", hold)
            late = [run(self.log_in(ONE, PASSWORD)) for _ in range(2)]
            while self.site._under_way[ONE] < 2:
                await sleep(0.002)
            refused = await self.ask("GET", "/session", headers={"X-Forwarded-For": ONE})
            self.assertEqual((refused.code, refused.json["code"]), (503, "too-many-connections"))
            other = await self.ask("GET", "/session", headers={"X-Forwarded-For": OTHER})
            self.assertEqual(other.code, 200)
            held.callback(None)
            for each in late:
                self.assertEqual((await each).code, 200)
            self.assertEqual(self.site._under_way, {})

        return run(play())

    def test_ended_requests_do_not_count(self) -> Any:
        """Cancelled requests and those that became WebSockets are not counted any more."""

        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            socket = await self.open(cookie, {"X-Forwarded-For": ONE})
            self.assertEqual(self.site._under_way, {})
            self.patch(self.realm.service.accounts, "login", lambda *_asked: Deferred())
            waiting = run(self.log_in(ONE, PASSWORD))
            while not self.site._under_way:
                await sleep(0.002)
            waiting.addErrback(lambda _failure: None)
            for channel in self.site._channels:
                channel.transport.abortConnection()
            await waiting
            self.assertEqual(self.site._under_way, {})
            await socket.close()

        return run(play())


class Untrusted(SiteTestCase):
    limits = {"connections_per_address": 1000}

    def test_web_sockets(self) -> Any:
        """A client that is not a trusted proxy counts as itself, regardless of its headers."""

        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            socket = await self.open(cookie, {"X-Forwarded-For": ONE, "Forwarded": f"for={ONE}"})
            self.assertEqual(self.connections.by_source, {("web", "127.0.0.1"): 1})
            await socket.close()

        return run(play())


class Throttles(ProxiedTestCase):
    def test_guesses(self) -> Any:
        """A client that guesses passwords does not slow down other clients of the proxy."""

        async def play() -> None:
            await self.register("messi")
            seen: list[str] = []
            login = self.realm.service.accounts.login

            def watched(name: str, password: Any, source: str, *more: Any) -> Any:
                seen.append(source)
                return login(name, password, source, *more)

            self.patch(self.realm.service.accounts, "login", watched)
            self.assertEqual((await self.log_in(ONE, "wrong-password")).code, 401)
            self.assertEqual((await self.log_in(OTHER, PASSWORD)).code, 200)
            self.assertEqual(seen, [ONE, OTHER])

        return run(play())


class Rates(ProxiedTestCase):
    limits = {"commands_per_second": 2}

    def test_one_client_is_slowed_down(self) -> Any:
        """Other clients, whose requests may share the connection, are not slowed down."""

        async def play() -> None:
            self.site.clock = clock = Clock()
            ask = {"X-Forwarded-For": ONE}
            for _ in range(10):  # the burst
                await self.ask("GET", "/session", headers=ask)
            late: list[Answer] = []
            waiting = run(self.ask("GET", "/session", headers=ask)).addCallback(late.append)
            while not clock.getDelayedCalls():
                await sleep(0.002)
            other = await self.ask("GET", "/session", headers={"X-Forwarded-For": OTHER})
            self.assertEqual(other.code, 200)
            self.assertEqual(late, [])
            clock.advance(0.5)
            await waiting
            self.assertEqual(late[0].code, 200)

        return run(play())


class BannedClients(ProxiedTestCase):
    """A ban is of the client, not of the proxy."""

    async def ban(self, text: str) -> None:
        service = self.realm.service
        act = service.audit.act(Principal("local", OPERATOR), "admin.ban.add", None, "")
        await service.access_bans.add(act, parse_ban_target(text), None, "floods", 60)

    def test_requests_and_sockets(self) -> Any:
        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            socket = await self.open(cookie, {"X-Forwarded-For": ONE})
            other = await self.open(cookie, {"X-Forwarded-For": OTHER})
            self.realm.service.access_bans.on_network(self.site.close_banned)
            await self.ban(ONE)
            closing = await socket.frame()
            self.assertEqual((closing["event"], closing["code"]), ("closing", "banned"))
            await socket.ended()
            refused = await self.ask("GET", "/session", None, {"X-Forwarded-For": ONE}, cookie)
            self.assertEqual((refused.code, refused.json["code"]), (403, "banned"))
            self.assertIn("(floods)", refused.json["message"])
            for path in ("/", "/ws", "/join/abc"):
                refused = await self.ask("GET", path, None, {"X-Forwarded-For": ONE})
                self.assertEqual((refused.code, refused.json["code"]), (403, "banned"))
            uploading = await self.ask("POST", "/uploads/abc", {}, {"X-Forwarded-For": ONE}, cookie)
            self.assertEqual((uploading.code, uploading.json["code"]), (403, "banned"))
            allowed = await self.ask("GET", "/session", None, {"X-Forwarded-For": OTHER}, cookie)
            self.assertEqual(allowed.code, 200)
            await other.close()

        return run(play())

    def test_probes_of_a_banned_network(self) -> Any:
        """The health checks of a proxy go on, so that it does not take the realm for dead."""

        async def play() -> None:
            await self.ban("127.0.0.1")
            self.realm.service.started = True
            for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}):
                for path in ("/healthz", "/livez", "/readyz"):
                    self.assertEqual((await self.ask("GET", path, None, headers)).code, 200)
                refused = await self.ask("GET", "/session", None, headers)
                self.assertEqual((refused.code, refused.json["code"]), (403, "banned"))
            allowed = await self.ask("GET", "/session", None, {"X-Forwarded-For": OTHER})
            self.assertEqual(allowed.code, 200)

        return run(play())
