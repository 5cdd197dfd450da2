"""The site: logging in and out over HTTP, headers, and the page; on real sockets."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from chatd.base.model import Account
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.lines.output import MAX_FULL
from chatd.web.site import HEADERS
from chatd.web.static import WORKER, load_files
from tests.support.common import FakeTransport, make_operator, run, sleep
from tests.support.rawhttp import RawTestCase
from tests.support.websites import PASSWORD, SiteTestCase


class LoggingIn(SiteTestCase):
    limits = {"commands_per_second": 50}

    def test_register_then_log_in(self) -> Any:
        async def play() -> None:
            known = await self.ask("GET", "/session")
            self.assertEqual(known.json["realm"], "realm1")
            self.assertIsNone(known.json["account"])
            registered = await self.register("messi")
            self.assertEqual(registered.code, 201)
            self.assertEqual(registered.json["account"]["username"], "messi")
            self.assertEqual(
                (registered.json["may_add_realms"], registered.json["claimable"]), (False, True)
            )
            await make_operator(self.realm, "messi")
            me = await self.ask("GET", "/session", cookie=registered.cookie)
            self.assertEqual(me.json["account"]["username"], "messi")
            self.assertEqual((me.json["may_add_realms"], me.json["claimable"]), (True, False))
            entered = await self.ask(
                "POST", "/session", {"username": "messi", "password": PASSWORD}
            )
            self.assertEqual(entered.code, 200)
            self.assertNotEqual(entered.cookie, registered.cookie)

        return run(play())

    def test_the_cookie(self) -> Any:
        """The cookie is HttpOnly and SameSite, and the token is nowhere else."""

        async def play() -> None:
            answer = await self.register("messi")
            fields = (answer.header("set-cookie") or "").lower().split("; ")[1:]
            self.assertEqual(
                sorted(fields), ["httponly", "max-age=2592000", "path=/", "samesite=strict"]
            )
            token = answer.cookie.partition("=")[2]
            self.assertEqual(len(token), 43)
            self.assertNotIn(token.encode(), answer.body)

        return run(play())

    def test_behind_a_proxy_that_speaks_tls(self) -> Any:
        async def play() -> None:
            answer = await self.ask(
                "POST",
                "/accounts",
                {"username": "messi", "password": PASSWORD},
                {"Origin": f"https://{self.host}"},
            )
            self.assertIn("; Secure", answer.header("set-cookie") or "")
            # A page that is loaded again does not say where it is from.
            again = await self.ask("GET", "/session", cookie=answer.cookie)
            self.assertEqual(again.json["account"]["username"], "messi")
            self.assertEqual(again.header("set-cookie"), answer.header("set-cookie"))
            self.assertTrue(answer.cookie.startswith("__Host-"))
            gone = await self.ask("DELETE", "/session", headers={"Cookie": answer.cookie})
            self.assertEqual(gone.cookie, answer.cookie.partition("=")[0] + "=")

        return run(play())

    def test_a_cookie_from_a_neighbour(self) -> Any:
        """Another site of the same domain can set a cookie, but not with that name."""

        async def play() -> None:
            plain = (await self.register("budi")).cookie
            mine = await self.ask(
                "POST",
                "/accounts",
                {"username": "messi", "password": PASSWORD},
                {"Origin": f"https://{self.host}"},
            )
            for cookies in (f"{plain}; {mine.cookie}", f"{mine.cookie}; {plain}"):
                known = await self.ask("GET", "/session", cookie=cookies)
                self.assertEqual(known.json["account"]["username"], "messi")
            gone = await self.ask("DELETE", "/session", cookie=f"{plain}; {mine.cookie}")
            self.assertEqual(len(gone.headers.getRawHeaders("set-cookie") or ()), 2)

        return run(play())

    def test_somebody_else_logs_in_in_the_same_browser(self) -> Any:
        """Pages of the earlier account are told before they use the new cookie."""

        async def play() -> None:
            await self.register("budi")
            cookie = (await self.register("messi")).cookie
            socket = await self.open(cookie)
            login = {"username": "messi", "password": PASSWORD}
            again = await self.ask("POST", "/session", login, cookie=cookie)
            self.assertEqual((await socket.ask(command="whoami"))["username"], "messi")
            await self.ask("POST", "/session", {**login, "username": "budi"}, cookie=cookie)
            self.assertEqual((await socket.frame())["event"], "session-ended")
            self.assertIsNone((await self.ask("GET", "/session", cookie=cookie)).json["account"])
            other = await self.ask("GET", "/session", cookie=again.cookie)
            self.assertEqual(other.json["account"]["username"], "messi")
            await self.ask("POST", "/accounts", {**login, "username": "tono"}, cookie=again.cookie)
            other = await self.ask("GET", "/session", cookie=again.cookie)
            self.assertIsNone(other.json["account"])
            await socket.close()

        return run(play())

    def test_logging_out(self) -> Any:
        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            gone = await self.ask("DELETE", "/session", cookie=cookie)
            self.assertEqual(gone.code, 200)
            self.assertIn("Max-Age=0", gone.header("set-cookie") or "")
            after = await self.ask("GET", "/session", cookie=cookie)
            self.assertIsNone(after.json["account"])
            self.assertIn("Max-Age=0", after.header("set-cookie") or "")
            again = await self.ask("DELETE", "/session", cookie=cookie)
            self.assertEqual((again.code, again.json["code"]), (401, "not-logged-in"))

        return run(play())

    def test_logging_out_everywhere(self) -> Any:
        async def play() -> None:
            first = (await self.register("messi")).cookie
            second = (
                await self.ask("POST", "/session", {"username": "messi", "password": PASSWORD})
            ).cookie
            socket = await self.open(second)
            await self.ask("DELETE", "/session?everywhere=true", cookie=first)
            self.assertEqual((await socket.frame())["event"], "session-ended")
            for cookie in (first, second):
                known = await self.ask("GET", "/session", cookie=cookie)
                self.assertIsNone(known.json["account"])
            await socket.close()

        return run(play())

    def test_disabled_account(self) -> Any:
        """Its cookie is worth nothing, and it can't log in."""

        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            service = self.realm.service
            act = service.audit.act(Principal("local", OPERATOR), "x", None, "")
            await service.managed.disable(act, await service.accounts.find("messi"), None)
            known = await self.ask("GET", "/session", cookie=cookie)
            self.assertIsNone(known.json["account"])
            body = {"username": "messi", "password": PASSWORD}
            answer = await self.ask("POST", "/session", body)
            self.assertEqual((answer.code, answer.json["code"]), (403, "account-disabled"))

        return run(play())

    def test_refusals(self) -> Any:
        async def play() -> None:
            await self.register("messi")
            cases: list[tuple[str, str, Any, int, str]] = [
                ("POST", "/session", {"username": "messi", "password": "x"}, 401, "wrong-password"),
                ("POST", "/session", {"username": "nobody", "password": "x"}, 404, "unknown-user"),
                ("POST", "/session", {"username": "messi"}, 400, "usage"),
                ("POST", "/session", b"halo", 400, "bad-syntax"),
                ("POST", "/session", b"\xff\xfe", 400, "bad-syntax"),
                ("POST", "/session", b"[]", 400, "bad-syntax"),
                ("POST", "/session", b"{" * 10_000, 400, "bad-syntax"),
                (
                    "POST",
                    "/accounts",
                    {"username": "messi", "password": PASSWORD},
                    409,
                    "user-exists",
                ),
                ("POST", "/accounts", {"username": "a b", "password": PASSWORD}, 400, "bad-name"),
                ("POST", "/accounts", {"username": "x", "password": "1"}, 400, "weak-password"),
                ("GET", "/accounts", None, 405, "bad-method"),
                ("PATCH", "/session", None, 405, "bad-method"),
                ("GET", "/nowhere", None, 404, "unknown-page"),
                ("GET", "/static/../site.py", None, 404, "unknown-page"),
                ("GET", "/static/%2e%2e/site.py", None, 404, "unknown-page"),
                ("GET", "/static/", None, 404, "unknown-page"),
            ]
            for method, path, body, status, code in cases:
                answer = await self.ask(method, path, body)
                self.assertEqual((answer.code, answer.json["code"]), (status, code), (path, body))
                self.assertEqual(answer.json["status"], "ERROR")

        return run(play())

    def test_other_sites_can_change_nothing(self) -> Any:
        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            evil = {"Origin": "http://evil.example"}
            for method, path in (
                ("DELETE", "/session"),
                ("POST", "/session"),
                ("POST", "/accounts"),
            ):
                answer = await self.ask(method, path, {}, evil, cookie)
                self.assertEqual((answer.code, answer.json["code"]), (403, "foreign-origin"), path)
            self.assertIsNotNone((await self.ask("GET", "/session", cookie=cookie)).json["account"])

        return run(play())

    def test_frequent_requests_wait(self) -> Any:
        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            socket = await self.open(cookie)
            (session,) = self.realm.sessions.of_account(
                await self.realm.service.accounts.find("messi")
            )
            now = self.realm.clock.seconds()
            session.bucket.take(now, 50 * 5 + 10)
            await self.ask("GET", "/session", cookie=cookie)
            self.assertGreater(self.realm.clock.seconds() - now, 0.1)
            await socket.close()

        return run(play())

    def test_request_does_not_appear_online(self) -> Any:
        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            await self.ask("GET", "/session", cookie=cookie)
            self.assertFalse(self.realm.service.presence.online())

        return run(play())


