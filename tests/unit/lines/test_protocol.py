"""The line protocol: order, patience, bounds; one client's trouble stays its own, and secrets stay secret."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any, cast
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock, LoopingCall
from twisted.logger import ILogObserver, LogEvent, eventAsJSON, eventAsText, globalLogPublisher
from twisted.python.failure import Failure

from chatd.base.errors import every_error
from chatd.base.model import SessionEnded
from chatd.base.texts import Secret
from chatd.base.throttle import Budget
from chatd.commands import values as ask
from chatd.commands.table import TABLE
from chatd.files.incoming import MAX_PENDING
from chatd.files.outgoing import CHUNK, Outgoing
from chatd.lines.dialect import Dialect
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.factory import ChatLineFactory
from chatd.lines.output import MAX_FULL, MAX_HELD, MAX_UNREAD, ConnectionOutput
from chatd.lines.protocol import LOGIN_TIME, UPLOAD_TIME
from chatd.lines.requests import MAX_OVERLAPPING
from chatd.net.eager import make_eager
from chatd.store.accounts import add_account
from tests.support.common import START, RealmTestCase, Wire, run, sleep

PASSWORD = "surabaya"
READ = 64 << 10  # what Twisted reads from a socket at a time
MIB = 1 << 20
CLOSED = ConnectionDone()
LOST = ConnectionLost()


class ManualClock(Clock):
    """A time, and timers, that move only when told. The database has the real reactor's."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = START


class Caller(Protocol):
    """A client's side of a real socket."""

    transport: Any

    def __init__(self) -> None:
        self.received = bytearray()
        self.lines = 0  # received so far, also those that were taken out
        self.size = 0
        self.hash = hashlib.sha256()
        self.keeping = True
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.size += len(data)
        self.lines += data.count(b"\n")
        if self.keeping:
            self.received += data
        else:
            self.hash.update(data)

    def connectionLost(self, reason: Failure = Failure(CLOSED)) -> None:  # noqa: B008
        self.ended.callback(None)

    def ask(self, **request: Any) -> None:
        self.transport.write(json.dumps(request).encode() + b"\r\n")

    async def line(self) -> dict[str, Any]:
        """The next line, of json."""
        await until(lambda: b"\r\n" in self.received, lambda: self.received[:1000])
        line, _, rest = self.received.partition(b"\r\n")
        self.received = rest
        found: dict[str, Any] = json.loads(line)
        return found

    async def end(self) -> list[dict[str, Any]]:
        """All that comes before the connection is closed."""
        await self.ended
        return [json.loads(line) for line in self.received.split(b"\r\n") if line]


