"""A real daemon and clients that behave as those of the five older systems."""

from __future__ import annotations

import base64
import json
import socket
from typing import Any

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


class BlockClient:
    """A client of kelompok3 or bagan. It reads `size` bytes at a time, and decodes each piece by itself."""

    def __init__(self, port: int, size: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self._size = size
        self.token = ""

    def ask(self, request: str) -> dict[str, Any]:
        """Send a request, with the token where it says so. Returns the answer."""
        self.socket.sendall(request.replace("TOKEN", self.token).encode() + b"\r\n")
        reply = ""
        while not reply.endswith("\r\n\r\n"):
            data = self.socket.recv(self._size)
            assert data, "the connection was closed"
            reply += data.decode()
        answer: dict[str, Any] = json.loads(reply)
        self.token = answer.get("tokenid", self.token)
        return answer


class BlockClients(DaemonTestCase):
    """What is read in pieces, and texts and files in any bytes."""

    TEXT = "café 日本 😀 " * 20
    FILE = bytes(range(256)) * 40

    def client(self, port: int, size: int) -> BlockClient:
        client = BlockClient(port, size)
        self.addCleanup(client.socket.close)
        return client

    def check_file(self, entry: dict[str, Any], name: str) -> None:
        self.assertEqual(entry["file_name"], name)
        printed = entry["file_content"]
        self.assertEqual((printed[:2], printed[-1]), ("b'", "'"))
        self.assertEqual(base64.b64decode(printed[2:-1]), self.FILE)

    @in_thread
    def test_kelompok3(self) -> None:
        door = free_port()
        self.launch(self.configure(kelompok3=door), "--config", "../chatd.ini").listening()
        messi, henderson = self.client(door, 1024), self.client(door, 64)
        self.assertEqual(messi.ask("info {} "), {"status": "OK", "message": {}})
        messi.ask("register messi surabaya1 Lionel_Messi Argentina")
        henderson.ask("register henderson surabaya1 Jordan_Henderson Inggris")
        for request in (
            f"send TOKEN henderson  {self.TEXT} ",
            f"sendfile TOKEN henderson img/a.jpg {base64.b64encode(self.FILE)!r}",
        ):
            self.assertEqual(messi.ask(request)["status"], "OK")
        text, file = henderson.ask("inbox TOKEN ")["messages"]["messi"]
        self.assertEqual(text["msg"], self.TEXT)
        self.check_file(file, "a.jpg")
        self.assertEqual(henderson.ask("inbox TOKEN ")["messages"], {})
        self.assertEqual(henderson.ask("logout ")["status"], "OK")
        self.assertEqual(henderson.ask("inbox TOKEN ")["message"], "Session Tidak Ditemukan")

    @in_thread
    def test_bagan(self) -> None:
        door = free_port()
        self.launch(self.configure(bagan=door), "--config", "../chatd.ini").listening()
        messi, henderson = self.client(door, 1024), self.client(door, 1024)
        messi.ask("register messi surabaya1 Argentina Lionel Messi")
        henderson.ask("register henderson surabaya1 Inggris Jordan Henderson")
        self.assertIn("successful", messi.ask("addgroup TOKEN bola ")["message"])
        henderson.ask("joingroup TOKEN bola ")
        groups = henderson.ask("getgroups ")["groups"]
        self.assertEqual(groups, [{"group": "bola", "members": ["messi", "henderson"]}])
        text = f"{self.TEXT}\nlogout\n\n{self.TEXT}"
        self.assertEqual(messi.ask(f"sendgroup TOKEN bola  {text} ")["status"], "OK")
        sent = messi.ask(f"sendfile TOKEN henderson img/a.jpg {base64.b64encode(self.FILE)!r}")
        found = henderson.ask("privateinbox TOKEN messi ")["messages"]["messi"]
        self.assertEqual((found[0]["msg"], found[0]["group"]), (text, "bola"))
        self.check_file(found[1], "a.jpg")
        self.assertEqual(found[1]["address"], sent["address"])
        self.assertEqual(henderson.ask("privateinbox TOKEN messi ")["messages"], {})
        self.assertEqual(messi.ask("info ")["message"], ["henderson", "messi"])


class SharedPort(DaemonTestCase):
    """The original clients have one port in their source, and each address has that port."""

    DOORS = {"127.0.0.1": "kelompok3", "127.0.0.2": "tugas4", "127.0.0.3": "pychat"}
    ANSWERS = {"kelompok3": b'"message":{}', "tugas4": b"There is no", "pychat": b"Welcome to"}

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
