"""A page of another site makes a browser send requests to every line door: none is executed."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.browser import PASSWORD, BrowserTestCase, Site, in_browser
from tests.unit.lines.test_first_bytes import DIALECTS, REGISTER

PAGE = "<!doctype html><meta charset=utf-8><title>Another site</title>"
# Each takes a port and a text, and returns when the browser has finished.
WAYS = """
(() => {
    const settled = (promise) => promise.then(() => "done", (error) => String(error));
    const url = (port) => `http://127.0.0.1:${port}/`;
    window.ways = {
        post: (port, text) => settled(fetch(url(port), {
            method: "POST", mode: "no-cors", body: `${text}\\r\\n`,
        })),
        put: (port, text) => settled(fetch(url(port), { method: "PUT", body: `${text}\\r\\n` })),
        long: (port, text) => settled(fetch(url(port) + "a".repeat(70000), {
            method: "POST", mode: "no-cors", body: `\\r\\n${text}\\r\\n`,
        })),
        form: (port, text) => new Promise((done) => {
            const frame = document.createElement("iframe");
            frame.name = `frame${Math.random()}`;
            const form = document.createElement("form");
            Object.assign(form, {
                method: "post", enctype: "text/plain", action: url(port), target: frame.name,
            });
            const field = document.createElement("textarea");
            field.name = "a";
            field.value = `\\r\\n${text}\\r\\n`;
            form.append(field);
            document.body.append(frame, form);
            frame.addEventListener("load", () => done("done"));
            form.submit();
            setTimeout(done, 3000, "no answer");
        }),
        socket: (port, text) => new Promise((done) => {
            const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
            socket.onopen = () => socket.send(`${text}\\r\\n`);
            socket.onclose = () => done("closed");
        }),
    };
})()
"""
NAMES = ("post", "put", "long", "form", "socket")


class AnotherSite(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None: ...


class LineDoors(Site):
    doors = ("peers", "web", *(dialect.name for dialect in DIALECTS))


class Pages(BrowserTestCase):
    def realm(self, name: str, kind: type[Site] = LineDoors) -> Site:
        return super().realm(name, kind)

    def another_site(self) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), AnotherSite)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://localhost:{server.server_port}/"

    @in_browser
    def test_page_of_another_site_registers_nobody(self) -> None:
        self.site.register("messi")
        context = self.browser.new_context()
        page = context.new_page()
        page.goto(self.another_site())
        page.evaluate(WAYS)
        asked = [
            (way, self.site.ports[dialect.name], REGISTER[dialect].decode().replace("mallory", who))
            for dialect in DIALECTS
            for way in NAMES
            for who in (f"{dialect.name}-{way}",)
        ]
        asking = "(asked) => Promise.all(asked.map(([way, port, text]) => ways[way](port, text)))"
        self.assertEqual(len(page.evaluate(asking, asked)), len(asked))
        with self.site.daemon.talk() as talker:
            talker.must(command="auth", username="messi", password=PASSWORD)
            users = talker.must(command="users")["users"]
        self.assertEqual([each["username"] for each in users], ["messi"], json.dumps(users))
        context.close()