class ProtocolTestCase(RealmTestCase):
    """A realm with some people, and connections to it that end with the test."""

    people: tuple[str, ...] = ("messi", "henderson")

    def setUp(self) -> None:
        super().setUp()
        self.doors: dict[type[Dialect], ChatLineFactory] = {}
        self.wires: list[Wire] = []
        self.addCleanup(lambda: run(self.hang_up()))
        hashed = self.realm.passwords.hash_now(PASSWORD)
        with self.realm.database._engine.begin() as connection:
            for name in self.people:
                add_account(connection, name, hashed, name, "", 0)

    def door_of(self, dialect: type[Dialect]) -> ChatLineFactory:
        if dialect not in self.doors:
            self.doors[dialect] = self.realm.door(dialect())
        return self.doors[dialect]

    def wire(self, dialect: type[Dialect] = JsonDialect, host: str = "127.0.0.1") -> Wire:
        wire = Wire(self.door_of(dialect), host)
        self.wires.append(wire)
        return wire

    async def logged_in(self, name: str = "messi", dialect: type[Dialect] = JsonDialect) -> Wire:
        wire = self.wire(dialect)
        if dialect is JsonDialect:
            reply = await wire.ask(command="auth", username=name, password=PASSWORD)
            assert reply["status"] == "OK", reply
        else:
            verb = "auth_login" if dialect.name == "tugas4" else "auth"
            wire.feed(f"{verb} {name} {PASSWORD}\n".encode())
            await wire.until(b"\r\n\r\n")
        return wire

    def lose(self, wire: Wire, why: Exception = LOST) -> None:
        if wire in self.wires:
            self.wires.remove(wire)
            wire.lose(Failure(why))

    async def hang_up(self) -> None:
        for wire in list(self.wires):
            self.lose(wire)
        await until(lambda: self.realm.connections.total == 0)

    def block_writing(self) -> Callable[[], None]:
        """Nothing that is written to the database gets through until the result is called."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.realm.database.run(lambda _connection: gate.wait(20))
        return gate.set

    def block_reading(self) -> Callable[[], None]:
        """No download gets anything from the disk until the result is called."""
        gate: Deferred[None] = Deferred()
        read = Outgoing.read

        async def gated(file: Outgoing, size: int) -> bytes:
            if not gate.called:
                await gate
            return await read(file, size)

        self.patch(Outgoing, "read", gated)
        return lambda: gate.callback(None)

    async def call(self, dialect: type[Dialect] = JsonDialect) -> Caller:
        """A connection through a real socket."""
        network: Any = reactor
        factory = self.door_of(dialect)
        port = network.listenTCP(0, factory, interface="127.0.0.1")
        make_eager(port)
        self.addCleanup(port.stopListening)
        endpoint = HostnameEndpoint(network, "127.0.0.1", port.getHost().port)
        caller: Caller = await connectProtocol(endpoint, Caller())
        self.addCleanup(caller.transport.abortConnection)
        return caller

    async def call_as(self, name: str) -> Caller:
        caller = await self.call()
        caller.ask(command="auth", username=name, password=PASSWORD)
        reply = await caller.line()
        assert reply["status"] == "OK", reply
        return caller

    def stored_files(self) -> list[str]:
        """What lies in the uploads folder, arriving or arrived."""
        folder = self.realm.state.uploads
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def until(
    done: Callable[[], bool], shown: Callable[[], object] = lambda: "", longest: float = 20.0
) -> None:
    waited = 0.0
    while not done():
        if waited > longest:
            raise AssertionError(f"waited in vain; {shown()!r}")
        waited += 0.002
        await sleep(0.002)


async def settle() -> None:
    """Let everything happen that is about to happen."""
    for _ in range(5):
        await sleep(0.01)


def objects(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.split(b"\r\n") if line]


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


class Pipelining(ProtocolTestCase):
    """Requests may be sent without waiting for replies, which come in order, one each."""

    limits = {"commands_per_second": 0}

    def requests(self) -> tuple[bytes, int]:
        asked: list[dict[str, Any] | bytes] = [
            {"command": "auth", "username": "messi", "password": PASSWORD},
            {"command": "send", "to": "henderson", "text": "one"},
            {"command": "send", "to": "nobody", "text": "lost"},
            {"command": "send", "to": ["henderson", "messi"], "text": "two"},
            {"command": "nonsense"},
            {"command": "send", "to": "henderson", "text": ""},
            {"command": "send", "to": "henderson", "text": "three"},
            {"command": "history", "user": "henderson", "n": 3},
            {"command": "ping"},
            {"command": "roomjoin", "room": "bola"},
            {"command": "send", "to": "henderson", "text": "four"},
            {"command": "ping"},
        ]
        lines = [
            json.dumps({"id": ident, **request}).encode() if isinstance(request, dict) else request
            for ident, request in enumerate(asked)
        ]
        return b"\r\n".join(lines) + b"\r\n", len(asked)

    async def check(self, ways: Iterable[list[bytes]], count: int) -> None:
        for parts in ways:
            wire = self.wire()
            for part in parts:
                wire.feed(part)
            data = await wire.until(lambda data: data.count(b"\r\n") >= count)
            replies = objects(data)
            self.assertEqual([reply["id"] for reply in replies], list(range(count)))
            statuses = "".join(reply["status"][0] for reply in replies)
            self.assertEqual(statuses, "OOEOEEOOOOOO")
            history = [message["text"] for message in replies[7]["messages"]]
            self.assertEqual(history, ["one", "two", "three"])
            self.lose(wire)

    async def test_fed_whole(self) -> None:
        data, count = self.requests()
        await self.check([[data]], count)

    async def test_split_anywhere(self) -> None:
        data, count = self.requests()
        places = range(1, len(data), 23)
        await self.check(([data[:place], data[place:]] for place in places), count)

    async def test_byte_by_byte(self) -> None:
        data, count = self.requests()
        await self.check([in_pieces(data, 1), in_pieces(data, 7)], count)

    async def test_sends_overlap_and_others_wait(self) -> None:
        """Sends are on their way together; what is no send begins when they are answered."""
        wire = await self.logged_in()
        await wire.ask(command="send", to="henderson", text="zero")
        release = self.block_writing()
        for ident, text in enumerate(("one", "two", "three")):
            wire.feed(
                b'{"id":%d,"command":"send","to":"henderson","text":"%s"}\n'
                % (ident, text.encode())
            )
        wire.feed(b'{"id":3,"command":"history","user":"henderson","n":4}\n')
        wire.feed(b'{"id":4,"command":"send","to":"henderson","text":"four"}\n')
        await settle()
        self.assertEqual(len(wire.protocol.requests), 3)
        self.assertEqual(wire.taken(), b"")
        release()
        replies = objects(await wire.until(lambda data: data.count(b"\n") == 5))
        self.assertEqual([reply["id"] for reply in replies], [0, 1, 2, 3, 4])
        texts = [message["text"] for message in replies[3]["messages"]]
        self.assertEqual(texts, ["zero", "one", "two", "three"])

    async def test_a_refusal_waits_for_its_turn(self) -> None:
        """What can be refused at once is not answered before what came first."""
        wire = await self.logged_in()
        await wire.ask(command="send", to="henderson", text="zero")
        release = self.block_writing()
        wire.feed(b'{"id":0,"command":"send","to":"henderson","text":"one"}\nrubbish\n')
        wire.feed(b'{"id":1,"command":"send","to":"henderson","text":"\\u0000"}\n')
        await settle()
        self.assertEqual(wire.taken(), b"")
        release()
        replies = objects(await wire.until(lambda data: data.count(b"\n") == 3))
        self.assertEqual([reply["status"] for reply in replies], ["OK", "ERROR", "ERROR"])
        self.assertEqual(replies[2]["id"], 1)

    async def test_overlapping_is_bounded(self) -> None:
        """A client that sends without end is not read from while enough of it is under way."""
        wire = await self.logged_in()
        await wire.ask(command="send", to="henderson", text="zero")
        release = self.block_writing()
        count = 4 * MAX_OVERLAPPING
        for ident in range(count):
            wire.feed(b'{"id":%d,"command":"send","to":"henderson","text":"x"}\n' % ident)
        await settle()
        self.assertLessEqual(len(wire.protocol.requests), MAX_OVERLAPPING)
        self.assertGreater(len(wire.transport.waiting), 0)
        release()
        replies = objects(await wire.until(lambda data: data.count(b"\n") == count))
        self.assertEqual([reply["id"] for reply in replies], list(range(count)))
        self.assertEqual([reply["seq"] for reply in replies], list(range(2, count + 2)))

    async def test_the_prompt_for_a_password_waits_for_its_turn(self) -> None:
        wire = await self.logged_in(dialect=PlainDialect)
        wire.feed(b"send henderson zero\n")
        await wire.until(b"\r\n\r\n")
        release = self.block_writing()
        wire.feed(b"send henderson one\nauth henderson\n")
        await settle()
        self.assertEqual(wire.taken(), b"")
        release()
        data = await wire.until(b"Password: ")
        self.assertTrue(data.startswith(b"status: OK\r\nmessage: Message sent\r\n\r\n"), data)


class Prompts(ProtocolTestCase):
    async def test_a_line_too_long_is_no_password_and_ends_the_question(self) -> None:
        """Otherwise what is typed next would be taken for the password, and not be shown."""
        wire = self.wire(PlainDialect)
        await wire.until(b"\r\n")
        wire.feed(b"auth messi\n")
        await wire.until(b"Password: ")
        wire.feed(b"x" * 100_000 + b"\n")
        data = await wire.until(b"\r\n\r\n")
        self.assertIn(b"code: line-too-long", data)
        self.assertIn(b"\xff\xfc\x01", data)
        wire.feed(b"ping\n")
        self.assertIn(b"pong", await wire.until(b"\r\n\r\n"))


class Floods(ProtocolTestCase):
    """Who asks too fast is slowed down, and loses nothing."""

    limits = {"commands_per_second": 10}

    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    async def test_a_flood_is_slowed_down_and_not_cut(self) -> None:
        """A burst of five seconds' worth passes, then as many as the rate allows."""
        wire = self.wire()
        wire.feed(b'{"command":"ping"}\n' * 80)
        data = await wire.until(lambda data: data.count(b"pong") >= 50)
        await settle()
        passed = data.count(b"pong") + wire.taken().count(b"pong")
        self.assertIn(passed, (50, 51))
        answered = passed
        for _ in range(20):
            self.clock.advance(0.1)
            await sleep(0.001)
        await settle()
        answered += wire.taken().count(b"pong")
        self.assertIn(answered - passed, (19, 20, 21))
        self.assertFalse(wire.transport.disconnecting or wire.transport.aborted)
        for _ in range(30):
            self.clock.advance(0.1)
            await sleep(0.001)
        await settle()
        self.assertEqual(answered + wire.taken().count(b"pong"), 80)

    async def test_others_are_not_slowed_down(self) -> None:
        flooder, other = self.wire(), self.wire()
        flooder.feed(b'{"command":"ping"}\n' * 80)
        await settle()
        for _ in range(10):
            self.assertEqual((await other.ask(command="ping"))["message"], "pong")

    async def test_refused_lines_count(self) -> None:
        """Garbage is no way around the rate."""
        wire = self.wire()
        wire.feed(b"rubbish\n" * 80)
        await settle()
        self.assertIn(wire.taken().count(b"bad-syntax"), (50, 51))

    async def test_a_session_has_one_rate_on_all_its_connections(self) -> None:
        one = await self.logged_in()
        token = (await one.ask(command="auth", username="messi", password=PASSWORD))["tokenId"]
        two = self.wire()
        await two.ask(command="resume", token=token)
        one.feed(b'{"command":"ping"}\n' * 80)
        await settle()
        first = one.taken().count(b"pong")
        two.feed(b'{"command":"ping"}\n' * 80)
        await settle()
        self.assertLessEqual(first + two.taken().count(b"pong"), 52)

    async def test_one_who_leaves_in_a_flood_leaves_nothing_behind(self) -> None:
        timers = len(self.clock.getDelayedCalls())  # of the realm itself
        wire = self.wire()
        wire.feed(b'{"command":"ping"}\n' * 80)
        await settle()
        self.lose(wire)
        self.clock.advance(100)
        await settle()
        self.assertEqual(len(self.clock.getDelayedCalls()), timers)
        self.assertEqual(self.realm.connections.total, 0)


