"""A proxy in front of a realm, which has a page of its own when no node answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TypeAlias

from tests.support.browser import Site

Page: TypeAlias = tuple[str, str, str]

#: What proxies say instead of the realm: status, type and body.
UNAVAILABLE: Page = ("503 Service Unavailable", "text/html", "<h1>503</h1>No server is available.")
#: The same for some requests.
PAGES: dict[str, Page] = {
    "GET /": ("404 Not Found", "text/plain", "404 page not found"),
    "GET /session": ("502 Bad Gateway", "application/json", '{"status":502,"code":"bad_gateway"}'),
    "HEAD /uploads": ("429 Too Many Requests", "text/plain", "slow down"),
}


class Gateway:
    """Forwards connections to a port. While it is `away`, it answers each request itself."""

    def __init__(self, port: int) -> None:
        self.away = False
        #: The requests that it has answered itself: method and first part of the path.
        self.answered: list[str] = []
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def go_away(self) -> None:
        """Lose all connections, and answer new ones."""
        self.away = True
        for each in list(self._open):
            _shut(each)

    def come_back(self) -> None:
        self.away = False

    def close(self) -> None:
        _shut(self._listener)
        self.go_away()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                serve = self._answer if self.away else self._connect
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            realm = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            self._answer(client)
            return
        threading.Thread(target=self._forward, args=(realm, client), daemon=True).start()
        self._forward(client, realm)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        self._open.add(source)
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        self._open.discard(source)
        _shut(source)
        _shut(target)

    def _answer(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head and (data := client.recv(65536)):
                head += data
            method, path, *_ = head.decode("latin-1").split(" ", 2)
            request = f"{method} /{path.split('/')[1]}"
            self.answered.append(request)
            status, kind, body = PAGES.get(request, UNAVAILABLE)
            fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close"
            client.sendall(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n{body}".encode())
        _shut(client)


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


class FrontedSite(Site):
    """A realm whose pages are behind a `gateway`."""

    gateway: Gateway

    def start(self) -> FrontedSite:
        self.gateway = Gateway(self.ports["web"])
        return super().start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}"

    def close(self) -> None:
        self.gateway.close()
        super().close()
