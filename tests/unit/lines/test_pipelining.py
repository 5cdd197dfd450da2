"""Requests may be pipelined; replies come in order, and a client that sends too fast is slowed down."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.requests import MAX_OVERLAPPING
from tests.support.buffers import in_pieces
from tests.support.common import sleep
from tests.unit.lines.cases import (
    PASSWORD,
    ManualClock,
    ProtocolTestCase,
    objects,
    settle,
)


class Pipelining(ProtocolTestCase):
    """Requests may be pipelined. Each gets one reply, in order."""

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
        """Sends overlap. Any other request begins when they are answered."""
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
        """A request that is refused at once is answered after earlier ones."""
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
        """The number of sends under way is limited; beyond it the connection is not read from."""
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
        self.assertTrue(data.startswith(b"status: OK\r\nmessage: Message sent\r\n"), data)


class Prompts(ProtocolTestCase):
    async def test_too_long_line_ends_the_prompt(self) -> None:
        """Otherwise the next line would be taken for the password, and not be shown."""
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
    """A client that sends too fast is slowed down, and loses nothing."""

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
        """Invalid lines count against the rate."""
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

    async def test_client_that_leaves_in_a_flood_leaves_no_timers(self) -> None:
        # What the realm does once after its start is over.
        self.clock.advance(100)
        await settle()
        timers = len(self.clock.getDelayedCalls())  # the realm's own timers
        wire = self.wire()
        wire.feed(b'{"command":"ping"}\n' * 80)
        await settle()
        self.lose(wire)
        self.clock.advance(100)
        await settle()
        self.assertEqual(len(self.clock.getDelayedCalls()), timers)
        self.assertEqual(self.realm.connections.total, 0)
