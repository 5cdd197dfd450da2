"""The client's link: requests and events on one connection, and reconnecting."""

from __future__ import annotations

import asyncio
from typing import Any

from twisted.trial.unittest import TestCase

from chatd.client import link as link_module
from chatd.client.connection import ConnectionFailed, ConnectionLost, Target
from chatd.client.link import FIRST_PAUSE, LAST_PAUSE, Callbacks, Link, Reconnector


class FakeConnection:
    """A connection whose other end is played by the test."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.coming: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.aborted = False

    def send(self, request: dict[str, Any]) -> None:
        self.sent.append(request)
        if request["command"] == "quit":
            self.say(status="OK", id=request["id"])

    async def read(self) -> dict[str, Any]:
        found = await self.coming.get()
        if found is None:
            raise ConnectionLost
        return found

    def say(self, **what: Any) -> None:
        self.coming.put_nowait(what)

    def lose(self) -> None:
        self.coming.put_nowait(None)

    def abort(self) -> None:
        self.aborted = True
        self.lose()

    async def close(self) -> None:
        self.lose()


async def settle() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


class LinkTests(TestCase):
    def run_with(self, play: Any) -> None:
        async def all_of_it() -> None:
            self.events: list[dict[str, Any]] = []
            connection = FakeConnection()
            link = Link(connection, self.events.append)  # type: ignore[arg-type]
            reading = asyncio.create_task(link.run())
            await play(connection, link)
            connection.lose()
            await reading

        asyncio.run(all_of_it())

    def test_replies_in_any_order(self) -> None:
        async def play(connection: FakeConnection, link: Link) -> None:
            first = asyncio.create_task(link.ask("whoami"))
            second = asyncio.create_task(link.ask("send", to="budi", text="halo"))
            await settle()
            numbers = [request.pop("id") for request in connection.sent]
            self.assertEqual(
                connection.sent,
                [{"command": "whoami"}, {"command": "send", "to": "budi", "text": "halo"}],
            )
            connection.say(status="OK", id=numbers[1], message="Message sent")
            connection.say(event="message", text="in between")
            connection.say(status="ERROR", id=numbers[0], message="no")
            self.assertEqual((await second)["message"], "Message sent")
            self.assertEqual((await first)["message"], "no")
            self.assertEqual(self.events, [{"event": "message", "text": "in between"}])

        self.run_with(play)

    def test_lost_connection_says_whether_the_request_was_sent(self) -> None:
        async def play(connection: FakeConnection, link: Link) -> None:
            asked = asyncio.create_task(link.ask("inbox"))
            await settle()
            connection.lose()
            with self.assertRaises(ConnectionLost) as lost:
                await asked
            self.assertTrue(lost.exception.sent)
            with self.assertRaises(ConnectionLost) as lost:
                await link.ask("inbox")
            self.assertFalse(lost.exception.sent)

        self.run_with(play)

    def test_unanswered_ping_ends_the_connection(self) -> None:
        self.patch(link_module, "PING_EVERY", 0.01)
        self.patch(link_module, "PING_TIME", 0.01)

        async def play(connection: FakeConnection, link: Link) -> None:
            with self.assertRaises(ConnectionLost):
                await asyncio.wait_for(link.ask("whoami"), 5)
            self.assertIn("ping", [request["command"] for request in connection.sent])
            self.assertTrue(connection.aborted)

        self.run_with(play)


class ReconnectorTests(TestCase):
    def setUp(self) -> None:
        self.pauses: list[float] = []
        self.wires: list[FakeConnection | None] = []
        self.states: list[str] = []
        self.dialled = 0

    async def dial(self, _target: Target) -> Any:
        self.dialled += 1
        if not self.wires:
            await asyncio.Event().wait()
        connection = self.wires.pop(0)
        if connection is None:
            raise ConnectionFailed("nobody there")
        return connection

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def reconnector(self, jitter: Any = lambda low, high: high) -> Reconnector:
        async def greet(_link: Link) -> None: ...

        found = Reconnector(
            Target(),
            Callbacks(lambda event: None, greet, lambda: self.states.append(found.status.phase)),
            self.sleep,
            jitter,
            self.dial,
        )
        return found

    def test_backoff_grows_to_a_maximum(self) -> None:
        first, second = FakeConnection(), FakeConnection()
        self.wires = [first, *[None] * 9, second]

        async def play() -> None:
            reconnector = self.reconnector()
            await reconnector.first()
            link = await reconnector.link()
            first.lose()
            await settle()
            self.assertIsNot(await reconnector.link(), link)
            self.assertEqual(self.dialled, 11)
            await reconnector.close()

        asyncio.run(play())
        self.assertEqual(self.pauses[:4], [0.5, 1, 2, 4])
        self.assertEqual(self.pauses[-1], LAST_PAUSE)
        self.assertEqual(self.states[0], "connected")
        self.assertEqual(self.states[1:3], ["waiting", "connecting"])
        self.assertEqual(self.states[-1], "closed")

    def test_backoff_has_jitter(self) -> None:
        self.wires = [FakeConnection(), FakeConnection()]
        first = self.wires[0]

        async def play() -> None:
            reconnector = self.reconnector(lambda low, high: low)
            await reconnector.first()
            await reconnector.link()
            assert first is not None
            first.lose()
            await settle()
            await reconnector.link()
            await reconnector.close()

        asyncio.run(play())
        self.assertEqual(self.pauses, [FIRST_PAUSE / 2])  # at least half; the rest is random

    def test_first_attempt_is_not_repeated(self) -> None:
        self.wires = [None]

        async def play() -> None:
            with self.assertRaises(ConnectionFailed):
                await self.reconnector().first()

        asyncio.run(play())
