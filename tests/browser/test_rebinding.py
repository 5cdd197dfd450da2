"""A page whose host name is rebound to this machine (DNS rebinding) tries a realm in a real browser."""

from __future__ import annotations

from typing import Any

from tests.support.browser import PASSWORD, REBOUND, BrowserTestCase, Site, in_browser

# Requests that such a page may try. Its origin is that of the site, so it could read all answers.
TRIES = """
async () => {
    const answer = async (path, options) => {
        const found = await fetch(path, options);
        return [found.status, await found.text()];
    };
    const account = JSON.stringify({ username: "mallory", password: "correct-horse" });
    const login = JSON.stringify({ username: "messi", password: "correct-horse" });
    const socket = new Promise((done) => {
        const opening = new WebSocket(`ws://${location.host}/ws`);
        opening.onopen = () => done("open");
        opening.onclose = () => done("closed");
    });
    return {
        page: await answer("/"),
        session: await answer("/session"),
        register: await answer("/accounts", { method: "POST", body: account }),
        login: await answer("/session", { method: "POST", body: login }),
        health: await answer("/healthz"),
        socket: await socket,
    };
}
"""


class Watched(Site):
    doors = ("json", "peers", "web", "metrics")


class Rebinding(BrowserTestCase):
    def realm(self, name: str, kind: type[Site] = Watched) -> Site:
        return super().realm(name, kind)

    @in_browser
    def test_page_gets_nothing(self) -> None:
        """The page gets neither the site's files, nor names, nor an account, nor the metrics."""
        self.site.register("messi")
        context = self.browser.new_context()
        page = context.new_page()
        # A document of that origin, in place of the attacker's own.
        answer = page.goto(f"http://{REBOUND}:{self.site.ports['web']}/")
        assert answer is not None
        self.assertEqual(answer.status, 421)
        found: dict[str, Any] = page.evaluate(TRIES)
        socket = found.pop("socket")
        for name, (status, text) in found.items():
            self.assertEqual(status, 421, name)
            self.assertIn("foreign-host", text)
            self.assertNotIn("realm1", text)
        self.assertEqual(socket, "closed")
        answer = page.goto(f"http://{REBOUND}:{self.site.ports['metrics']}/metrics")
        assert answer is not None
        self.assertEqual(answer.status, 421)
        self.assertEqual(context.cookies(), [])
        context.close()
        with self.site.daemon.talk() as talker:
            talker.must(command="auth", username="messi", password=PASSWORD)
            users = talker.must(command="users")["users"]
        self.assertEqual([each["username"] for each in users], ["messi"])
