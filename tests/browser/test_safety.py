"""Security headers, the size of a page, where the token is kept, and requests from other origins."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping

from tests.support.browser import PASSWORD, BrowserTestCase, SiteTestCase, in_browser
from tests.support.visitor import expect

FIRST_SCREEN = 100_000  # bytes, unpacked
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
# Everything that a page can read from its storage, as one text.
KEPT = """
async () => {
    const found = [document.cookie, { ...localStorage }, { ...sessionStorage }];
    for (const { name } of await indexedDB.databases()) {
        const database = await new Promise((resolve, reject) => {
            const opening = indexedDB.open(name);
            opening.onsuccess = () => resolve(opening.result);
            opening.onerror = () => reject(opening.error);
        });
        for (const store of database.objectStoreNames) {
            found.push(await new Promise((resolve, reject) => {
                const all = database.transaction(store).objectStore(store).getAll();
                all.onsuccess = () => resolve(all.result);
                all.onerror = () => reject(all.error);
            }));
        }
        database.close();
    }
    return JSON.stringify(found);
}
"""


class Shell(BrowserTestCase):
    @in_browser
    def test_first_screen(self) -> None:
        """The first screen is small, has the security headers, and is in the browser's language."""
        person = self.person(locale="id-ID", worker=True)
        answer = person.page.goto("/")
        assert answer is not None
        self.look_at_headers(answer.all_headers())
        expect(person.page.locator("html")).to_have_attribute("lang", "id")
        person.page.get_by_role("button", name="Masuk").wait_for()
        self.assertLess(self.loaded(person.page), FIRST_SCREEN)

    def look_at_headers(self, headers: Mapping[str, str]) -> None:
        policy = headers["content-security-policy"]
        for part in (
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ):
            self.assertIn(part, policy.split("; "))
        self.assertNotIn("unsafe", policy)
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertEqual(headers["referrer-policy"], "no-referrer")

    @in_browser
    def test_page_of_a_logged_in_user(self) -> None:
        """The page of a logged-in user is small too, and is an app with a manifest, icons and a worker."""
        messi = self.person("messi", worker=True)
        self.assertLess(self.loaded(messi.page), FIRST_SCREEN)
        messi.has_worker()
        address = messi.page.locator("link[rel=manifest]").get_attribute("href")
        manifest = messi.context.request.get(str(address)).json()
        self.assertEqual(manifest["display"], "standalone")
        self.assertTrue(manifest["name"])
        sizes = set()
        for icon in manifest["icons"]:
            self.assertTrue(messi.context.request.get(icon["src"]).ok, icon)
            sizes.update(re.split(r"\s+", icon["sizes"]))
        self.assertTrue({"192x192", "512x512"} <= sizes, sizes)
        session = messi.context.new_cdp_session(messi.page)
        found = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
        # A separate context is like a private window, from which nothing can be installed.
        self.assertEqual([each for each in found if each["errorId"] != "in-incognito"], [])

    def loaded(self, page: object) -> int:
        """The bytes that the page itself has requested so far, unpacked."""
        entries = page.evaluate(  # type: ignore[attr-defined]
            """() => performance.getEntries()
                .filter(({ entryType }) => ["navigation", "resource"].includes(entryType))
                .map(({ name, decodedBodySize }) => [name, decodedBodySize])"""
        )
        self.assertGreater(len(entries), 3)
        return sum(size for _, size in entries)


class Tokens(BrowserTestCase):
    @in_browser
    def test_token_is_in_the_cookie_alone(self) -> None:
        messi = self.person(worker=True)
        messi.register("messi")
        messi.open_chat("messi")
        messi.say("a word")
        messi.sees("a word")
        [cookie] = messi.context.cookies()
        self.assertTrue(cookie["httpOnly"])
        self.assertEqual(cookie["sameSite"], "Strict")
        self.assertEqual(cookie["path"], "/")
        token = cookie["value"]
        self.assertGreater(len(token), 20)
        self.assertNotIn(token, messi.page.evaluate(KEPT))
        self.assertNotIn(token, "\n".join(request.url for request in messi.requests))
        self.assertNotIn(token, messi.page.content())
        for secret in (token, PASSWORD, "a word"):
            self.assertNotIn(secret, self.site.written)


class Origins(SiteTestCase):
    """Requests that pages of other sites can cause. They need no browser."""

    def test_foreign_origins_are_refused(self) -> None:
        self.site.register("messi")
        session = json.dumps({"username": "messi", "password": PASSWORD})
        for origin in ("https://evil.example", "null", f"{self.site.url}.evil.example"):
            for method, path, headers, body in (
                ("POST", "/session", {}, session),
                ("POST", "/accounts", {}, session),
                ("DELETE", "/session", {}, None),
                ("GET", "/ws", UPGRADE, None),
            ):
                found = self.ask(method, path, {**headers, "Origin": origin}, body)
                self.assertEqual(found.status, 403, (method, path, origin))
                self.assertNotIn("set-cookie", found.headers)

    def test_own_origins_are_accepted(self) -> None:
        self.site.register("messi")
        session = json.dumps({"username": "messi", "password": PASSWORD})
        self.assertEqual(
            self.ask("POST", "/session", {"Origin": self.site.url}, session).status, 200
        )
        found = self.ask("GET", "/ws", {**UPGRADE, "Origin": self.site.url})
        self.assertEqual(found.status, 101)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: str | None = None
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.site.ports["web"], timeout=10)
        self.addCleanup(connection.close)
        headers = {"Content-Type": "application/json", **headers}
        connection.request(method, path, body, dict(headers))
        return connection.getresponse()
