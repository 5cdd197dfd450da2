"""A blocking client of the json dialect, on a real socket."""

from __future__ import annotations

import json
import socket
from typing import Any, Self

PATIENCE = 20.0  # seconds that tests of processes wait for anything


class Talker:
    """A client of the json dialect on a real, blocking socket. Events are collected in `events`."""

    def __init__(self, port: int, patience: float = PATIENCE) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.events: list[dict[str, Any]] = []
        self._lines = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def send(self, **request: Any) -> None:
        """Send a request, without waiting for its reply."""
        self.socket.sendall(json.dumps(request).encode() + b"\r\n")

    def line(self) -> dict[str, Any] | None:
        """The next reply; None if the connection has ended, with or without half a line."""
        while True:
            try:
                line = self._lines.readline()
            except ConnectionError:
                return None
            if not line.endswith(b"\n"):
                return None
            found: dict[str, Any] = json.loads(line)
            if "event" not in found:
                return found
            self.events.append(found)

    def bytes(self, size: int) -> bytes:
        """The next bytes, which follow a reply; fewer if the connection has ended."""
        return self._lines.read(size)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request, and return its reply, OK or not."""
        self.send(**request)
        reply = self.line()
        if reply is None:
            raise ConnectionError(f"no reply to {request['command']}")
        return reply

    def must(self, **request: Any) -> dict[str, Any]:
        """Send a request, and return its reply, which must be OK."""
        reply = self.ask(**request)
        if reply["status"] != "OK":
            raise AssertionError(f"{request['command']}: {reply}")
        return reply

    def texts(self) -> list[str]:
        """The texts of all unread messages."""
        found: list[str] = []
        while True:
            page = self.must(command="inbox")
            found += [message["text"] for message in page["messages"]]
            if not page["remaining"]:
                return found

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


def answers(port: int) -> bool:
    """Whether a daemon answers, other than by the kernel accepting the connection."""
    try:
        with Talker(port, patience=5) as talker:
            # If no process listens, the kernel may connect a socket with itself.
            return bool(talker.ask(command="ping").get("status") == "OK")
    except OSError:
        return False
