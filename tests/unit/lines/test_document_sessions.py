"""The session of a private group of two realms in docs/peering.md, as it would be today."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import permutations

from chatd.lines.connections import Connections
from chatd.lines.dialect import Dialect
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.factory import ChatLineFactory
from chatd.net.eager import FlushQueue
from chatd.service.accounts import Login
from chatd.simulate.servers import Server
from tests.support import ROOT
from tests.support.common import Wire
from tests.support.network import NetworkTestCase

HEADING = "### A private group of two realms, and attempts to come back\n"
#: Who types, and where they have their account.
HOMES = {"Lina": "realm1", "Budi": "realm2", "Tini": "realm2", "Budi in realm3": "realm3"}
SHELL = re.compile(r"\$ curl -X POST .*/join/(\S+)")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
CODE = re.compile(r"\b[a-z2-9]{8}:[a-z2-9]{8}\b")


def blocks() -> Iterator[tuple[str, list[str]]]:
    """The session: who types or reads, and the lines of that part."""
    document = (ROOT / "docs" / "peering.md").read_text(encoding="utf-8")
    session = document.partition(HEADING)[2].partition("\n## ")[0]
    who, lines = "", list[str]()
    for line in session.splitlines():
        if line.startswith("    "):
            lines.append(line.strip())
        elif line:
            if lines:
                yield who, lines
            who, lines = line.removesuffix(":"), []
        elif lines:
            lines.append("")
    if lines:
        yield who, lines


class Sessions(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        names = ("realm1", "realm2", "realm3")
        self.servers = {name: self.network.server(name) for name in names}
        for one, other in permutations(self.servers.values(), 2):
            one.add(other)
        self.network.settle()
        self.queues = {name: self.flush_queue(server) for name, server in self.servers.items()}
        self.wires = {who: self.log_in(who, PlainDialect()) for who in HOMES}
        self.codes: dict[str, str] = {}  # that of the document for each of ours, in order

    def flush_queue(self, server: Server) -> FlushQueue:
        queue = FlushQueue(server.realm.clock)
        server.realm.database.on_settled(queue.flush)
        return queue

    def log_in(self, who: str, dialect: Dialect) -> Wire:
        """A connection of a person, who is logged in."""
        home, name = HOMES[who], who.partition(" ")[0].lower()
        server = self.servers[home]
        account = server.person(name).account
        factory = ChatLineFactory(
            server.service, server.realm.sessions, Connections(), self.queues[home], dialect
        )
        wire = Wire(factory)
        token = f"{name} {dialect.name}".encode().ljust(32)
        wire.protocol.connection.attach(Login(account, token, 1 << 50))
        self.network.advance(1)
        wire.taken()
        return wire

    def test_private_group(self) -> None:
        for who, lines in blocks():
            with self.subTest(who=who, first=lines[0]):
                if who == "The shell":
                    self.joins_by_link(lines)
                else:
                    self.replay(who, lines)

    def replay(self, who: str, lines: list[str]) -> None:
        """Type what the document has, and compare what is shown."""
        wire = self.wires[who]
        self.network.advance(1)
        shown = []
        for each in "\n".join(lines).split("\n\n"):
            command = each.partition("\n")[0]
            if not command.startswith("* "):
                shown += [*self.taken(wire), command]
                wire.feed(f"{self.ours(command)}\r\n".encode())
            self.network.advance(2)
        shown += self.taken(wire)
        written = [TIME.sub("TIME", each) for each in lines if each]
        self.assertEqual(self.of_document(shown, written), written)

    def taken(self, wire: Wire) -> list[str]:
        lines = wire.taken().decode().splitlines()
        return [TIME.sub("TIME", each) for each in lines if each]

    def ours(self, command: str) -> str:
        """A command of the document with the codes that the group has here."""
        for ours, theirs in self.codes.items():
            command = command.replace(theirs, ours)
        return command

    def of_document(self, shown: list[str], written: list[str]) -> list[str]:
        """What was shown, with the codes of the document."""
        new = [each for line in shown for each in CODE.findall(self.of_ours(line))]
        told = [each for line in written for each in CODE.findall(line)]
        known = set(self.codes.values())
        self.codes |= dict(
            zip(
                dict.fromkeys(each for each in new if each not in known),
                dict.fromkeys(each for each in told if each not in known),
                strict=True,
            )
        )
        return [self.of_ours(each) for each in shown]

    def of_ours(self, line: str) -> str:
        for ours, theirs in self.codes.items():
            line = line.replace(ours, theirs)
        return line

    def joins_by_link(self, lines: list[str]) -> None:
        """A join link does what `joingroup` does, and its answer has the same fields."""
        found = SHELL.match(lines[0])
        assert found is not None
        wire = self.log_in("Budi", JsonDialect())
        asked = {"command": "joingroup", "group": self.ours(found[1])}
        wire.feed(json.dumps(asked).encode() + b"\r\n")
        self.network.advance(2)
        answer = json.loads(self.of_ours(wire.taken().decode()))
        del answer["id"]
        self.assertEqual(answer, json.loads(lines[1]))
