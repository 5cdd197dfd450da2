"""The site: logging in and out over HTTP, headers, and the page itself, on real sockets."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from chatd.web.site import HEADERS
from chatd.web.static import WORKER, read_shelf
from tests.common import run
from tests.websites import PASSWORD, SiteTestCase


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
            self.assertTrue(registered.json["may_add_realms"])  # the first is an operator
            me = await self.ask("GET", "/session", cookie=registered.cookie)
            self.assertEqual(me.json["account"]["username"], "messi")
            entered = await self.ask(
                "POST", "/session", {"username": "messi", "password": PASSWORD}
            )
            self.assertEqual(entered.code, 200)
            self.assertNotEqual(entered.cookie, registered.cookie)

        return run(play())

    def test_the_cookie(self) -> Any:
        """No script can read it, no other site send it; the token is nowhere else."""

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

    def test_who_asks_too_fast_waits(self) -> Any:
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

    def test_nobody_is_online_by_a_request(self) -> Any:
        async def play() -> None:
            cookie = (await self.register("messi")).cookie
            await self.ask("GET", "/session", cookie=cookie)
            self.assertFalse(self.realm.service.presence.online())

        return run(play())


class ThePage(SiteTestCase):
    def test_what_every_answer_carries(self) -> Any:
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
            head = await self.ask("HEAD", "/")
            self.assertEqual((head.code, head.body), (200, b""))
            self.assertEqual((await self.ask("POST", "/", {})).code, 404)

        return run(play())

    def test_every_part_is_found_by_its_name(self) -> Any:
        async def play() -> None:
            for name in read_shelf():
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
        first = read_shelf(folder)[WORKER].data
        self.assertIn(b'"/static/a.js"', first)
        (folder / "a.js").write_text("2")
        self.assertNotEqual(read_shelf(folder)[WORKER].data, first)
