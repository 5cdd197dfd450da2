"""Every dialect refuses connections that begin with HTTP or TLS."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterable, Iterator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from chatd.commands.table import TABLE
from chatd.lines.dialect import Dialect
from chatd.lines.dialects import bagan, kelompok3, pychat, tugas4, urlencoded
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.first_bytes import HTTP, METHODS, TLS, FirstBytes, is_request_line
from chatd.store.accounts import all_accounts
from chatd.web.web_dialect import WebDialect
from tests.support.common import RealmTestCase, sleep

REGISTER: dict[type[Dialect], bytes] = {
    PlainDialect: b"register mallory password1",
    JsonDialect: b'{"command":"register","username":"mallory","password":"password1"}',
    kelompok3.Kelompok3Dialect: b"register mallory password1 Mal x",
    bagan.BaganDialect: b"register mallory password1 x Mal",
    urlencoded.UrlencodedDialect: (
        b"register username=mallory&password=password1&nationality=x&name=Mal"
    ),
    tugas4.Tugas4Dialect: b"auth_register mallory password1",
    pychat.PychatDialect: b"AUTH-REGISTER mallory password1 password1",
}
DIALECTS: tuple[type[Dialect], ...] = tuple(REGISTER)
HEADERS = b"Host: 127.0.0.1:8889\r\nContent-Type: text/plain\r\n\r\n"
HELLO = bytes.fromhex("16030100c8010000c40303") + b"\x00" * 20


def request(dialect: type[Dialect], start: bytes = b"POST / HTTP/1.1") -> bytes:
    """What a web page can make a browser send: a request whose body registers an account."""
    return start + b"\r\n" + HEADERS + REGISTER[dialect] + b"\r\n"


def decided(pieces: Iterable[bytes]) -> str:
    """The protocol that FirstBytes finds in these pieces."""
    first = FirstBytes()
    return next(filter(None, map(first.feed, pieces)), "")


def pieces_of(data: bytes) -> Iterator[list[bytes]]:
    """Whole, split in two at every place, and byte by byte."""
    yield [data]
    yield from ([data[:place], data[place:]] for place in range(1, len(data)))
    yield [data[at : at + 1] for at in range(len(data))]


class Recognition(TestCase):
    def test_foreign(self) -> None:
        cases = {f"{method} ".encode(): HTTP for method in METHODS}
        cases |= {HELLO: TLS, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": HTTP, b"\r\n\r\nGET /": HTTP}
        for data, protocol in cases.items():
            for pieces in pieces_of(data):
                self.assertEqual(decided(pieces), protocol, pieces)

    def test_line_end_is_not_needed(self) -> None:
        first = FirstBytes()
        self.assertEqual([first.feed(bytes([byte])) for byte in b"GET "], ["", "", "", HTTP])

    def test_lines(self) -> None:
        cases = (b"get messi\r\n", b"GET\r\n", b"GETS messi\r\n", b"POS", b"", b"\r\n\r\nping\r\n")
        for data in (*cases, *(line + b"\r\n" for line in REGISTER.values()), b"\x16\x04", b"\xff"):
            for pieces in pieces_of(data):
                self.assertEqual(decided(pieces), "", pieces)

    def test_only_the_beginning_counts(self) -> None:
        for pieces in pieces_of(b"ping\r\nGET / HTTP/1.1\r\n"):
            self.assertEqual(decided(pieces), "", pieces)

    def test_no_verb_of_a_first_line_is_a_method(self) -> None:
        """Requests that need no login, or that name their session."""
        verbs = {verb for row in TABLE if not row.login for verb in (row.verb, *row.aliases)}
        for module in (kelompok3, bagan, urlencoded, tugas4, pychat):
            verbs.update(module.VERBS)
        self.assertGreater(len(verbs), 50)
        methods = {method.lower() for method in METHODS}
        self.assertEqual({verb for verb in verbs if verb.lower() in methods}, set())

    def test_request_lines(self) -> None:
        for line in (
            b"register / HTTP/1.1",
            b"GET / HTTP/1.0",
            b"patch /x?y=z HTTP/1.1",
            b"OPTIONS * HTTP/1.1",
            b"GET http://a.example/ HTTP/1.1",
            b"X / HTTP/3",
        ):
            self.assertTrue(is_request_line(line), line)
        for line in (
            b"auth messi HTTP/1.1",
            b"send messi see / HTTP/1.1",
            b"getfile /x HTTP/1.1 please",
            b"ping",
            b"",
        ):
            self.assertFalse(is_request_line(line), line)


class Doors(RealmTestCase):
    async def accounts(self) -> list[str]:
        found, _ = await self.realm.database.read(all_accounts, 10)
        return [account.name for account in found]

    def turned_away(self, dialect: type[Dialect], pieces: Iterable[bytes]) -> bytes:
        """The answer before the connection is closed."""
        wire = self.connect(dialect())
        greeting = wire.protocol.factory.dialect.greeting("realm1", wire.protocol.factory.version)
        for piece in pieces:
            wire.feed(piece)
        wire.protocol.output.flush()
        answer = wire.taken()
        self.assertTrue(answer.startswith(greeting))
        self.assertTrue(wire.transport.disconnecting, dialect.name)
        wire.lose(Failure(ConnectionDone()))
        return answer.removeprefix(greeting)

    async def test_http(self) -> None:
        """One error, and nothing in the body is executed, however it arrives."""
        for dialect in DIALECTS:
            data = request(dialect)
            ways = [[data], [data[:3], data[3:]], [data[at : at + 1] for at in range(len(data))]]
            answers = {self.turned_away(dialect, pieces) for pieces in ways}
            self.assertEqual(len(answers), 1)
            self.assertIn(b"HTTP", answers.pop())
        self.assertEqual(await self.accounts(), [])

    async def test_unregistered_methods(self) -> None:
        """After DNS rebinding a page may use any method: a verb, or an unregistered one."""
        for dialect in DIALECTS:
            verb = REGISTER[dialect].partition(b" ")[0]
            for method in (b"FOO", verb, b"get"):
                data = request(dialect, method + b" /x HTTP/1.1")
                self.turned_away(dialect, [data])
        self.assertEqual(await self.accounts(), [])

    async def test_a_first_line_that_is_too_long(self) -> None:
        """A path can be longer than any line, and its end may look like a command."""
        for dialect in DIALECTS:
            limit = self.realm.config.limits.inline_line
            start = b"FOO /" + b"a" * (limit + 10)
            self.assertNotEqual(self.turned_away(dialect, [request(dialect, start)]), b"")
        self.assertEqual(await self.accounts(), [])

    async def test_tls(self) -> None:
        for dialect in DIALECTS:
            self.assertIn(b"TLS", self.turned_away(dialect, [HELLO, REGISTER[dialect] + b"\r\n"]))

    async def test_the_error_is_in_the_dialects_form(self) -> None:
        answer = self.turned_away(JsonDialect, [b"GET / HTTP/1.1\r\n"])
        self.assertEqual(json.loads(answer)["code"], "wrong-protocol")
        answer = self.turned_away(PlainDialect, [b"GET / HTTP/1.1\r\n"])
        self.assertIn(b"\r\ncode: wrong-protocol\r\n", answer)

    async def test_frames_of_a_websocket_are_lines(self) -> None:
        wire = self.connect(WebDialect())
        wire.feed(b"GET / HTTP/1.1\n")
        self.assertEqual((await wire.line())["code"], "bad-syntax")
        self.assertEqual((await wire.ask(command="ping"))["message"], "pong")
        wire.lose(Failure(ConnectionDone()))

    async def test_later_lines_may_look_like_http(self) -> None:
        wire = self.connect(PlainDialect())
        wire.feed(b"ping\r\nGET / HTTP/1.1\r\nping\r\n")
        self.assertEqual((await wire.until(b"pong\r\n\r\n")).count(b"pong"), 2)
        wire.lose(Failure(ConnectionDone()))


class Sockets(RealmTestCase):
    """Over TCP the client can read the whole error, regardless of what it has sent."""

    def listen(self, dialect: Dialect) -> int:
        network: Any = reactor
        port = network.listenTCP(0, self.realm.door(dialect), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.all_gone()))
        return int(port.getHost().port)

    async def all_gone(self) -> None:
        while self.realm.connections.total:
            await sleep(0.002)

    async def test_the_error_is_read_before_the_end(self) -> None:
        """Data that arrives late does not reset the connection."""
        port = self.listen(JsonDialect())

        def talk() -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(b"POST / HTTP/1.1\r\n" + b"a" * 300_000)
                found = b"".join(iter(lambda: client.recv(4096), b""))
                client.sendall(b"more" * 1000)
                return found

        found: Deferred[bytes] = deferToThread(talk)
        self.assertEqual(json.loads(await found)["code"], "wrong-protocol")

    async def test_a_client_of_tls(self) -> None:
        port = self.listen(PlainDialect())

        def talk() -> str:
            context = ssl.create_default_context()
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                try:
                    context.wrap_socket(client, server_hostname="localhost")
                except ssl.SSLError as error:
                    return type(error).__name__
            return ""

        found: Deferred[str] = deferToThread(talk)
        self.assertIn("SSL", await found)
