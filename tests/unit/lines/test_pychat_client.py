"""The language of py-chat's own client: what it can read, what is pushed, and files that it was offered."""

from __future__ import annotations

import json
import string
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.base import errors
from chatd.base.model import Message
from chatd.base.replies import Reply
from chatd.files.outgoing import Outgoing
from chatd.lines.dialect import Confirmation, PartialRequest, Request, Unreadable
from chatd.lines.dialects import pychat_client
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.pychat import PychatDialect
from chatd.lines.dialects.pychat_client import (
    GAP,
    READ,
    PychatClientDialect,
    json_object,
)
from chatd.lines.dialects.pychat_client_verbs import VERBS
from chatd.lines.paced_output import AFTER_FILE, APART
from chatd.lines.request_files import OFFER_TIME
from tests.support.common import Wire
from tests.support.transcripts import all_transcripts
from tests.unit.lines.cases import (
    LOST,
    PASSWORD,
    Caller,
    ManualClock,
    ProtocolTestCase,
    settle,
    until,
)
from tests.unit.lines.strategies import events, messages, refusals, tags

PAUSE = GAP * APART + 0.01  # seconds after which anything may be written
KEYS = sorted({arg.name for verb in VERBS.values() for arg in verb.args})
requests = st.dictionaries(
    st.sampled_from(["COMMAND", "token", "status", *KEYS]),
    st.one_of(st.sampled_from([*VERBS, "ready", "messi", PASSWORD, "zzz:zzz", 5, ["messi"]]), tags),
    max_size=6,
)


def read_by_client(data: bytes) -> list[bytes]:
    """What the client takes for objects, if all of `data` waits in the socket."""
    found = []
    while data:
        taken = b""
        while not taken.endswith(b"}"):
            assert data, f"the client waits: {taken[-50:]!r}"
            taken, data = taken + data[:READ], data[READ:]
            assert taken.startswith(b"{")
        found.append(taken)
    return found


class Framing(TestCase):
    """The client finds the end of every object."""

    def check(self, answer: dict[str, Any]) -> bytes:
        data = json_object(answer)
        self.assertTrue(data.isascii())
        self.assertEqual(json.loads(data), answer)
        self.assertEqual(read_by_client(data), [data])
        return data

    @given(st.dictionaries(st.text(max_size=5), tags, max_size=5), st.integers(0, 3 * READ))
    def test_any_object(self, answer: dict[str, Any], size: int) -> None:
        self.check({"text": "}" * size, **answer})

    def test_a_brace_anywhere(self) -> None:
        """Between strings it moves, and in a string it is escaped."""
        for size in range(READ - 60, READ + 20):
            self.check({"a": "x" * size, "b": [{"c": {"d": "}"}}, {}, {}], "e": "\\"})

    def test_a_brace_in_every_read(self) -> None:
        """Each brace that moves lets the next ones move, too."""
        items = [{"a": "x" * (READ - 10)} for _ in range(50)]
        data = self.check({"b": [{"a": "x" * (READ - 14)}, *items]})
        self.assertGreater(data.count(b" }"), 40)

    def test_exactly_one_read(self) -> None:
        self.assertEqual(len(self.check({"a": "x" * (READ - 8)})), READ)

    @given(st.lists(messages, max_size=30))
    def test_long_lists(self, found: list[Message]) -> None:
        found = found * 5
        request = Request(VERBS["msg-private-get"].row, None, TAG)  # type: ignore[arg-type]
        reply = Reply("messages", items=tuple(found), items_name="messages")
        data = PychatClientDialect().reply(request, reply)
        self.assertEqual(read_by_client(data), [data])
        self.assertEqual(len(json.loads(data)["messages"]), len(found))


TAG = pychat_client.CalledVerb("MSG-PRIVATE-GET", VERBS["msg-private-get"])


