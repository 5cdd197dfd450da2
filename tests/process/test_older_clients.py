"""A real daemon and clients that behave as those of the five older systems."""

from __future__ import annotations

import socket

from tests.support.ports import free_port
from tests.support.processes import DaemonTestCase, in_thread


class SilentClients(DaemonTestCase):
    def dial(self, port: int) -> socket.socket:
        found = socket.create_connection(("127.0.0.1", port), 10)
        self.addCleanup(found.close)
        return found

    def exchange(self, client: socket.socket, request: str) -> bytes:
        client.sendall(request.encode())
        reply = b""
        while not reply.endswith(b"\r\n\r\n"):
            data = client.recv(64)
            assert data, "the connection was closed"
            reply += data
        return reply

    @in_thread
    def test_oldest_without_a_login_makes_room(self) -> None:
        """A place is taken from the client that has waited longest, and never from one that is logged in."""
        door = free_port()
        port = self.configure("connections_per_address = 3\n", bagan=door)
        self.launch(port, "--config", "../chatd.ini").listening().register("messi").close()
        used = self.dial(door)
        self.assertIn(b'"OK"', self.exchange(used, "auth messi messi-password \r\n"))
        silent = [self.dial(door) for _ in range(4)]
        self.assertEqual([each.recv(1) for each in silent[:2]], [b"", b""])
        for client in silent[2:]:
            self.assertIn(b'"OK"', self.exchange(client, "auth messi messi-password \r\n"))
        self.assertEqual(self.dial(door).recv(1), b"")
        self.assertIn(b'"OK"', self.exchange(used, "inbox \r\n"))


class SharedPort(DaemonTestCase):
    """The original clients have one port in their source, and each address has that port."""

    DOORS = {"127.0.0.1": "kelompok3", "127.0.0.2": "tugas4", "127.0.0.3": "pychat"}
    ANSWERS = {"kelompok3": b"Session Tidak", "tugas4": b"There is no", "pychat": b"Welcome to"}

    @in_thread
    def test_each_address_has_its_dialect(self) -> None:
        shared = free_port()
        port = self.configure()
        path = self.root / "chatd.ini"
        lines = [f"{door} = tcp:{shared}:interface={host}\n" for host, door in self.DOORS.items()]
        path.write_text(path.read_text().replace("[listen]\n", "[listen]\n" + "".join(lines)))
        self.launch(port, "--config", "../chatd.ini").listening()
        for host, door in self.DOORS.items():
            with socket.create_connection((host, shared), 10) as client:
                client.sendall(b"info \r\n")
                self.assertIn(self.ANSWERS[door], client.recv(1000))
