"""Files of rooms with a real daemon: as the client of urlencoded sends them, and over kills and stops."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.ports import free_port
from tests.support.processes import Daemon, DaemonTestCase, in_thread, wait_until

BLOCK = 1024
DATA = bytes(range(256)) * 20


class BlockClient:
    """Speaks as the client of urlencoded does: in blocks that are filled up with spaces."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def ask(self, verb: str, **values: str) -> dict[str, Any]:
        request = f"{verb} {urlencode(values)}".encode()
        self._socket.sendall(request + b" " * (-len(request) % BLOCK))
        return self.listen()

    def listen(self) -> dict[str, Any]:
        """The next object."""
        read = b""
        while True:
            piece = self._socket.recv(BLOCK)
            assert piece, read
            read += piece
            if len(piece.rstrip()) < BLOCK:
                found: dict[str, Any] = json.loads(read)
                return found

    def close(self) -> None:
        self._socket.close()


class RoomFileTests(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.door = free_port()
        self.port = self.configure(urlencoded=self.door)
        self.tokens: dict[str, str] = {}

    def restart(self) -> Daemon:
        return self.launch(self.port, "--config", "../chatd.ini").listening()

    def enter(self, name: str) -> BlockClient:
        """A client that is in the room."""
        client = BlockClient(self.door)
        self.addCleanup(client.close)
        if name not in self.tokens:
            client.ask("register", username=name, nationality="id", password="surabaya", name=name)
        token = client.ask("auth", username=name, password="surabaya")["tokenid"]
        self.tokens[name] = token
        self.assertEqual(client.ask("room_join", roomname="tamu", session=token)["status"], "OK")
        return client

    def left(self) -> list[Path]:
        """The files of rooms on disk."""
        return list((self.root / "state" / "uploads" / "rooms").iterdir())

    def send(self, client: BlockClient, name: str, filename: str = "dir/gol saya.bin") -> None:
        payload = b64encode(DATA).decode()
        token = self.tokens[name]
        client_reply = client.ask(
            "room_send_file", session=token, payload=payload, filename=filename
        )
        self.assertEqual(client_reply["status"], "OK", client_reply)

    def fetch(self, name: str, filename: str = "gol saya.bin") -> dict[str, Any]:
        """As that client does it: over a new connection."""
        client = BlockClient(self.door)
        reply = client.ask("room_get_file", session=self.tokens[name], filename=filename)
        client.close()
        return reply

    @in_thread
    def test_fetched_by_those_in_the_room(self) -> None:
        self.restart()
        messi, lineker = self.enter("messi"), self.enter("lineker")
        messi.listen()  # that lineker has come
        self.send(messi, "messi")
        self.assertEqual(self.fetch("lineker")["payload"], b64encode(DATA).decode())
        self.assertEqual(len(self.left()), 1)
        lineker.ask("room_leave", session=self.tokens["lineker"])
        self.assertEqual(self.fetch("lineker")["status"], "ERROR")
        messi.listen()  # that lineker has left
        messi.ask("room_leave", session=self.tokens["messi"])
        wait_until(lambda: not self.left(), lambda: "the end of the room's files")

    @in_thread
    def test_gone_after_a_kill(self) -> None:
        daemon = self.restart()
        messi = self.enter("messi")
        self.send(messi, "messi")
        daemon.kill()
        self.assertEqual(len(self.left()), 1)
        self.restart()
        self.assertEqual(self.left(), [])
        self.enter("messi")
        self.assertEqual(self.fetch("messi")["status"], "ERROR")

    @in_thread
    def test_gone_after_a_stop(self) -> None:
        daemon = self.restart()
        messi = self.enter("messi")
        self.send(messi, "messi")
        daemon.stop()
        self.assertEqual(self.left(), [])
