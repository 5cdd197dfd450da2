"""A control program for chatd: it logs in at the `json` port, and acts as the suite asks.

    python -m chatd.conformance.chatd_control HOST PORT USER PASSWORD [--restart COMMAND]

It is also the example of a control program: docs/conformance.md lists the requests.
"""

from __future__ import annotations

import argparse
import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

PATIENCE = 60.0  # seconds for a reply
SHOWN = 50  # messages of a conversation
PAUSE = 0.1  # seconds between two attempts to log in after a restart

Answer = dict[str, Any]


class Unsupported(Exception):
    """A request that this program does not know."""


class NotDone(Exception):
    """chatd has refused it: the code."""


class ChatdActor:
    """Acts as one user. `restart` stops chatd, starts it again, and returns when that is done."""

    def __init__(
        self,
        address: tuple[str, int],
        user: str,
        password: str,
        restart: Callable[[], object] | None = None,
    ) -> None:
        self._address = address
        self._login = {"command": "auth", "username": user, "password": password}
        self._restart = restart
        self._socket: socket.socket | None = None
        self._lines: TextIO | None = None

    def __call__(self, request: dict[str, Any]) -> Answer:
        """Carry out a request of the suite. Raises OSError if chatd can't be reached."""
        try:
            return {"ok": True, **self._act(request)}
        except NotDone as error:
            return {"ok": False, "code": str(error)}
        except Unsupported:
            return {"ok": False, "code": "unsupported"}

    def _act(self, request: dict[str, Any]) -> Answer:
        match request:
            case {"do": "send", "to": to, "text": text}:
                self._ask(command="send", to=to, text=text)
            case {"do": "edit", "to": to, "text": text, "new": new}:
                self._ask(command="edit", user=to, seq=self._seq(to, text), text=new)
            case {"do": "delete", "to": to, "text": text}:
                self._ask(command="delete", user=to, seq=self._seq(to, text))
            case {"do": "history", "place": place}:
                return {"texts": [each.get("text") for each in self._history(place)]}
            case {"do": "join", "group": group}:
                self._ask(command="joingroup", group=group)
            case {"do": "post", "group": group, "text": text}:
                self._ask(command="sendgroup", group=group, text=text)
            case {"do": "restart"} if self._restart:
                self.close()
                self._restart()
            case _:
                raise Unsupported
        return {}

    def close(self) -> None:
        if self._lines is not None:
            self._lines.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._lines = None

    def _seq(self, person: str, text: str) -> int:
        """The number of the message with that text. Raises NotDone."""
        for message in reversed(self._history(person)):
            if message.get("text") == text:
                return int(message["seq"])
        raise NotDone("no-such-message")

    def _history(self, place: str) -> list[dict[str, Any]]:
        """The messages of a person, or of a group after `#`."""
        where = {"group": place[1:]} if place.startswith("#") else {"user": place}
        reply = self._ask(command="history", n=SHOWN, **where)
        return [each for each in reply["messages"] if "kind" not in each]

    def _ask(self, **request: Any) -> dict[str, Any]:
        """Send a request as the user. Raises NotDone with the code of an error."""
        if self._lines is None:
            self._connect()
            self._exchange(self._login)
        return self._exchange(request)

    def _connect(self) -> None:
        """Connect, also to a daemon that is still starting. Raises OSError."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._socket = socket.create_connection(self._address, PATIENCE)
            except ConnectionRefusedError:
                if time.monotonic() > end:
                    raise
                time.sleep(PAUSE)
            else:
                self._lines = self._socket.makefile("rw", encoding="utf-8", newline="")
                return

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._lines is None:
            raise OSError("there is no connection")
        self._lines.write(json.dumps(request) + "\r\n")
        self._lines.flush()
        while line := self._lines.readline():
            reply: dict[str, Any] = json.loads(line)
            if "event" in reply:
                continue
            if reply.get("status") != "OK":
                raise NotDone(reply.get("code", reply))
            return reply
        raise OSError("chatd has closed the connection")


def main(arguments: Sequence[str], requests: TextIO, answers: TextIO) -> None:
    """Read requests until there are no more, and answer each."""
    parser = argparse.ArgumentParser(prog="python -m chatd.conformance.chatd_control")
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("port", metavar="PORT", type=int)
    parser.add_argument("user", metavar="USER")
    parser.add_argument("password", metavar="PASSWORD")
    parser.add_argument("--restart", metavar="COMMAND", help="stops chatd and starts it again")
    options = parser.parse_args(arguments)
    restart = None
    if options.restart:
        command = shlex.split(options.restart)
        restart = lambda: subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: E731, S603
    actor = ChatdActor((options.host, options.port), options.user, options.password, restart)
    for line in requests:
        answers.write(json.dumps(actor(json.loads(line))) + "\n")
        answers.flush()
    actor.close()


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin, sys.stdout)