class OneConnection(RawTestCase):
    """Slow, fast and incomplete requests on one connection."""

    def test_gone_while_logging_out(self) -> Any:
        """Logging out completes even if the page is closed at once."""

        async def play() -> None:
            await self.people("messi")
            login = {"username": "messi", "password": PASSWORD}
            socket = await self.open((await self.ask("POST", "/session", login)).cookie)
            accounts = self.realm.service.accounts
            asked: list[Any] = []
            held: Deferred[None] = Deferred()
            end_sessions = accounts.end_sessions

            async def hold(account: Account) -> None:
                asked.append(account)
                await held
                await end_sessions(account)

            self.patch(accounts, "end_sessions", hold)
            raw = await self.dial()
            raw.begin("DELETE", "/session?everywhere=true", {"Cookie": self.cookies["messi"]})
            await raw.until(lambda: bool(asked))
            raw.cut()
            await raw.until(lambda: self.connections.by_door["web"] == 1)
            held.callback(None)
            self.assertEqual((await socket.frame())["event"], "session-ended")
            await socket.close()

        return run(play())

    def test_headers_that_are_not_utf8(self) -> Any:
        async def play() -> None:
            await self.people("messi")
            for name in ("Origin", "Authorization", "Accept-Encoding", "If-None-Match", "Range"):
                for method, path in (("GET", "/"), ("GET", "/session"), ("DELETE", "/session")):
                    raw = await self.dial()
                    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{name}: Bearer \xff\r\n\r\n"
                    raw.send(head.encode("latin-1"))
                    self.assertLess((await raw.answer()).status, 500, (name, path))
                    raw.cut()

        return run(play())

    def test_a_request_that_trickles(self) -> Any:
        """Single bytes of a head or a body do not extend its time. An idle connection has its own time."""

        async def play() -> None:
            self.site.timeOut = 0.5
            head = "POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            for begin in (head, f"{head}\r\n"):
                raw = await self.dial()
                raw.send(begin.encode())
                for _ in range(200):
                    raw.send(b"x")
                    await sleep(0.01)
                    if raw.lost:
                        break
                self.assertTrue(raw.lost)
            raw = await self.dial()
            for _ in range(3):
                await sleep(0.3)
                raw.begin("GET", "/session", {})
                self.assertEqual((await raw.answer()).status, 200)
            raw.cut()

        return run(play())

    def test_requests_that_come_too_fast(self) -> Any:
        async def play() -> None:
            raw = await self.dial()
            raw.begin("GET", "/session", {})
            await raw.answer()
            (channel,) = self.site._channels
            now = self.realm.clock.seconds()
            limit = self.realm.service.config.limits.commands_per_second
            channel.bucket.take(now, limit * 5 + limit // 5)
            for _ in range(2):
                raw.begin("GET", "/session", {})
            for _ in range(2):
                self.assertEqual((await raw.answer()).status, 200)
            self.assertGreater(self.realm.clock.seconds() - now, 0.1)
            channel.bucket.take(now, limit)
            raw.begin("GET", "/session", {})
            await raw.answer()
            raw.cut()  # while the request waits
            await raw.until(lambda: not self.connections.total)

        return run(play())

    def test_an_unread_answer(self) -> Any:
        """A closing connection does not stay open for an answer that the client does not read."""

        async def play() -> None:
            clock, transport = Clock(), FakeTransport()
            channel = self.site.buildProtocol(transport.getPeer())
            channel.callLater = clock.callLater
            channel.makeConnection(transport)
            channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertTrue(transport.disconnecting)
            self.assertFalse(transport.aborted)
            clock.advance(MAX_FULL)
            self.assertTrue(transport.aborted)
            channel.connectionLost()
            self.assertEqual(self.connections.total, 0)

        return run(play())

    def test_half_a_request_at_the_end(self) -> Any:
        """At a shutdown, an incomplete request is not waited for."""

        async def play() -> None:
            halves = (
                "GET",
                "GET / HTTP/1.1\r\nHost:",
                "POST /session HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
            )
            raws = []
            for half in halves:
                raws.append(await self.dial())
                raws[-1].send(half.encode())
            await sleep(0.05)
            closing = self.site.finish()
            await raws[0].until(lambda: all(raw.lost for raw in raws), patience=2)
            await closing

        return run(play())


class ThePage(SiteTestCase):
    def test_headers_of_every_answer(self) -> Any:
        async def play() -> None:
            for path in ("/", "/session", "/nowhere", "/static/nowhere", "/sw.js"):
                answer = await self.ask("GET", path)
                for name, value in HEADERS.items():
                    self.assertEqual(answer.header(name), value, path)
                self.assertNotIn("unsafe", answer.header("content-security-policy") or "")

        return run(play())

    def test_the_page_and_its_parts(self) -> Any:
        async def play() -> None:
            page = await self.ask("GET", "/")
            self.assertEqual(page.header("content-type"), "text/html; charset=utf-8")
            tag = page.header("etag") or ""
            same = await self.ask("GET", "/", headers={"If-None-Match": tag})
            self.assertEqual((same.code, same.body), (304, b""))
            packed = await self.ask("GET", "/", headers={"Accept-Encoding": "gzip"})
            self.assertEqual(packed.header("content-encoding"), "gzip")
            self.assertEqual(gzip.decompress(packed.body), page.body)
            with capturedLogs() as logged:
                head = await self.ask("HEAD", "/")
            self.assertEqual((head.code, head.body), (200, b""))
            self.assertEqual(head.header("content-length"), str(len(page.body)))
            self.assertEqual([each for each in logged if "HEAD" in str(each)], [])
            self.assertEqual((await self.ask("POST", "/", {})).code, 404)

        return run(play())

    def test_every_part_is_found_by_its_name(self) -> Any:
        async def play() -> None:
            for name in load_files():
                path = f"/{WORKER}" if name == WORKER else f"/static/{name}"
                answer = await self.ask("GET", path)
                self.assertEqual(answer.code, 200, path)
                self.assertTrue(answer.header("content-type"), path)

        return run(play())

    def test_the_worker_changes_with_any_part(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / WORKER).write_text("work();\n")
        (folder / "a.js").write_text("1")
        first = load_files(folder)[WORKER].data
        self.assertIn(b'"/static/a.js"', first)
        (folder / "a.js").write_text("2")
        self.assertNotEqual(load_files(folder)[WORKER].data, first)