class Reading(TestCase):
    """Every object is a request, a confirmation, or Unreadable; every answer is an object with FOR."""

    @given(requests)
    @example({"COMMAND": "AUTH-LOGIN", "username": "a" * 65, "password": PASSWORD})
    @example({"status": "ready"})
    def test_reads_or_refuses(self, given: dict[str, Any]) -> None:
        dialect = PychatClientDialect()
        try:
            found = dialect.read(json.dumps(given).encode())
            if isinstance(found, PartialRequest):
                found = found.read(True)
        except Unreadable as problem:
            self.answered(dialect.error(problem.error, problem.tag))
        except errors.ChatError as error:
            self.answered(dialect.error(error, TAG))
        else:
            self.assertIsInstance(found, Request | Confirmation)

    @given(st.binary(max_size=30))
    @example(b"[" * 5000)
    @example(b'{"a":' * 10_000 + b"1" + b"}" * 10_000)
    def test_any_bytes(self, line: bytes) -> None:
        dialect = PychatClientDialect()
        with self.assertRaises(Unreadable) as caught:
            dialect.read(b"{" + line)
        self.answered(dialect.error(caught.exception.error, caught.exception.tag))

    @given(refusals)
    def test_refusals(self, error: errors.ChatError) -> None:
        for verb in VERBS.values():
            tag = pychat_client.CalledVerb(verb.name, verb)
            self.answered(PychatClientDialect().error(error, tag), verb.name)

    @given(events)
    def test_events(self, event: Any) -> None:
        data = PychatClientDialect().write_event(event)
        if data:
            self.assertIn("FOR", json.loads(data))
            self.assertEqual(read_by_client(data), [data])
        if isinstance(event, Message):
            self.assertEqual(json.loads(data)["FOR"], "NOTIF")

    def answered(self, data: bytes, command: str | None = None) -> None:
        answer = json.loads(data)
        self.assertIn(answer["status"], ("failed", "rejected"))
        self.assertTrue(answer["message"])
        self.assertIn("FOR", answer)
        if command is not None:
            self.assertEqual(answer["FOR"], command)

    def test_lists_are_limited(self) -> None:
        given = {"COMMAND": "CONTACT-ADD", "contact_list": ["messi"] * 101, "token": "x"}
        found = PychatClientDialect().read(json.dumps(given).encode())
        assert isinstance(found, PartialRequest)
        with self.assertRaises(errors.BadArgument):
            found.read(True)

    def test_the_name_of_a_file_is_bare(self) -> None:
        """The client opens what it is told for writing."""
        reply = Reply("", {"name": "foto.png", "size": 4}, {"code": "abcdef"})
        tag = pychat_client.CalledVerb("FILE-PRIVATE-GET", VERBS["file-private-get"])
        data = PychatClientDialect().reply(Request(tag.verb.row, None, tag), reply)  # type: ignore
        name = json.loads(data)["file_name"]
        self.assertEqual(name, "abcdef-foto.png")
        self.assertLessEqual(set(name), set(string.ascii_letters + "-."))


class Completeness(TestCase):
    def test_transcripts_use_every_verb_and_say_every_text(self) -> None:
        asked: dict[str, list[str]] = {}
        for transcript in all_transcripts():
            command = ""
            for line in transcript.lines:
                if line.mark == ">}" and line.text.startswith('{"COMMAND": "'):
                    command = line.text.split('"')[3].lower()
                    asked.setdefault(command, [])
                elif line.mark == "<}" and line.text.startswith('{"FOR":"'):
                    asked.setdefault(line.text.split('"')[3].lower(), []).append(line.text)
        for name, verb in VERBS.items():
            self.assertIn(name, asked)
            said = "".join(
                each for key in (verb.name, *verb.aliases) for each in asked[key.lower()]
            )
            for text in verb.texts.values():
                self.assertIn(str(text).partition("{")[0], said, name)


class ClientTestCase(ProtocolTestCase):
    """Clients of py-chat. Time passes only when the tests say so."""

    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    async def next(self, wire: Wire) -> dict[str, Any]:
        """What is written next to the client, and time passes."""
        await until(lambda: bool(wire.transport.value()))
        found: dict[str, Any] = json.loads(wire.taken())
        self.clock.advance(PAUSE)
        return found

    async def say(self, wire: Wire, command: str, **keys: Any) -> dict[str, Any]:
        request = {"COMMAND": command, **keys, "token": self.tokens.get(wire)}
        wire.feed(json.dumps(request).encode())
        return await self.next(wire)

    async def logged_in(self, name: str = "messi", dialect: Any = PychatDialect) -> Wire:
        self.tokens: dict[Wire, str] = getattr(self, "tokens", {})
        wire = self.wire(dialect)
        await wire.until(b"\r\n")
        self.clock.advance(PAUSE)
        reply = await self.say(wire, "AUTH-LOGIN", username=name, password=PASSWORD)
        self.tokens[wire] = reply["token"]
        return wire

    async def upload(self, wire: Wire, data: bytes = b"halo!") -> str:
        """Send a file to henderson. Returns its code."""
        name = {"file_name": "a.txt", "file_size": len(data)}
        reply = await self.say(wire, "FILE-PRIVATE-SEND", p_username="henderson", **name)
        self.assertEqual(reply["status"], "ready")
        wire.feed(data)
        return str((await self.next(wire))["text"]).rpartition(" ")[2]

    async def send(self, wire: Wire, text: str) -> None:
        reply = await self.say(wire, "MSG-PRIVATE-SEND", p_username="henderson", message=text)
        self.assertEqual(reply["status"], "success")


