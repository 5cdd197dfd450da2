"""Sessions by token: several on one connection, one on several connections, and files in a line."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from chatd.commands import connection as connection_module
from chatd.lines.dialects.bagan import BaganDialect
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from chatd.lines.dialects.urlencoded import UrlencodedDialect
from chatd.lines.input_control import Hold
from tests.support.buffers import in_pieces
from tests.support.common import Wire
from tests.unit.lines.cases import (
    CLOSED,
    PASSWORD,
    ManualClock,
    ProtocolTestCase,
    settle,
    until,
)

END = b"\r\n\r\n"
MIB = 1 << 20


def answers(data: bytes, end: bytes = END) -> list[dict[str, Any]]:
    return [json.loads(each) for each in data.split(end) if each]


class SharedTestCase(ProtocolTestCase):
    people = ("messi", "henderson", "lineker")

    async def say(self, wire: Wire, line: str) -> dict[str, Any]:
        """Send one request, and return its answer."""
        wire.feed(line.encode() + b"\r\n")
        (answer,) = answers(await wire.until(END))
        return answer

    async def token(self, name: str) -> str:
        """The token of a session that no connection uses."""
        wire = self.wire()
        reply = await wire.ask(command="auth", username=name, password=PASSWORD)
        self.lose(wire, CLOSED)
        await settle()
        return str(reply["tokenId"])

    async def write(self, sender: str, *texts: str) -> None:
        """Send a message from `sender` to messi."""
        wire = await self.logged_in(sender)
        for text in texts:
            reply = await wire.ask(command="send", to="messi", text=text)
            self.assertEqual(reply["status"], "OK")
        self.lose(wire, CLOSED)

    async def unread(self, name: str = "messi") -> int:
        """How many messages a new connection would be given."""
        await settle()
        wire = await self.logged_in(name)
        reply = await wire.ask(command="inbox", peek=True)
        self.lose(wire)
        return len(reply["messages"])

    def given(self, answer: dict[str, Any]) -> list[str]:
        return [entry["msg"] for entries in answer["messages"].values() for entry in entries]


class Proving(SharedTestCase):
    """The next command of a session on a connection confirms what it was given there."""

    async def test_another_session_on_the_connection_proves_nothing(self) -> None:
        messi, lineker = await self.token("messi"), await self.token("lineker")
        await self.write("henderson", "one")
        wire = self.wire(Kelompok3Dialect)
        self.assertEqual(self.given(await self.say(wire, f"inbox {messi}")), ["one"])
        await self.say(wire, f"inbox {lineker}")
        await self.say(wire, "nonsense")
        self.assertEqual(await self.unread(), 1)
        await self.say(wire, f"info {messi}")
        self.assertEqual(await self.unread(), 0)

    async def test_a_lost_connection_proves_nothing_and_a_closed_one_everything(self) -> None:
        messi, lineker = await self.token("messi"), await self.token("lineker")
        await self.write("henderson", "one")
        for why, left in ((None, 1), (CLOSED, 0)):
            wire = self.wire(Kelompok3Dialect)
            await self.say(wire, f"inbox {lineker}")
            await self.say(wire, f"inbox {messi}")
            self.lose(wire, *([why] if why else []))
            self.assertEqual(await self.unread(), left)

    async def test_what_was_sent_along_proves_nothing_and_is_not_given_again(self) -> None:
        messi = await self.token("messi")
        await self.write("henderson", "one")
        wire = self.wire(Kelompok3Dialect)
        wire.feed(f"inbox {messi}\ninbox {messi}\n".encode())
        first, second = answers(await wire.until(lambda data: data.count(END) == 2))
        self.assertEqual((self.given(first), self.given(second)), (["one"], []))
        self.assertEqual(await self.unread(), 1)

    async def test_a_second_login_takes_nothing_from_the_first(self) -> None:
        await self.write("henderson", "one")
        wire = await self.logged_in("messi", Kelompok3Dialect)
        self.assertEqual(self.given(await self.say(wire, "inbox")), ["one"])
        await self.say(wire, f"auth lineker {PASSWORD}")
        self.lose(wire)
        # The login was a command of the first session, and came after what it was given.
        self.assertEqual(await self.unread(), 0)

    async def test_both_connections_of_a_session_are_given_it(self) -> None:
        messi = await self.token("messi")
        await self.write("henderson", "one")
        one, two = self.wire(Kelompok3Dialect), self.wire(BaganDialect)
        self.assertEqual(self.given(await self.say(one, f"inbox {messi}")), ["one"])
        self.assertEqual(self.given(await self.say(two, f"inbox {messi}")), ["one"])
        await self.say(two, f"info {messi}")
        self.assertEqual(self.given(await self.say(one, f"inbox {messi}")), [])


class Presence(SharedTestCase):
    """An account that uses a token is active on that connection until the connection or the session ends."""

    async def active(self) -> list[str]:
        await settle()
        wire = await self.logged_in("henderson", Kelompok3Dialect)
        found = (await self.say(wire, "info"))["message"]
        self.lose(wire)
        await settle()
        return [name for name in found if name != "henderson"]

    async def test_until_the_connection_ends(self) -> None:
        messi = await self.token("messi")
        self.assertEqual(await self.active(), [])
        wire = self.wire(Kelompok3Dialect)
        await self.say(wire, f"inbox {messi}")
        self.assertEqual(await self.active(), ["messi"])
        self.lose(wire)
        self.assertEqual(await self.active(), [])

    async def test_until_the_session_ends_elsewhere(self) -> None:
        messi = await self.token("messi")
        one, two = self.wire(Kelompok3Dialect), self.wire(Tugas4Dialect)
        await self.say(one, f"inbox {messi}")
        await self.say(two, f"auth_logout {messi}")
        self.assertEqual(await self.active(), [])
        answer = await self.say(one, f"inbox {messi}")
        self.assertEqual(answer["message"], "Session Tidak Ditemukan")

    async def test_two_sessions_of_one_account_on_one_connection(self) -> None:
        first, second = await self.token("messi"), await self.token("messi")
        wire = self.wire(Kelompok3Dialect)
        await self.say(wire, f"inbox {first}")
        await self.say(wire, f"inbox {second}")
        await self.say(wire, f"logout {first}")
        self.assertEqual(await self.active(), ["messi"])
        await self.say(wire, f"logout {second}")
        self.assertEqual(await self.active(), [])
        self.assertEqual(self.realm.sessions._by_token, {})

    async def test_a_changed_password_ends_the_others(self) -> None:
        messi = await self.token("messi")
        wire = self.wire(Kelompok3Dialect)
        await self.say(wire, f"inbox {messi}")
        other = await self.logged_in("messi")
        await other.ask(command="password", old=PASSWORD, new="another-one")
        answer = await self.say(wire, f"inbox {messi}")
        self.assertEqual(answer["message"], "Session Tidak Ditemukan")

    async def test_nothing_is_pushed(self) -> None:
        """The end of the session is not reported either."""
        wire = await self.logged_in("messi", Kelompok3Dialect)
        await self.write("henderson", "one")
        other = await self.logged_in("messi")
        await other.ask(command="password", old=PASSWORD, new="another-one")
        await settle()
        self.assertEqual(wire.taken(), b"")

    async def test_many_sessions_on_one_connection(self) -> None:
        """The oldest session is detached, and attached again when it is named. The connection's own session
        stays."""
        self.patch(connection_module, "MAX_CLIENTS", 3)
        own = await self.logged_in("messi", Kelompok3Dialect)
        tokens = [await self.token("henderson") for _ in range(5)]
        for token in (*tokens, *tokens):
            self.assertEqual((await self.say(own, f"inbox {token}"))["status"], "OK")
            self.assertLessEqual(len(own.protocol.connection._clients), 3)
        self.assertEqual((await self.say(own, "inbox"))["status"], "OK")
        self.assertIn("messi", (await self.say(own, "info"))["message"])


class Order(SharedTestCase):
    """Pipelined requests with tokens are executed and answered in order."""

    limits = {"commands_per_second": 0}

    async def check(self, token: str, ways: Iterable[list[bytes]]) -> None:
        for parts in ways:
            wire = self.wire(Kelompok3Dialect)
            for part in parts:
                wire.feed(part)
            found = answers(await wire.until(lambda data: data.count(END) == 7))
            self.assertEqual(
                [answer.get("message") for answer in found],
                [
                    "Message Sent",
                    "Message Sent",
                    "User Tidak Ditemukan",
                    "Session Tidak Ditemukan",
                    "Protocol Tidak Benar",
                    "Message Sent",
                    None,
                ],
            )
            self.lose(wire, CLOSED)
            reader = await self.logged_in("henderson", Kelompok3Dialect)
            inbox = await self.say(reader, "inbox")
            self.assertEqual(self.given(inbox), ["one", "two", "three"])
            await self.say(reader, "logout")
            self.lose(reader, CLOSED)

    async def test_however_it_arrives(self) -> None:
        token = await self.token("messi")
        data = (
            f"send {token} henderson one\r\nsend {token} henderson two\r\n"
            f"send {token} nobody lost\r\nsend henderson lost\r\nnonsense\r\n"
            f"send {token} henderson three\r\ninbox {token}\r\n"
        ).encode()
        places = range(1, len(data), 31)
        ways = [[data], in_pieces(data, 1), *([data[:at], data[at:]] for at in places)]
        await self.check(token, ways)

    async def test_a_login_counts_for_what_comes_after_it(self) -> None:
        wire = self.wire(Kelompok3Dialect)
        wire.feed(f"inbox\nauth messi {PASSWORD}\ninbox\nlogout\ninbox\n".encode())
        found = answers(await wire.until(lambda data: data.count(END) == 5))
        self.assertEqual([each["status"] for each in found], ["ERROR", "OK", "OK", "OK", "ERROR"])

    async def test_in_urlencoded(self) -> None:
        token = await self.token("messi")
        lines = [
            f"send username=henderson&message={text}&session={token}\r\n".encode()
            for text in ("one", "two", "three")
        ]
        data = b"".join([*lines, b"inbox\r\n", f"inbox session={token}\r\n".encode()])
        for parts in ([data], in_pieces(data, 1), in_pieces(data, 50)):
            wire = self.wire(UrlencodedDialect)
            for part in parts:
                wire.feed(part)
            found = answers(await wire.until(lambda data: data.count(b"\r\n") == 5), b"\r\n")
            self.assertEqual([each["status"][0] for each in found], list("OOOEO"))


class Rates(SharedTestCase):
    """A session has one rate limit on all its connections."""

    limits = {"commands_per_second": 10}

    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    async def paused_or_answered(self, wire: Wire, count: int) -> None:
        """Wait until the client was too fast, or `count` requests are answered."""

        def is_quiet() -> bool:
            protocol = wire.protocol
            is_paused = protocol.flow.reasons & Hold.RATE and not protocol.requests
            return bool(is_paused) or wire.transport.value().count(END) == count

        await until(is_quiet)
        await settle()  # the last answers are written at the end of their turn

    async def test_by_token(self) -> None:
        token = await self.token("messi")
        passed = 0
        for _ in range(3):
            wire = self.wire(Kelompok3Dialect)
            wire.feed(f"info {token}\n".encode() * 40)
            await self.paused_or_answered(wire, 40)
            passed += wire.taken().count(END)
        # 50 at once; and on each connection one that finds out that it was too fast.
        self.assertIn(passed, range(48, 55))

    async def test_others_on_the_same_connection_are_only_paused(self) -> None:
        one, two = await self.token("messi"), await self.token("henderson")
        wire = self.wire(Kelompok3Dialect)
        wire.feed(f"info {one}\n".encode() * 60 + f"info {two}\n".encode())
        await self.paused_or_answered(wire, 61)
        self.assertLess(wire.taken().count(END), 61)
        for _ in range(30):
            self.clock.advance(0.1)
            await settle()
        self.assertFalse(wire.transport.aborted)

    async def test_rubbish_is_counted(self) -> None:
        wire = self.wire(Kelompok3Dialect)
        wire.feed(b"rubbish\n" * 80)
        await self.paused_or_answered(wire, 80)
        self.assertIn(wire.taken().count(END), (50, 51))

    async def test_requests_by_token_count_as_logged_in(self) -> None:
        """It is not one of those that make room for others."""
        token = await self.token("messi")
        wire, silent = self.wire(Kelompok3Dialect), self.wire(Kelompok3Dialect)
        await self.say(wire, f"info {token}")
        self.assertTrue(wire.protocol.connection.in_use)
        self.assertFalse(silent.protocol.connection.in_use)


class Expiry(SharedTestCase):
    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    async def test_a_token_that_expired_is_none(self) -> None:
        token = await self.token("messi")
        self.clock.advance(31 * 86400)
        wire = self.wire(Kelompok3Dialect)
        answer = await self.say(wire, f"inbox {token}")
        self.assertEqual(answer["message"], "Session Tidak Ditemukan")

    async def test_one_that_is_used_lives_on(self) -> None:
        token = await self.token("messi")
        for _ in range(4):
            self.clock.advance(20 * 86400)
            wire = self.wire(Kelompok3Dialect)
            self.assertEqual((await self.say(wire, f"inbox {token}"))["status"], "OK")
            self.lose(wire, CLOSED)
            await settle()


class InlineFiles(SharedTestCase):
    """A file in a line is processed piece by piece, and others are served meanwhile."""

    limits = {"commands_per_second": 0}

    async def test_a_large_file_does_not_block_others(self) -> None:
        data = bytes(range(256)) * (40 << 10)
        wire = await self.logged_in("messi", Tugas4Dialect)
        other = await self.logged_in("henderson")
        line = b"send_file henderson besar.bin " + base64.b64encode(data) + b"\r\n"
        for part in in_pieces(line, 64 << 10):
            wire.feed(part)
        served = 0
        while END not in wire.transport.value():
            self.assertEqual((await other.ask(command="ping"))["message"], "pong")
            served += 1
        self.assertGreater(served, 5)
        (answer,) = answers(await wire.until(END))
        self.assertEqual(answer["message"], "File sent")
        wire.feed(f"download_file {answer['filename']}\n".encode())
        (found,) = answers(await wire.until(END))
        self.assertEqual(base64.b64decode(found["file_content"]), data)

    async def test_of_every_length(self) -> None:
        """Sizes around those at which pieces begin and end."""
        wire = await self.logged_in("messi", Tugas4Dialect)
        for size in (0, 1, 2, 3, 49151, 49152, 49153, 65534, 65535, 65536, 65537, 131071):
            data = (b"chatd%d" % size * size)[:size]
            text = base64.b64encode(data).decode()
            answer = await self.say(wire, f"send_file henderson f{size} b'{text}'")
            self.assertEqual(answer["status"], "OK", size)
            answer = await self.say(wire, f"download_file f{size}")
            self.assertEqual(base64.b64decode(answer["file_content"]), data)

    async def test_what_proves_bad_leaves_nothing(self) -> None:
        wire = await self.logged_in("messi", Tugas4Dialect)
        good = base64.b64encode(bytes(MIB)).decode()
        answer = await self.say(wire, f"send_file henderson a {good[:-8]}QQ==QQ==")
        self.assertEqual(answer["status"], "ERROR")
        await until(lambda: self.stored_files() == [])
        self.assertEqual(self.realm.service.files.under_way.counts.bytes, {})
        self.assertEqual((await self.say(wire, "ls"))["status"], "OK")

    async def test_connection_lost_after_the_whole_request(self) -> None:
        """A request that has arrived completely is executed, even if its connection is lost."""
        wire = await self.logged_in("messi", Tugas4Dialect)
        release = self.block_writing()
        wire.feed(b"send_file henderson a " + base64.b64encode(bytes(MIB)) + b"\r\n")
        self.lose(wire)
        release()
        await until(lambda: len(self.stored_files()) == 1)
        await until(lambda: self.realm.service.files.under_way.counts.bytes == {})
        self.assertEqual(await self.unread("henderson"), 1)

    async def test_a_session_that_ends_meanwhile_sends_nothing(self) -> None:
        wire = await self.logged_in("messi", Tugas4Dialect)
        other = await self.logged_in("messi")
        release = self.block_writing()
        wire.feed(b"send_file henderson a " + base64.b64encode(bytes(MIB)) + b"\r\n")
        for session in list(self.realm.sessions._by_token.values()):
            if wire.protocol.connection.own.session is session:
                session.end("over", but=other.protocol.connection.own)
        release()
        (answer,) = answers(await wire.until(END))
        self.assertEqual(answer["message"], "Session not found")
        await until(lambda: self.stored_files() == [])

    async def test_an_error_of_the_disk(self) -> None:
        wire = await self.logged_in("messi", Tugas4Dialect)
        self.patch(self.realm.uploads, "keep", _full_disk)
        text = base64.b64encode(bytes(MIB)).decode()
        answer = await self.say(wire, f"send_file henderson a {text}")
        self.assertEqual(answer["status"], "ERROR")
        self.assertIn("can't store", answer["message"])
        self.assertEqual((await self.say(wire, "ls"))["status"], "OK")

    async def test_a_line_without_a_file_is_short(self) -> None:
        wire = await self.logged_in("messi", Kelompok3Dialect)
        answer = await self.say(wire, f"send henderson {'a' * 70_000}")
        self.assertIn("65536", answer["message"])
        self.assertEqual((await self.say(wire, "inbox"))["status"], "OK")


def _full_disk(*_args: object) -> str:
    raise OSError("the disk is full")


class Rooms(SharedTestCase):
    """In urlencoded, a room's events go to the connection on which the session joined."""

    async def test_until_that_connection_ends(self) -> None:
        one, two = await self.token("messi"), await self.token("henderson")
        door, window, other = (self.wire(UrlencodedDialect) for _ in range(3))
        for wire, token in ((door, one), (other, two)):
            wire.feed(f"room_join roomname=a+b&session={token}\n".encode())
            await wire.until(b"\r\n")
        window.feed(f"room_chat message=halo&session={one}\n".encode())
        await window.until(b"\r\n")
        self.assertIn(b'"type":"broadcast"', await other.until(b"\r\n"))
        self.assertEqual(door.taken(), b"")
        door.protocol.connectionLost(Failure(ConnectionDone()))
        self.wires.remove(door)
        window.feed(f"room_chat message=halo&session={one}\n".encode())
        self.assertIn(b"not-in-room", await window.until(b"\r\n"))

    async def test_with_json(self) -> None:
        """Talk crosses between dialects."""
        token = await self.token("messi")
        program = await self.logged_in("henderson", JsonDialect)
        await program.ask(command="roomjoin", room="a b")
        wire = self.wire(UrlencodedDialect)
        wire.feed(f"room_join roomname=a+b&session={token}\n".encode())
        await wire.until(b"\r\n")
        await program.ask(command="roomchat", text="halo")
        (said,) = answers(await wire.until(b"\r\n"), b"\r\n")
        self.assertEqual((said["username"], said["message"]), ("henderson", "halo"))
