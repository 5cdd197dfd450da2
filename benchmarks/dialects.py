"""The dialects of the load generator, with only what the scenarios need.

A dialect says how requests are written, and which bytes mark a reply or a pushed line. It parses as little as
possible: the scenarios count ``ack`` and ``push`` in whole chunks of received bytes.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any


class DialectError(Exception):
    """The server sent something with which the scenario can't continue."""


class Dialect(ABC):
    """One dialect. All requests are complete lines."""

    name: str
    #: Occurs once in every OK reply, and nowhere else.
    ack: bytes
    #: Occurs once in every ERROR reply, and nowhere else.
    refusal: bytes
    #: Starts every pushed line, and no line of a reply.
    push: bytes
    #: Ends every reply.
    end: bytes = b"\n"
    #: Whether messages to absent people are stored.
    stores = True
    #: Whether accounts must be registered; they then log in by token.
    accounts = True
    #: Whether lines are sent in the frames of a WebSocket.
    frames = False
    #: How many log in at a time; less than the smallest usual listen backlog, so that none is refused.
    parallel = 32

    def checked(self, reply: bytes) -> bytes:
        """Return the reply if it is OK, else raise with the words of the server."""
        if self.ack not in reply:
            raise DialectError(reply[:300].decode(errors="replace").strip())
        return reply

    def without_pushes(self, block: bytes) -> bytes:
        """Drop the pushed lines before a reply (also a greeting, which looks like one)."""
        while block.startswith(self.push):
            block = block.partition(b"\n")[2]
        return block

    @abstractmethod
    def register(self, name: str, password: str) -> bytes: ...
    @abstractmethod
    def token(self, reply: bytes) -> str: ...
    @abstractmethod
    def login(self, name: str, token: str) -> bytes: ...
    @abstractmethod
    def listen(self) -> bytes | None: ...
    @abstractmethod
    def send(self, to: str, text: str) -> bytes: ...
    @abstractmethod
    def add_group(self, group: str) -> bytes: ...
    @abstractmethod
    def join_group(self, group: str) -> bytes: ...
    @abstractmethod
    def post(self, group: str, text: str) -> bytes: ...
    @abstractmethod
    def inbox(self) -> bytes: ...
    @abstractmethod
    def remaining(self, reply: bytes) -> int | None:
        """How many messages an inbox reply has left; None if it does not say."""

    @abstractmethod
    def history(self, conversation: str, count: int) -> bytes: ...


class Json(Dialect):
    """chatd's language for programs: one JSON object a line."""

    name = "json"
    ack = b'{"status":"OK"'
    refusal = b'{"status":"ERROR"'
    push = b'{"event":'

    @staticmethod
    def _line(command: str, **arguments: Any) -> bytes:
        request = {"command": command, **arguments}
        return json.dumps(request, separators=(",", ":")).encode() + b"\r\n"

    def register(self, name: str, password: str) -> bytes:
        return self._line("register", username=name, password=password)

    def token(self, reply: bytes) -> str:
        values = json.loads(reply)
        for key in ("tokenId", "tokenid", "token"):
            if key in values:
                return str(values[key])
        raise DialectError(f"no token in {reply[:200]!r}")

    def login(self, name: str, token: str) -> bytes:
        return self._line("resume", token=token)

    def listen(self) -> bytes | None:
        return self._line("listen", on=True)

    def send(self, to: str, text: str) -> bytes:
        # Replies to what crosses wait for the other realm, as they do in other dialects.
        waiting = {"wait": True} if "@" in to else {}
        return self._line("send", to=[to], text=text, **waiting)

    def add_group(self, group: str) -> bytes:
        return self._line("addgroup", group=group)

    def join_group(self, group: str) -> bytes:
        return self._line("joingroup", group=group)

    def post(self, group: str, text: str) -> bytes:
        return self._line("sendgroup", group=group, text=text)

    def inbox(self) -> bytes:
        return self._line("inbox")

    def remaining(self, reply: bytes) -> int | None:
        remaining = json.loads(reply).get("remaining")
        return None if remaining is None else int(remaining)

    def history(self, conversation: str, count: int) -> bytes:
        return self._line("history", to=conversation, n=count)


class Web(Json):
    """The same over a WebSocket, as browsers speak it."""

    name = "web"
    frames = True
    # The site limits unauthenticated connections from one address.
    parallel = 16


class Plain(Dialect):
    """chatd's language for telnet: a reply is a block of lines, ended by an empty one."""

    name = "plain"
    ack = b"status: OK\r\n"
    refusal = b"status: ERROR\r\n"
    push = b"* "
    end = b"\r\n\r\n"

    def register(self, name: str, password: str) -> bytes:
        return f"register {name} {password}\r\n".encode()

    def token(self, reply: bytes) -> str:
        for line in reply.decode().splitlines():
            key, _, value = line.partition(": ")
            if key.lower() in ("tokenid", "token"):
                return value
        raise DialectError(f"no token in {reply[:200]!r}")

    def login(self, name: str, token: str) -> bytes:
        return f"resume {token}\r\n".encode()

    def listen(self) -> bytes | None:
        return b"listen on\r\n"

    def send(self, to: str, text: str) -> bytes:
        return f"send {to} {text}\r\n".encode()

    def add_group(self, group: str) -> bytes:
        return f"addgroup {group}\r\n".encode()

    def join_group(self, group: str) -> bytes:
        return f"joingroup {group}\r\n".encode()

    def post(self, group: str, text: str) -> bytes:
        return f"sendgroup {group} {text}\r\n".encode()

    def inbox(self) -> bytes:
        return b"inbox\r\n"

    def remaining(self, reply: bytes) -> int | None:
        return None if b"\r\n- " in reply else 0

    def history(self, conversation: str, count: int) -> bytes:
        return f"history {conversation} {count}\r\n".encode()


class Bare(Dialect):
    """The language of `benchmarks.bare`. A group exists as soon as someone enters it."""

    name = "bare"
    ack = b"ok\r\n"
    refusal = b"no such "
    push = b"from "
    stores = False
    accounts = False

    def register(self, name: str, password: str) -> bytes:
        return f"hello {name}\r\n".encode()

    def token(self, reply: bytes) -> str:
        return ""

    def login(self, name: str, token: str) -> bytes:
        return f"hello {name}\r\n".encode()

    def listen(self) -> bytes | None:
        return None

    def send(self, to: str, text: str) -> bytes:
        return f"to {to} {text}\r\n".encode()

    def add_group(self, group: str) -> bytes:
        return f"enter {group}\r\n".encode()

    def join_group(self, group: str) -> bytes:
        return f"enter {group}\r\n".encode()

    def post(self, group: str, text: str) -> bytes:
        return f"tell {group} {text}\r\n".encode()

    def inbox(self) -> bytes:
        raise DialectError("the bare relay keeps nothing")

    def remaining(self, reply: bytes) -> int | None:
        raise DialectError("the bare relay keeps nothing")

    def history(self, conversation: str, count: int) -> bytes:
        raise DialectError("the bare relay keeps nothing")


DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect for dialect in (Json(), Web(), Plain(), Bare())
}