class Pushes(ClientTestCase):
    async def test_one_at_a_time(self) -> None:
        """What the client reads together, it loses."""
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        for text in ("one", "two", "three"):
            messi.feed(
                json.dumps(
                    {
                        "COMMAND": "MSG-PRIVATE-SEND",
                        "message": text,
                        "p_username": "henderson",
                        "token": self.tokens[messi],
                    }
                ).encode()
            )
        for text in ("one", "two", "three"):
            await until(lambda: bool(messi.transport.value() and henderson.transport.value()))
            await settle()
            self.assertEqual(json.loads(messi.taken())["status"], "success")
            self.assertEqual(json.loads(henderson.taken())["text"], text)
            self.clock.advance(PAUSE)
        await settle()
        self.assertEqual(messi.taken() + henderson.taken(), b"")

    async def test_the_greeting_is_a_write_of_its_own(self) -> None:
        wire = self.wire(PychatDialect)
        wire.feed(b'{"COMMAND": "GROUP-GET", "token": null}')
        await settle()
        self.assertEqual(wire.taken(), b"Welcome to realm1\r\n")
        self.clock.advance(PAUSE)
        self.assertEqual((await self.next(wire))["message"], "unauthorized!")

    async def test_on_whatever_connection_the_token_is_used(self) -> None:
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        other = self.wire(PychatDialect)
        await other.until(b"\r\n")
        self.clock.advance(PAUSE)
        self.tokens[other] = self.tokens[henderson]
        self.assertEqual((await self.say(other, "GROUP-GET"))["status"], "success")
        await self.send(messi, "halo")
        for wire in (henderson, other):
            self.assertEqual((await self.next(wire))["text"], "halo")

    async def test_none_after_the_logout(self) -> None:
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        await self.say(henderson, "AUTH-LOGOUT")
        await self.send(messi, "halo")
        await settle()
        self.assertEqual(henderson.taken(), b"")

    async def test_none_while_the_sender_of_a_file_does_not_read(self) -> None:
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        name = {"file_name": "a.txt", "file_size": 5}
        await self.say(henderson, "FILE-PRIVATE-SEND", p_username="messi", **name)
        henderson.feed(b"ha")
        await self.send(messi, "halo")
        self.clock.advance(1)
        await settle()
        self.assertEqual(henderson.taken(), b"")
        henderson.feed(b"lo!")
        found = [await self.next(henderson), await self.next(henderson)]
        texts = sorted(each["text"].partition(",")[0] for each in found)
        self.assertEqual(texts, ["[a.txt]", "halo"])

    async def test_the_end_of_a_session_is_told(self) -> None:
        messi = await self.logged_in()
        self.clock.advance(1)
        json_wire = self.wire(JsonDialect)
        await json_wire.ask(command="auth", username="messi", password=PASSWORD)
        await json_wire.ask(command="password", old=PASSWORD, new="another-password")
        found = await self.next(messi)
        self.assertEqual(found, {"FOR": None, "message": "The password was changed; log in again"})


