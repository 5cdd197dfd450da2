"""A real daemon and clients that behave as those of the five older systems."""

from __future__ import annotations

import ast
import base64
import json
import socket
from typing import Any

from tests.support.ports import free_port
from tests.support.processes import DaemonTestCase, in_thread, wait_until


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
    ANSWERS = {"kelompok3": b"Session Tidak", "tugas4": b"Session not", "pychat": b"Welcome to"}

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
                client.sendall(b"inbox \r\n")
                self.assertIn(self.ANSWERS[door], client.recv(1000))


class FilesOfTugas4(DaemonTestCase):
    """The client of tugas4 sends and fetches files on a second connection."""

    def setUp(self) -> None:
        super().setUp()
        self.door, self.data = free_port(), free_port()
        doors: dict[str, Any] = {"tugas4": self.door, "tugas4-data": self.data}
        port = self.configure("file = 1M\n", **doors)
        self.daemon = self.launch(port, "--config", "../chatd.ini")

    def client(self, name: str) -> tuple[socket.socket, str]:
        """A client, and its token."""
        client = socket.create_connection(("127.0.0.1", self.door), 10)
        self.addCleanup(client.close)
        reply = self.ask(client, f"auth_login {name} {name}-password")
        return client, reply["tokenid"]

    def ask(self, client: socket.socket, request: str) -> Any:
        client.sendall(f"{request} \r\n".encode())
        reply = b""
        while not reply.endswith(b"\r\n\r\n"):
            data = client.recv(10)
            assert data, "the connection was closed"
            reply += data
        return json.loads(reply)

    def begin(self, client: socket.socket, request: str) -> socket.socket:
        """Send a request for a file, and open its data connection."""
        client.sendall(f"{request} \r\n".encode())
        return socket.create_connection(("127.0.0.1", self.data), 10)

    def message(self, client: socket.socket) -> str:
        """The message of the reply, which has to come in one piece."""
        reply = client.recv(4096)
        self.assertTrue(reply.endswith(b"\r\n\r\n"), reply)
        return str(json.loads(reply)["message"])

    def upload(self, client: socket.socket, request: str, data: bytes) -> str:
        with self.begin(client, request) as stream:
            for start in range(0, len(data), 1024):
                stream.send(data[start : start + 1024])
        return self.message(client)

    def download(self, client: socket.socket, request: str) -> tuple[bytes, str]:
        data = b""
        with self.begin(client, request) as stream:
            while piece := stream.recv(1024):
                data += piece
        return data, self.message(client)

    @in_thread
    def test_transfers(self) -> None:
        self.daemon.listening()
        for name in ("messi", "henderson"):
            self.daemon.register(name).close()
        data = bytes(range(256)) * 2000
        messi, token = self.client("messi")
        sent = self.upload(messi, f"send_file {token} henderson img/gambar 1.png", data)
        self.assertEqual(sent, "File sent")
        self.assertEqual(self.upload(messi, f"send_file {token} nobody a", data), "User not found")
        too_large = self.upload(messi, f"send_file {token} henderson a", data * 3)
        self.assertIn("The file is too large", too_large)
        self.assertEqual(self.upload(messi, f"send_file {token} henderson nol", b""), "File sent")

        henderson, token = self.client("henderson")
        entries = self.ask(henderson, f"inbox {token}")["messages"]["messi"]
        names = [ast.literal_eval(entry)["msg"] for entry in entries]
        self.assertRegex(names[0], r"\A\d{4}(_\d\d){5}_gambar_1\.png\Z")
        for name, expected in zip(names, (data, b""), strict=True):
            found = self.download(henderson, f"download_file {token} {name}")
            self.assertEqual(found, (expected, "File downloaded"))
        found = self.download(henderson, f"download_file {token} nothing")
        self.assertEqual(found, (b"", "File not found"))
        self.daemon.stop()

    @in_thread
    def test_two_clients_at_one_address(self) -> None:
        """Neither gets the file of the other."""
        self.daemon.listening()
        for name in ("messi", "henderson"):
            self.daemon.register(name).close()
        (messi, token), (henderson, other) = self.client("messi"), self.client("henderson")
        with (
            self.begin(messi, f"send_file {token} henderson a") as first,
            self.begin(henderson, f"send_file {other} messi b") as second,
        ):
            first.sendall(b"satu")
            second.sendall(b"dua")
        self.assertEqual((self.message(messi), self.message(henderson)), ("File sent", "File sent"))
        messi.sendall(f"send_file {token} henderson a \r\n".encode())
        henderson.sendall(f"send_file {other} messi b \r\n".encode())
        for client in (messi, henderson):
            self.assertIn("Two transfers of files", self.message(client))
        with socket.create_connection(("127.0.0.1", self.data), 10) as stream:
            stream.sendall(bytes(100_000))
            self.assertEqual(stream.recv(1), b"")
        self.assertIn("Two transfers", self.upload(messi, f"send_file {token} henderson a", b"a"))

    @in_thread
    def test_killed_client_sends_no_file(self) -> None:
        """Both of its connections end at once, with a part of the file sent."""
        self.daemon.listening()
        for name in ("messi", "henderson"):
            self.daemon.register(name).close()
        messi, token = self.client("messi")
        stream = self.begin(messi, f"send_file {token} henderson a")
        stream.sendall(bytes(500_000))
        uploads = self.root / "state" / "uploads"
        arriving = uploads / "incoming"
        wait_until(lambda: any(arriving.iterdir()), lambda: "the file to arrive")
        messi.close()
        stream.close()
        wait_until(lambda: not any(arriving.iterdir()), lambda: "its end")
        self.assertEqual([path for path in uploads.iterdir() if path.is_file()], [])
        henderson, token = self.client("henderson")
        self.assertEqual(self.ask(henderson, f"inbox {token}")["messages"], {})
