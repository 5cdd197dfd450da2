"""A real daemon whose doors are Unix sockets."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

from tests.support.processes import DaemonTestCase, in_thread

DOORS = """\
plain = unix:plain.sock:mode=660
web = unix:web.sock
peers = unix:peers.sock
metrics = unix:metrics.sock
bagan = haproxy:unix:bagan.sock
"""


class LocalHTTP(http.client.HTTPConnection):
    """HTTP over the Unix socket at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class UnixDoors(DaemonTestCase):
    def configure(self, more: str = "", state: str = "state", **doors: int) -> int:
        port = super().configure(more, state, **doors)
        path = self.root / "chatd.ini"
        path.write_text(path.read_text().replace("[listen]\n", f"[listen]\n{DOORS}"))
        return port

    def ask_plain(self, line: str) -> str:
        """The reply to a line at the door `plain`."""
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(10)
            plain.connect(str(self.root / "plain.sock"))
            plain.sendall(f"{line}\r\nlogout\r\n".encode())
            plain.shutdown(socket.SHUT_WR)
            with plain.makefile("rb") as answers:
                return answers.read().decode()

    def get(self, door: str, path: str) -> tuple[int, bytes]:
        connection = LocalHTTP(self.root / f"{door}.sock")
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def look_around(self) -> None:
        """Every door answers."""
        self.assertIn("pong", self.ask_plain("ping"))
        status, body = self.get("web", "/session")
        self.assertEqual((status, json.loads(body)["realm"]), (200, "realm1"))
        status, body = self.get("metrics", "/metrics")
        self.assertEqual(status, 200)
        self.assertIn(b"chatd_build_info", body)

    @in_thread
    def test_doors(self) -> None:
        """Unix sockets work, are logged with paths, are replaced after kill -9, and removed by a shutdown."""
        daemon = self.start()
        self.look_around()
        self.assertIn(f"plain: Unix socket {self.root / 'plain.sock'}", daemon.out)
        self.ask_plain("register messi surabaya1")
        self.assertRegex(daemon.out, "of messi on connection .* from local")
        self.assertIn("[listen] bagan is for proxies and [listen] trusted is empty", daemon.out)
        with socket.socket(socket.AF_UNIX) as nobody:
            nobody.settimeout(10)
            nobody.connect(str(self.root / "bagan.sock"))
            self.assertEqual(nobody.recv(1), b"")
        daemon.kill()
        self.assertTrue((self.root / "plain.sock").is_socket())
        again = self.launch(daemon.port, "--config", "../chatd.ini").listening()
        self.look_around()
        again.stop()
        self.assertFalse(list(self.root.glob("*.sock*")))