class IdleConnections(ProtocolTestCase):
    """Silence: 60 seconds before a login; afterwards as long as the operator allows."""

    limits = {"idle": 100}

    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    async def test_silence_before_login_closes_after_60_s(self) -> None:
        wire = self.wire()
        self.clock.advance(59)
        await settle()
        self.assertFalse(wire.transport.disconnecting)
        self.clock.advance(1)
        await settle()
        self.assertTrue(wire.transport.disconnecting)
        (event,) = objects(wire.taken())
        self.assertEqual((event["event"], event["code"]), ("closing", "idle"))

    async def test_half_a_line_is_silence(self) -> None:
        """Dripping bytes without ever saying anything keeps no connection open."""
        wire = self.wire()
        for _ in range(61):
            wire.feed(b"x")
            self.clock.advance(1)
        self.assertTrue(wire.transport.disconnecting)

    async def test_a_word_starts_it_anew(self) -> None:
        wire = self.wire()
        for _ in range(5):
            self.clock.advance(50)
            await wire.ask(command="ping")
        self.assertFalse(wire.transport.disconnecting)
        self.clock.advance(61)
        self.assertTrue(wire.transport.disconnecting)

    async def test_a_session_may_be_silent_for_as_long_as_is_configured(self) -> None:
        wire = await self.logged_in()
        self.clock.advance(99)
        self.assertFalse(wire.transport.disconnecting)
        await wire.ask(command="ping")
        self.clock.advance(99)
        self.assertFalse(wire.transport.disconnecting)
        self.clock.advance(2)
        self.assertTrue(wire.transport.disconnecting)
        await settle()
        self.assertEqual(objects(wire.taken())[-1]["code"], "idle")

    async def test_an_upload_that_goes_on_is_not_silence(self) -> None:
        wire = await self.logged_in()
        await wire.ask(command="sendfile", to="henderson", filename="a", size=10)
        for byte in b"0123456789":
            self.clock.advance(90)
            self.assertFalse(wire.transport.disconnecting)
            wire.feed(bytes([byte]))
        self.assertEqual((await wire.line())["status"], "OK")

    async def test_an_upload_that_stalls_is_silence(self) -> None:
        wire = await self.logged_in()
        await wire.ask(command="sendfile", to="henderson", filename="a", size=10)
        wire.feed(b"01234")
        for _ in range(int(UPLOAD_TIME // 50) + 3):
            self.clock.advance(50)
        self.assertTrue(wire.transport.disconnecting or wire.transport.aborted)


class SilentSessions(ProtocolTestCase):
    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    async def test_by_default_a_session_may_be_silent_for_ever(self) -> None:
        wire = await self.logged_in()
        for _ in range(1000):
            self.clock.advance(3600)
        self.assertEqual((await wire.ask(command="ping"))["message"], "pong")


class SlowReaders(ProtocolTestCase):
    """Who does not read is not written to without end, and in the end cut off; others do not notice."""

    limits = {"commands_per_second": 0}

    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    async def test_pushes_wait_up_to_a_bound(self) -> None:
        """While the socket is full; after that the connection is dropped."""
        slow, other = await self.logged_in(), await self.logged_in("henderson")
        for wire in (slow, other):
            await wire.ask(command="roomjoin", room="bola")
        slow.protocol.output.pauseProducing()
        text = "x" * 8000
        said = 0
        while not slow.transport.aborted:
            await other.ask(command="roomchat", text=text)
            said += 1
            self.assertLess(said * len(text), 2 * MAX_UNREAD)
        self.assertGreater(said * len(text), MAX_UNREAD * 0.9)
        self.assertLess(len(slow.transport.value()), MAX_UNREAD + READ)
        self.lose(slow)
        self.assertEqual((await other.ask(command="ping"))["message"], "pong")
        rooms = (await other.ask(command="rooms"))["rooms"]
        self.assertEqual(rooms, [{"room": "bola", "users": ["henderson"]}])

    async def test_the_connections_of_an_account_share_a_bound(self) -> None:
        """Many of them, each a little behind, would take as much memory as one that is far behind."""
        share = MAX_UNREAD // 2
        budget = Budget(10 * share)
        self.door_of(JsonDialect).sessions.unread = budget
        slow = [await self.logged_in() for _ in range(4)]
        other = await self.logged_in("henderson")
        for wire in (*slow, other):
            await wire.ask(command="roomjoin", room="bola")
        for wire in slow:
            wire.protocol.output.pauseProducing()
        for _ in range(200):
            await other.ask(command="roomchat", text="x" * 8000)
            await settle()
            if any(wire.transport.aborted for wire in slow):
                break
        self.assertLess(sum(len(wire.transport.value()) for wire in slow), share + READ)
        (cut,) = (wire for wire in slow if wire.transport.aborted)
        self.lose(cut)
        slow.remove(cut)
        slow[0].protocol.output.resumeProducing()
        self.assertLess(0, budget.held)
        for wire in slow:
            self.lose(wire)
        self.assertEqual(budget.held, 0)
        self.assertEqual((await other.ask(command="ping"))["message"], "pong")

    async def test_one_who_catches_up_stays(self) -> None:
        slow, other = await self.logged_in(), await self.logged_in("henderson")
        for wire in (slow, other):
            await wire.ask(command="roomjoin", room="bola")
        for _ in range(4):
            slow.protocol.output.pauseProducing()
            for _ in range(60):
                await other.ask(command="roomchat", text="x" * 8000)
            await settle()
            slow.taken()
            slow.protocol.output.resumeProducing()
        self.assertFalse(slow.transport.aborted)
        self.assertEqual((await slow.ask(command="ping"))["message"], "pong")

    async def test_nothing_more_is_read_from_one_who_does_not_read(self) -> None:
        wire = await self.logged_in()
        wire.protocol.output.pauseProducing()
        wire.feed(b'{"command":"ping"}\n')
        await settle()
        self.assertEqual(wire.taken(), b"")
        wire.protocol.output.resumeProducing()
        self.assertEqual((await wire.line())["message"], "pong")

    async def test_who_reads_nothing_for_long_is_cut_off(self) -> None:
        """Even if there is little to read."""
        wire = await self.logged_in()
        wire.protocol.output.pauseProducing()
        for _ in range(int(MAX_FULL // 60) + 3):
            self.clock.advance(60)
        self.assertTrue(wire.transport.aborted)

    async def test_who_does_not_even_read_the_goodbye_is_cut_off(self) -> None:
        wire = self.wire()
        wire.protocol.output.pauseProducing()
        self.clock.advance(LOGIN_TIME)
        self.assertTrue(wire.transport.disconnecting)
        self.assertFalse(wire.transport.aborted)
        self.clock.advance(MAX_FULL)
        self.assertTrue(wire.transport.aborted)

    async def test_what_was_not_read_is_not_marked_as_read(self) -> None:
        """A connection that ends with its socket full has not proved that the inbox arrived."""
        other, slow = await self.logged_in("henderson"), await self.logged_in()
        await other.ask(command="send", to="messi", text="halo")
        slow.feed(b'{"command":"inbox"}\n')
        await slow.until(b"\r\n")
        slow.protocol.output.pauseProducing()
        self.lose(slow, CLOSED)
        again = await self.logged_in()
        inbox = await again.ask(command="inbox")
        self.assertEqual([each["text"] for each in inbox["messages"]], ["halo"])


class SlowSockets(ProtocolTestCase):
    """The same over real sockets, where buffers fill by themselves."""

    limits = {"commands_per_second": 0}

    async def test_a_listener_that_never_reads_is_cut_off(self) -> None:
        slow, other = await self.call_as("messi"), await self.call_as("henderson")
        for caller in (slow, other):
            caller.ask(command="roomjoin", room="bola")
            await caller.line()
        slow.transport.pauseProducing()
        text, said = "x" * 8000, 0
        with Buffers(self.door_of(JsonDialect)) as buffers:
            while self.realm.connections.total == 2:
                other.ask(command="roomchat", text=text)
                self.assertEqual((await other.line())["status"], "OK")
                said += 1
                self.assertLess(said * len(text), 64 * MIB)
        self.assertLess(buffers.largest, 2 * MAX_UNREAD)
        slow.transport.resumeProducing()
        await slow.ended

    async def test_replies_that_are_not_read_hold_up_the_next_command(self) -> None:
        """Many requests with long replies take no more memory than a few of them."""
        caller, other = await self.call(), await self.call()
        caller.transport.pauseProducing()
        count = 2000
        wanted = caller.lines + count
        with Buffers(self.door_of(JsonDialect)) as buffers:
            caller.transport.write(b'{"command":"help"}\n' * count)
            for _ in range(20):
                other.ask(command="ping")
                self.assertEqual((await other.line())["message"], "pong")
                await sleep(0.01)
            caller.transport.resumeProducing()
            await until(lambda: caller.lines == wanted)
        self.assertLess(buffers.largest, 2 * MIB)

    async def test_replies_that_are_not_read_hold_up_the_next_send(self) -> None:
        """As above, for requests that the database answers."""
        caller = await self.call_as("messi")
        caller.transport.pauseProducing()
        count = 20_000
        wanted = caller.lines + count
        request = b'{"command":"send","to":"henderson","text":"x","id":"%s"}\n' % (b"i" * 500)
        with Buffers(self.door_of(JsonDialect)) as buffers:
            caller.transport.write(request * count)
            await sleep(1)
            caller.transport.resumeProducing()
            await until(lambda: caller.lines == wanted)
        self.assertLess(buffers.largest, 2 * MIB)


class Buffers:
    """Watches what the connections of a door hold in memory: of what came, and of what is to be sent."""

    def __init__(self, factory: ChatLineFactory) -> None:
        self._factory = factory
        self._loop = LoopingCall(self._look)
        self.largest = 0

    def __enter__(self) -> Buffers:
        self._writes = mock.patch.object(ConnectionOutput, "flush", self._flush())
        self._writes.start()
        self._loop.start(0.001).addErrback(lambda failure: failure.raiseException())
        return self

    def __exit__(self, *_exception: object) -> None:
        self._writes.stop()
        self._loop.stop()

    def _flush(self) -> Callable[[ConnectionOutput], None]:
        """What was gathered in a turn is in memory, too: look before it is sent."""
        flush = ConnectionOutput.flush

        def watched(output: ConnectionOutput) -> None:
            self._look()
            flush(output)

        return watched

    def _look(self) -> None:
        for protocol in self._factory._protocols:
            held: Any = protocol
            transport = held.transport
            unsent = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
            arrived = len(held.lines._data)
            if held.requests.upload is not None:
                arrived += held.requests.upload[1].upload._incoming._pending
            self.largest = max(self.largest, unsent, arrived, sum(map(len, held.output._out)))


class Files(ProtocolTestCase):
    """Bytes of files between the lines."""

    async def uploaded(self, wire: Wire, data: bytes, name: str = "a.bin") -> str:
        await wire.ask(command="sendfile", to="henderson", filename=name, size=len(data))
        wire.feed(data)
        return str((await wire.line())["code"])

    async def test_pushes_wait_until_a_download_is_through(self) -> None:
        """Nothing stands among a file's bytes, and nothing is lost."""
        data = bytes(range(256)) * 2048
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        code = await self.uploaded(messi, data)
        await henderson.ask(command="listen", on=True)
        go_on = self.block_reading()
        henderson.feed(b'{"command":"getfile","code":"%s"}\n' % code.encode())
        await henderson.until(lambda data: b"sha256" in data and b"\r\n" in data)
        await messi.ask(command="send", to="henderson", text="one")
        await messi.ask(command="send", to="henderson", text="two")
        await settle()
        self.assertEqual(henderson.taken(), b"")
        go_on()
        found = await henderson.until(lambda data: data.count(b'"event"') == 2)
        raw, _, pushed = found.partition(b'{"event"')
        self.assertEqual(raw, data)
        events = objects(b'{"event"' + pushed)
        self.assertEqual([event["text"] for event in events], ["one", "two"])
        self.assertEqual((await henderson.ask(command="ping"))["message"], "pong")

    async def test_pushes_that_wait_for_a_download_are_bounded(self) -> None:
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        code = await self.uploaded(messi, bytes(MIB))
        for wire in (messi, henderson):
            await wire.ask(command="roomjoin", room="bola")
        go_on = self.block_reading()
        henderson.feed(b'{"command":"getfile","code":"%s"}\n' % code.encode())
        await henderson.until(lambda data: b"sha256" in data)
        for _ in range(2 * MAX_HELD // 8000):
            if henderson.transport.aborted:
                break
            await messi.ask(command="roomchat", text="x" * 8000)
        self.assertTrue(henderson.transport.aborted)
        self.lose(henderson)
        go_on()
        await settle()
        self.assertEqual((await messi.ask(command="ping"))["message"], "pong")

    async def test_an_upload_cut_in_the_middle_leaves_nothing(self) -> None:
        """No file, no message, no quota used; and the others do not notice."""
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        await henderson.ask(command="listen", on=True)
        for why in (LOST, CLOSED):
            await messi.ask(command="sendfile", to="henderson", filename="a", size=300_000)
            messi.feed(bytes(200_000))
            await settle()
            self.assertEqual(len(self.stored_files()), 1)
            self.lose(messi, why)
            await until(lambda: self.stored_files() == [], self.stored_files)
            messi = await self.logged_in()
        self.assertEqual((await henderson.ask(command="unread"))["conversations"], [])
        self.assertEqual(henderson.transport.events, [])
        self.assertEqual((await messi.ask(command="files"))["files"], [])
        self.assertEqual(self.realm.service.files.under_way._bytes, {})

    async def test_an_upload_ends_with_half_a_connection(self) -> None:
        """Who closes the sending side before all bytes came will send no more of them."""
        caller = await self.call_as("messi")
        caller.ask(command="sendfile", to="henderson", filename="a", size=1000)
        await caller.line()
        caller.transport.write(b"only these")
        caller.transport.loseWriteConnection()
        self.assertEqual(await caller.end(), [])
        await until(lambda: self.stored_files() == [], self.stored_files)

    async def test_a_paused_upload_goes_on(self) -> None:
        """When the disk is behind, the sender is paused, and gets its reply in the end."""
        wire = await self.logged_in()
        data = bytes(range(256)) * (8 * MAX_PENDING // 256)
        await wire.ask(command="sendfile", to="henderson", filename="a", size=len(data))
        wire.feed(data + b'{"id":2,"command":"ping"}\n')
        reply = await wire.line()
        self.assertEqual(reply["sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual((await wire.line())["id"], 2)


class LargeFiles(ProtocolTestCase):
    """A file of any size takes little memory, and nobody else waits for it."""

    SIZE = 32 * MIB

    async def test_a_large_file_goes_through_in_little_memory(self) -> None:
        sender, receiver = await self.call_as("messi"), await self.call_as("henderson")
        other = await self.call()
        data = hashlib.shake_256(b"a large file").digest(MIB) * (self.SIZE // MIB)
        with Buffers(self.door_of(JsonDialect)) as buffers:
            sender.ask(command="sendfile", to="henderson", filename="large", size=self.SIZE)
            self.assertEqual((await sender.line())["status"], "READY")
            sender.transport.write(data)
            pings = await self.ping_until(other, lambda: b"\r\n" in sender.received)
            reply = await sender.line()
        self.assertEqual(reply["sha256"], hashlib.sha256(data).hexdigest())
        self.assertLess(buffers.largest, MAX_PENDING + 2 * READ)
        self.assertGreater(pings, 3)
        with Buffers(self.door_of(JsonDialect)) as buffers:
            receiver.ask(command="getfile", code=reply["code"])
            found = await receiver.line()
            self.assertEqual(found["size"], self.SIZE)
            receiver.hash.update(receiver.received)
            receiver.size, receiver.keeping = len(receiver.received), False
            receiver.transport.pauseProducing()
            await self.ping_until(other, sleeping(0.1))
            receiver.transport.resumeProducing()
            pings = await self.ping_until(other, lambda: receiver.size >= self.SIZE)
        self.assertEqual(receiver.size, self.SIZE)
        self.assertEqual(receiver.hash.hexdigest(), reply["sha256"])
        self.assertLess(buffers.largest, 4 * CHUNK)
        self.assertGreater(pings, 3)

    async def ping_until(self, other: Caller, done: Callable[[], bool]) -> int:
        """Ping all the time; each must be answered soon."""
        pings = 0
        while not done():
            other.ask(command="ping")
            await until(lambda: b"\r\n" in other.received, longest=2.0)
            self.assertEqual((await other.line())["message"], "pong")
            pings += 1
        return pings


def sleeping(seconds: float) -> Callable[[], bool]:
    over = sleep(seconds)
    return lambda: over.called


class Endings(ProtocolTestCase):
    """How connections end, and what becomes of what was under way."""

    async def test_who_half_closes_is_still_answered(self) -> None:
        caller = await self.call()
        caller.ask(command="auth", username="messi", password=PASSWORD)
        for n in range(50):
            caller.ask(command="send", to="henderson", text=str(n))
        caller.ask(command="history", user="henderson", n=100)
        caller.ask(command="ping")
        caller.transport.loseWriteConnection()
        replies = await caller.end()
        self.assertEqual(len(replies), 53)
        self.assertEqual({reply["status"] for reply in replies}, {"OK"})
        texts = [message["text"] for message in replies[-2]["messages"]]
        self.assertEqual(texts, [str(n) for n in range(50)])
        self.assertEqual(self.realm.connections.total, 0)

    async def test_who_half_closes_gets_the_whole_file(self) -> None:
        wire = await self.logged_in()
        data = bytes(range(256)) * 4096
        await wire.ask(command="sendfile", to="henderson", filename="a", size=len(data))
        wire.feed(data)
        await wire.line()
        caller = await self.call()
        caller.ask(command="auth", username="henderson", password=PASSWORD)
        caller.ask(command="getfile", name="a")
        caller.ask(command="ping")
        caller.transport.loseWriteConnection()
        await caller.ended
        _welcome, _reply, rest = caller.received.split(b"\r\n", 2)
        self.assertEqual(rest[: len(data)], data)
        self.assertEqual(json.loads(rest[len(data) :])["message"], "pong")

    async def test_half_a_line_is_no_request(self) -> None:
        """Nothing is done of it, whichever way the connection ends."""
        for close in ("loseConnection", "loseWriteConnection", "abortConnection"):
            caller = await self.call_as("messi")
            caller.transport.write(b'{"command":"send","to":"henderson","text":"half"}')
            await settle()
            getattr(caller.transport, close)()
            await caller.ended
            await until(lambda: self.realm.connections.total == 0)
            self.assertEqual(caller.received, b"")
        wire = await self.logged_in("henderson")
        self.assertEqual((await wire.ask(command="inbox"))["messages"], [])

    async def test_what_was_accepted_is_kept_though_the_sender_is_gone(self) -> None:
        wire = await self.logged_in()
        await wire.ask(command="send", to="henderson", text="zero")
        release = self.block_writing()
        wire.feed(b'{"command":"send","to":"henderson","text":"one"}\n')
        self.lose(wire)
        release()
        henderson = await self.logged_in("henderson")
        inbox = await henderson.ask(command="inbox")
        self.assertEqual([each["text"] for each in inbox["messages"]], ["zero", "one"])

    async def test_a_login_that_ends_too_late_attaches_nobody(self) -> None:
        wire = self.wire()
        wire.feed(b'{"command":"auth","username":"messi","password":"%s"}\n' % PASSWORD.encode())
        self.lose(wire)
        await settle()
        other = await self.logged_in("henderson")
        users = (await other.ask(command="info"))["users"]
        self.assertEqual([each["username"] for each in users], ["henderson"])

    async def test_a_quick_return_after_a_clean_close_is_not_given_the_same_again(self) -> None:
        """Though the marks, which moved with the close, are still on their way to the disk."""
        henderson, messi = await self.logged_in("henderson"), self.wire()
        login = await messi.ask(command="auth", username="messi", password=PASSWORD)
        await henderson.ask(command="send", to="messi", text="halo")
        self.assertEqual(len((await messi.ask(command="inbox"))["messages"]), 1)
        self.block_writing()
        self.lose(messi, CLOSED)
        again = self.wire()
        await again.ask(command="resume", token=login["tokenId"])
        self.assertEqual((await again.ask(command="inbox"))["messages"], [])

    async def test_too_many_connections_from_one_address(self) -> None:
        """They are told so and cut off; other addresses are welcome; it passes."""
        self.realm.config = self.with_limits(connections_per_address=2)
        self.realm.service.config = self.realm.config
        wires = [self.wire(host="10.0.0.1") for _ in range(2)]
        refused = self.wire(host="10.0.0.1")
        await settle()
        (event,) = objects(refused.taken())
        self.assertEqual((event["event"], event["code"]), ("closing", "too-many-connections"))
        self.assertIn("your address", event["message"])
        self.assertTrue(refused.transport.disconnecting)
        refused.protocol.dataReceived(b'{"command":"ping"}\n')
        await settle()
        self.assertEqual(refused.taken(), b"")
        self.assertEqual((await self.wire(host="10.0.0.2").ask(command="ping"))["status"], "OK")
        self.lose(refused, CLOSED)
        self.lose(wires[0])
        self.assertEqual((await self.wire(host="10.0.0.1").ask(command="ping"))["status"], "OK")

    async def test_connections_of_one_address_at_each_door(self) -> None:
        """Whoever fills one door can still come in by another."""
        self.realm.config = self.with_limits(connections_per_address=1)
        self.realm.service.config = self.realm.config
        first = self.wire(host="10.0.0.1")
        refused = self.wire(host="10.0.0.1")
        plain = self.wire(PlainDialect, host="10.0.0.1")
        await settle()
        self.assertTrue(refused.transport.disconnecting)
        self.assertFalse(plain.transport.disconnecting)
        self.assertEqual((await first.ask(command="ping"))["status"], "OK")

    async def test_too_many_connections_in_all(self) -> None:
        self.realm.config = self.with_limits(connections=2)
        self.realm.service.config = self.realm.config
        wires = [self.wire(host=f"10.0.0.{n}") for n in range(2)]
        refused = self.wire(PlainDialect, host="10.0.0.9")
        await settle()
        self.assertTrue(refused.taken().startswith(b"* There are too many connections to this"))
        self.assertTrue(refused.transport.disconnecting)
        for wire in wires:
            self.assertEqual((await wire.ask(command="ping"))["status"], "OK")


class Failures(ProtocolTestCase):
    """What nobody foresaw is answered with a reference that is in the log, and the connection lives."""

    def setUp(self) -> None:
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        super().setUp()

    def assert_logged(self, reply: dict[str, Any]) -> None:
        self.assertEqual((reply["status"], reply["code"]), ("ERROR", "internal"))
        failures = self.flushLoggedErrors(RuntimeError)
        self.assertEqual(len(failures), 1)
        reference = reply["message"].removeprefix("internal error ").partition(";")[0]
        self.assertRegex(reference, r"\A[0-9a-f]{8}\Z")
        texts = [eventAsText(event) for event in self.events if "log_failure" in event]
        (text,) = [text for text in texts if reference in text]
        self.assertIn("RuntimeError: boom", text)
        self.assertNotIn("boom", reply["message"])

    async def test_the_unexpected_is_answered_with_a_reference(self) -> None:
        """While a request is read, begun, carried out, or its reply written."""

        def boom(*_args: object, **_kwargs: object) -> Any:
            raise RuntimeError("boom")

        async def boom_later(*_args: object, **_kwargs: object) -> Any:
            await sleep(0.001)
            raise RuntimeError("boom")

        service = self.realm.service
        wire = await self.logged_in()
        dialect = self.door_of(JsonDialect).dialect
        cases: tuple[tuple[Any, str, Callable[..., Any], dict[str, Any]], ...] = (
            (service.accounts, "users", boom_later, {"command": "users"}),
            (service.accounts, "users", boom, {"command": "users"}),
            (service.rooms, "all", boom, {"command": "rooms"}),
            (service.messages, "send", boom, {"command": "send", "to": "messi", "text": "x"}),
            (service.messages, "_post", boom, {"command": "send", "to": "henderson", "text": "x"}),
            (dialect, "reply", boom, {"command": "whoami"}),
            (dialect, "reply", boom, {"command": "files"}),
            (dialect, "read", boom, {"command": "ping"}),
        )
        for owner, name, fault, request in cases:
            with mock.patch.object(owner, name, fault):
                self.assert_logged(await wire.ask(**request))
            self.events.clear()
            self.assertEqual((await wire.ask(command="ping", id=1))["id"], 1)

    async def test_a_lost_file_is_refused(self) -> None:
        """What lies in the uploads folder is not what the database knows."""
        wire = await self.logged_in()
        await wire.ask(command="sendfile", to="henderson", filename="a", size=3)
        wire.feed(b"abc")
        await wire.line()
        (stored,) = self.stored_files()
        path = self.realm.state.uploads / stored
        path.write_bytes(b"ab")
        reply = await wire.ask(command="getfile", code="a")
        self.assertEqual((reply["status"], reply["code"]), ("ERROR", "file-damaged"))
        path.unlink()
        self.assertEqual((await wire.ask(command="getfile", code="a"))["code"], "file-missing")
        self.assertEqual((await wire.ask(command="ping"))["status"], "OK")

    async def test_a_failing_disk_refuses_an_upload(self) -> None:
        """storage-failed: nothing was kept, the connection is in step and lives."""
        wire = await self.logged_in()
        with mock.patch("chatd.files.folder.os.fsync", side_effect=OSError(28, "No space left")):
            await wire.ask(command="sendfile", to="henderson", filename="a", size=100_000)
            wire.feed(bytes(100_000))
            self.assertEqual((await wire.line())["code"], "storage-failed")
        self.assertEqual((await wire.ask(command="files"))["files"], [])
        await until(lambda: self.stored_files() == [], self.stored_files)

    async def test_a_download_that_breaks_ends_the_connection(self) -> None:
        """When bytes were promised that can't be read, nothing else may stand in their place."""
        wire = await self.logged_in()
        await wire.ask(command="sendfile", to="henderson", filename="a", size=200_000)
        wire.feed(bytes(200_000))
        await wire.line()
        with mock.patch("chatd.files.folder.Outgoing.read", side_effect=OSError(5, "I/O error")):
            wire.feed(b'{"command":"getfile","code":"a"}\n')
            await until(lambda: wire.transport.aborted)
        self.assertEqual(wire.taken().count(b"\n"), 1)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    async def test_any_id_gets_one_reply(self) -> None:
        """Also one that is nested about as deeply as can be read."""
        wire = self.wire()
        for depth in (1, 10, 500, *range(800, 1010)):
            wire.feed(b'{"id":%s%s,"command":"ping"}\n' % (b"[" * depth, b"]" * depth))
            wire.feed(b'{"id":%s%s,"command":"info"}\n' % (b"[" * depth, b"]" * depth))
            data = await wire.until(lambda data: data.count(b"\r\n") == 2)
            self.assertEqual(data.count(b'"status"'), 2)
        self.assertEqual((await wire.ask(command="ping", id=1))["id"], 1)


class Shutdown(ProtocolTestCase):
    """The realm answers what it accepted, says that it closes, and closes."""

    async def test_what_was_accepted_is_answered(self) -> None:
        caller, idle = await self.call_as("messi"), await self.call()
        caller.ask(command="send", to="henderson", text="zero")
        await caller.line()
        release = self.block_writing()
        for ident in range(3):
            caller.ask(id=ident, command="send", to="henderson", text="x")
        caller.ask(id=3, command="unread")
        await settle()
        finished = self.door_of(JsonDialect).finish()
        (event,) = await idle.end()
        self.assertEqual((event["event"], event["code"]), ("closing", "shutting-down"))
        self.assertFalse(finished.called)
        self.assertEqual(caller.received, b"")
        release()
        await finished
        *replies, event = await caller.end()
        self.assertEqual([reply["id"] for reply in replies], [0, 1, 2, 3])
        self.assertEqual({reply["status"] for reply in replies}, {"OK"})
        self.assertEqual(event["code"], "shutting-down")

    async def test_nobody_there_is_soon_over(self) -> None:
        self.assertTrue(self.door_of(PlainDialect).finish().called)

    async def test_nothing_more_is_accepted(self) -> None:
        wire = await self.logged_in()
        await wire.ask(command="send", to="henderson", text="zero")
        release = self.block_writing()
        wire.feed(b'{"id":1,"command":"send","to":"henderson","text":"one"}\n')
        self.door_of(JsonDialect).finish()
        wire.feed(b'{"id":2,"command":"send","to":"henderson","text":"two"}\n')
        release()
        data = await wire.until(lambda data: b"shutting-down" in data)
        self.assertNotIn(b'"id":2', data)

    async def test_an_upload_under_way_is_given_up(self) -> None:
        caller = await self.call_as("messi")
        caller.ask(command="sendfile", to="henderson", filename="a", size=1000)
        await caller.line()
        caller.transport.write(b"only these")
        await settle()
        await self.door_of(JsonDialect).finish()
        await caller.ended
        await until(lambda: self.stored_files() == [], self.stored_files)

    async def test_a_download_under_way_is_not_spoilt(self) -> None:
        """It was accepted, so it comes to its end; in no case does anything else stand in its bytes."""
        wire = await self.logged_in()
        data = bytes(range(256)) * 16384
        await wire.ask(command="sendfile", to="henderson", filename="a", size=len(data))
        wire.feed(data)
        await wire.line()
        caller = await self.call_as("henderson")
        go_on = self.block_reading()
        caller.ask(command="getfile", name="a")
        await caller.line()
        finished = self.door_of(JsonDialect).finish()
        self.lose(wire)
        await settle()
        self.assertEqual(caller.received, b"")
        go_on()
        await finished
        await caller.ended
        self.assertEqual(caller.received[: len(data)], data[: len(caller.received)])
        self.assertGreaterEqual(len(caller.received), len(data))

    async def test_those_who_do_not_read_can_be_dropped(self) -> None:
        caller = await self.call_as("messi")
        caller.transport.pauseProducing()
        protocol: Any = next(iter(self.door_of(JsonDialect)._protocols))
        protocol.transport.write(bytes(32 * MIB))
        finished = self.door_of(JsonDialect).finish()
        await settle()
        self.assertFalse(finished.called)
        self.door_of(JsonDialect).abort()
        await finished
        caller.transport.resumeProducing()
        await caller.ended


class Secrets(ProtocolTestCase):
    """Neither passwords nor tokens stand in the log, nor in any repr."""

    people = ()
    WORDS = ("pa55word-one", "pa55word-two", "pa55word-three")

    def setUp(self) -> None:
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        super().setUp()

    def assert_clean(self, secrets: Iterable[str]) -> None:
        self.assertGreater(len(self.events), 0)
        shown = [
            text
            for event in self.events
            for text in (
                eventAsText(event, includeTraceback=True, includeSystem=True),
                eventAsJSON(event),
                repr(event),
            )
        ]
        for secret in secrets:
            self.assertEqual([text for text in shown if secret in text], [])

    async def test_in_the_log(self) -> None:
        """When all goes well, when it is refused, and when something breaks in the middle of it."""
        one, two, three = self.WORDS
        wire = self.wire()

        async def asked(**request: Any) -> dict[str, Any]:
            return await wire.ask(**request)

        reply = await asked(command="register", username="messi", password=one)
        tokens = [reply["tokenId"]]
        await asked(command="register", username="messi", password=one)
        await asked(command="register", username="me,ssi", password=one)
        await asked(command="auth", username="messi", password=two)
        await asked(command="auth", username="nobody", password=two)
        await asked(command="auth", username="messi", password=[three])
        await asked(command="auth", username="messi", passwort=three)
        await asked(command="password", old=two, new=three)
        await asked(command="password", old=one, new=two)
        tokens.append((await asked(command="auth", username="messi", password=two))["tokenId"])
        await asked(command="resume", token=tokens[0])
        await asked(command="resume", token=tokens[1])
        await asked(command="resume", token=tokens[1] + "x")
        await asked(command=three)
        wire.feed(f'{{"command":"auth","password":"{three}"\n{three}\n'.encode())
        await wire.line()
        await wire.line()
        await asked(command="logout")

        plain = self.wire(PlainDialect)
        await plain.until(b"\r\n")
        for line in (f"auth messi {two}", f"auth messi {three} x", three, "auth messi", three):
            plain.feed(line.encode() + b"\n")
            await plain.until(b": " if line == "auth messi" else b"\r\n\r\n")

        accounts, passwords = self.realm.service.accounts, self.realm.passwords
        fault = RuntimeError("boom")
        for owner, name in (
            (passwords, "hash"),
            (passwords, "verify"),
            (accounts, "_open_session"),
            (self.realm.sessions, "attach"),
            (self.realm.database, "run"),
            (self.realm.database, "read"),
        ):
            with mock.patch.object(owner, name, side_effect=fault):
                await asked(command="register", username="lineker", password=three)
                await asked(command="auth", username="messi", password=two)
                await asked(command="auth", username="messi", password=three)
                await asked(command="resume", token=tokens[1])
        with mock.patch.object(self.door_of(JsonDialect).dialect, "reply", side_effect=fault):
            reply = await asked(command="auth", username="messi", password=two)
            self.assertEqual(reply["code"], "internal")
        self.assertGreater(len(self.flushLoggedErrors(RuntimeError)), 5)
        self.lose(wire)
        self.assert_clean([*self.WORDS, *tokens])

    async def test_in_the_log_when_the_database_breaks(self) -> None:
        """Its errors like to show the statement's parameters."""
        wire = self.wire()
        word = self.WORDS[0]
        reply = await wire.ask(command="register", username="messi", password=word)
        with self.realm.database._engine.connect() as connection:
            connection.exec_driver_sql("ALTER TABLE sessions RENAME TO gone")
            connection.commit()
        for request in (
            {"command": "auth", "username": "messi", "password": word},
            {"command": "resume", "token": reply["tokenId"]},
            {"command": "register", "username": "henderson", "password": word},
        ):
            self.assertEqual((await wire.ask(**request))["code"], "storage-failed")
        self.flushLoggedErrors()
        self.assert_clean([word, reply["tokenId"]])
        token_hash = hashlib.sha256(reply["tokenId"].encode()).digest()
        self.assert_clean([repr(token_hash), token_hash.hex(), "$argon2id$"])

    async def test_in_reprs(self) -> None:
        word = self.WORDS[0]
        wire = self.wire()
        dialects: list[tuple[Dialect, bytes]] = [
            (PlainDialect(), f"register messi {word}".encode()),
            (PlainDialect(), f"password {word} {word}".encode()),
            (PlainDialect(), f"resume {word}".encode()),
            (JsonDialect(), json.dumps({"command": "resume", "token": word}).encode()),
            (
                JsonDialect(),
                json.dumps({"command": "auth", "username": "messi", "password": word}).encode(),
            ),
        ]
        for dialect, line in dialects:
            self.assertNotIn(word, repr(dialect.read(line)))
        client = wire.protocol.connection.own
        register = ask.Register("messi", Secret(word))
        self.assertNotIn(word, repr(register))
        reply = await client.reply_to(register)
        client = wire.protocol.connection.own
        token = str(reply.fields["tokenId"])
        self.assertEqual(len(token), 43)
        login = await self.realm.service.accounts.login("messi", word, "127.0.0.1")
        self.assertNotIn(str(login.token), repr(login))
        self.assertNotIn(token, repr(client.session))
        self.assertNotIn(token, repr(reply))


class Help(ProtocolTestCase):
    async def test_json_describes_itself(self) -> None:
        """`help` gives the whole table: verbs, arguments, types, and what every refusal means."""
        reply = await self.wire().ask(command="help")
        self.assertEqual([each["command"] for each in reply["commands"]], [r.verb for r in TABLE])
        self.assertEqual(reply["errors"], {each.code: each.sentence for each in every_error()})


class Events(ProtocolTestCase):
    async def test_a_session_that_ends_elsewhere_is_told_in_order(self) -> None:
        """What is pushed comes after the replies that were written before it."""
        wire = await self.logged_in()
        wire.protocol.output.write(b'{"first":1}\r\n')
        wire.protocol.deliver((SessionEnded("over"),))
        first, second = objects(await wire.until(lambda data: data.count(b"\n") == 2))
        self.assertEqual(first, {"first": 1})
        self.assertEqual(second, {"event": "session-ended", "message": "over"})