class Offers(ClientTestCase):
    """A file whose bytes wait until the client is ready for them."""

    async def offered(self) -> tuple[Wire, Wire]:
        """henderson is offered a file of messi's."""
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        code = await self.upload(messi)
        await self.next(henderson)
        found = await self.say(henderson, "FILE-PRIVATE-GET", p_username="messi", file_code=code)
        self.assertEqual((found["file_name"], found["file_size"]), (f"{code}-a.txt", 5))
        return messi, henderson

    def confirm(self, wire: Wire) -> None:
        wire.feed(json.dumps({"status": "ready", "token": self.tokens[wire]}).encode())

    def watch_files(self) -> list[Outgoing]:
        """The files that are closed from now on."""
        closed: list[Outgoing] = []
        close = Outgoing.close

        def closing(file: Outgoing) -> Any:
            closed.append(file)
            return close(file)

        self.patch(Outgoing, "close", closing)
        return closed

    async def test_nothing_is_pushed_before_the_last_byte(self) -> None:
        messi, henderson = await self.offered()
        await self.send(messi, "halo")
        self.clock.advance(1)
        await settle()
        self.assertEqual(henderson.taken(), b"")
        self.confirm(henderson)
        self.assertEqual(await henderson.until(b"halo!"), b"halo!")
        await until(lambda: not henderson.protocol.requests)
        self.clock.advance(AFTER_FILE * 0.9)
        await settle()
        self.assertEqual(henderson.taken(), b"")
        self.clock.advance(AFTER_FILE)
        self.assertEqual((await self.next(henderson))["text"], "halo")

    async def test_a_command_withdraws_it(self) -> None:
        closed = self.watch_files()
        messi, henderson = await self.offered()
        await self.send(messi, "halo")
        henderson.feed(b'{"COMMAND": "GROUP-GET", "token": null}')
        found = [await self.next(henderson), await self.next(henderson)]
        self.assertEqual({each["FOR"] for each in found}, {"NOTIF", "GROUP-GET"})
        await until(lambda: bool(closed))
        self.confirm(henderson)
        self.assertEqual((await self.next(henderson))["message"], "no file was offered")

    async def test_a_broken_request_withdraws_it(self) -> None:
        _, henderson = await self.offered()
        henderson.feed(b"{A}")
        self.assertEqual((await self.next(henderson))["status"], "failed")
        self.confirm(henderson)
        self.assertEqual((await self.next(henderson))["message"], "no file was offered")

    async def test_time_withdraws_it(self) -> None:
        closed = self.watch_files()
        messi, henderson = await self.offered()
        await self.send(messi, "halo")
        self.clock.advance(OFFER_TIME)
        self.assertEqual((await self.next(henderson))["text"], "halo")
        await until(lambda: bool(closed))
        self.assertEqual((await self.say(henderson, "GROUP-GET"))["status"], "success")

    async def test_the_end_of_the_connection_withdraws_it(self) -> None:
        closed = self.watch_files()
        _, henderson = await self.offered()
        self.lose(henderson, LOST)
        await until(lambda: bool(closed))

    async def test_a_client_that_sends_nothing_more_withdraws_it(self) -> None:
        closed = self.watch_files()
        _, henderson = await self.offered()
        henderson.protocol.readConnectionLost()
        await until(lambda: bool(closed))
        self.assertTrue(henderson.transport.disconnecting)

    async def test_confirmed_by_a_client_that_sends_nothing_more(self) -> None:
        _, henderson = await self.offered()
        self.confirm(henderson)
        henderson.protocol.readConnectionLost()
        self.assertEqual(await henderson.until(b"halo!"), b"halo!")

    async def test_the_end_of_the_realm_withdraws_it(self) -> None:
        closed = self.watch_files()
        _, henderson = await self.offered()
        self.door_of(PychatDialect).finish()
        for _ in range(5):
            await settle()
            self.clock.advance(PAUSE)
        self.assertTrue(henderson.transport.disconnecting)
        self.assertIn(b"shutting", henderson.taken().replace(b"The realm is ", b"").lower())
        await until(lambda: bool(closed))

    async def test_confirmed_with_the_request(self) -> None:
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        code = await self.upload(messi)
        await self.next(henderson)
        request = {"COMMAND": "FILE-PRIVATE-GET", "p_username": "messi", "file_code": code}
        for part in ({**request, "token": self.tokens[henderson]}, {"status": "ready"}):
            henderson.feed(json.dumps(part).encode())
        found = await henderson.until(b"halo!")
        self.assertEqual(json.loads(found.removesuffix(b"halo!"))["file_size"], 5)


class ByClient(ProtocolTestCase):
    """A client that reads as the real one does, over a real socket."""

    async def read(self, caller: Caller) -> Any:
        await until(lambda: bool(caller.received))
        while not caller.received.endswith(b"}"):
            await settle()
        data, caller.received = bytes(caller.received), bytearray()
        return json.loads(data)

    async def test_a_long_conversation(self) -> None:
        caller = await self.call(PychatDialect)
        await until(lambda: caller.received.endswith(b"\r\n"))
        caller.received.clear()

        async def say(**request: Any) -> Any:
            caller.transport.write(json.dumps(request).encode())
            return await self.read(caller)

        login = {"COMMAND": "AUTH-LOGIN", "username": "messi", "password": PASSWORD}
        token = (await say(**login, token=None))["token"]
        to = {"p_username": "henderson", "token": token}
        texts = [f"{number} {'}é{' * 400}" for number in range(20)]
        for text in texts:
            found = await say(COMMAND="MSG-PRIVATE-SEND", message=text, **to)
            self.assertEqual(found["status"], "success")
        found = await say(COMMAND="MSG-PRIVATE-GET", **to)
        self.assertEqual([each["text"] for each in found["messages"]], texts)
