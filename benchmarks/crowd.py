"""The users of a scenario: their names and tokens, their logins, and their messages."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks.dialects import Dialect
from benchmarks.engine import Connection, Loop, Script

PASSWORD = "correct-horse-battery"
TEXT_LENGTH = 100


def names(first: int, count: int) -> list[str]:
    return [f"u{number:04d}" for number in range(first, first + count)]


class Accounts:
    """Tokens by name, kept in a file, so that later runs on the same state can resume the sessions."""

    def __init__(self, dialect: Dialect, path: Path | None) -> None:
        self.dialect = dialect
        self.path = path
        self.tokens: dict[str, str] = {}
        if path is not None and path.exists():
            self.tokens = json.loads(path.read_text())

    def ensure(self, loop: Loop, wanted: Iterable[str]) -> None:
        """Register missing accounts, each on a connection of its own."""
        if not self.dialect.accounts:
            return
        missing = [name for name in wanted if name not in self.tokens]
        loop.run_scripts((name, self._registering(name)) for name in missing)
        if missing and self.path is not None:
            self.path.write_text(json.dumps(self.tokens))

    def _registering(self, name: str) -> Callable[[Connection], Script]:
        def script(connection: Connection) -> Script:
            reply = self.dialect.checked((yield self.dialect.register(name, PASSWORD)))
            self.tokens[name] = self.dialect.token(reply)
            connection.close()

        return script

    def enter(
        self,
        loop: Loop,
        who: Iterable[str],
        *,
        listening: bool,
        also: Iterable[bytes] = (),
    ) -> list[Connection]:
        """Log everybody in, and send the requests in `also`. Returns the connections in the order of
        `who`."""
        everybody = list(who)
        entered: dict[str, Connection] = {}
        listen = self.dialect.listen() if listening else None
        further = [*([listen] if listen is not None else []), *also]

        def script(connection: Connection) -> Script:
            name = connection.name
            login = self.dialect.login(name, self.tokens.get(name, ""))
            for request in (login, *further):
                self.dialect.checked((yield request))
            entered[name] = connection

        loop.run_scripts((name, script) for name in everybody)
        return [entered[name] for name in everybody]


class Texts:
    """One sender's messages in wire form, cut so that only the number has to be filled in.

    A text is ``~RRRRSSSSNNNNNNNN.xxx…``: the run, the sender and the message's number in hex, so
    that every delivery can be told from every other one, also from those of an earlier run.
    """

    RUN = os.urandom(2).hex().encode()
    #: Occurs once in every text of this run.
    MARK = b"~" + RUN
    #: The distance from the mark to the number, and the length of the number.
    NUMBER_AT = len(MARK) + 4
    NUMBER_END = NUMBER_AT + 8

    def __init__(self, sender: int, request: Callable[[str], bytes]) -> None:
        placeholder = "{number}"
        text = f"{self.MARK.decode()}{sender:04x}{placeholder}."
        # The placeholder is as long as the number that replaces it.
        self.before, self.after = request(text.ljust(TEXT_LENGTH, "x")).split(placeholder.encode())

    def batch(self, first: int, count: int) -> bytes:
        """The requests that send messages `first`, `first + 1`, …"""
        before, after = self.before, self.after
        if count == 1:
            return b"%b%08x%b" % (before, first, after)
        return b"".join([b"%b%08x%b" % (before, n, after) for n in range(first, first + count)])

    @classmethod
    def number(cls, data: bytes, mark: int) -> int:
        """The number of the text whose mark is at that position."""
        return int(data[mark + cls.NUMBER_AT : mark + cls.NUMBER_END], 16)


def marks(data: bytes) -> Iterator[bytes]:
    """The identity (sender and number) of every text in the received bytes, in order."""
    at = data.find(Texts.MARK)
    while at >= 0:
        yield data[at + len(Texts.MARK) : at + Texts.NUMBER_END]
        at = data.find(Texts.MARK, at + Texts.NUMBER_END)
