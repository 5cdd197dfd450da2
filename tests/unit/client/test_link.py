"""The client's link: requests and events on one connection, and reconnecting."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from twisted.trial.unittest import TestCase

from chatd.client import link as link_module
from chatd.client.addresses import Addresses
from chatd.client.connection import (
    ConnectionFailed,
    ConnectionLost,
    Endpoint,
    Patience,
    Target,
)
from chatd.client.link import FIRST_PAUSE, LAST_PAUSE, Callbacks, Link, Reconnector
from chatd.client.nodes import Nodes


def endpoint_of(target: Target) -> Endpoint:
    return Endpoint(target, socket.AF_INET, ("192.0.2.1", target.port))


async def resolved(target: Target) -> list[Endpoint]:
    return [endpoint_of(target)]


class FakeConnection:
    """A connection whose other end is played by the test."""

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self.endpoint = endpoint or endpoint_of(Target())
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


ONE, TWO, THREE = (Target(name) for name in ("one", "two", "three"))


class ReconnectorTests(TestCase):
    def setUp(self) -> None:
        self.pauses: list[float] = []
        self.wires: list[FakeConnection | None] = []
        self.states: list[str] = []
        self.dialled: list[Target] = []
        self.refuses: set[Target] = set()  # nodes that can't resume a session

    async def dial(self, endpoint: Endpoint, _patience: Patience) -> Any:
        self.dialled.append(endpoint.target)
        if not self.wires:
            await asyncio.Event().wait()
        connection = self.wires.pop(0)
        if connection is None:
            raise ConnectionFailed(f"nobody at {endpoint.target}")
        connection.endpoint = endpoint
        return connection

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def reconnector(
        self,
        jitter: Any = lambda low, high: high,
        targets: tuple[Target, ...] = (ONE,),
        attempts: int | None = None,
    ) -> Reconnector:
        async def greet(link: Link) -> None:
            if link.target in self.refuses:
                raise ConnectionLost("The realm can't store anything")

        nodes = Nodes(
            Addresses(targets), resolved, self.dial, shuffle=lambda found: found.reverse()
        )
        found = Reconnector(
            nodes,
            Callbacks(lambda event: None, greet, lambda: self.states.append(found.status.phase)),
            attempts,
            self.sleep,
            jitter,
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
            self.assertEqual(len(self.dialled), 11)
            await reconnector.close()

        asyncio.run(play())
        self.assertEqual(self.pauses[:4], [0.5, 1, 2, 4])
        self.assertEqual(self.pauses[-1], LAST_PAUSE)
        self.assertEqual(self.states[:2], ["connecting", "connected"])
        self.assertEqual(self.states[2:4], ["waiting", "connecting"])
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

    def test_other_addresses_in_turn(self) -> None:
        """When the link is lost, the address that worked last is tried first, then the others in random
        order, and only then there is a pause."""
        first, second = FakeConnection(), FakeConnection()
        self.wires = [None, first, *[None] * 4, second]

        async def play() -> None:
            reconnector = self.reconnector(targets=(ONE, TWO, THREE))
            self.assertEqual(await reconnector.first(), TWO)
            await reconnector.link()
            first.lose()
            await settle()
            link = await reconnector.link()
            self.assertEqual((link.target, reconnector.status.target), (THREE, THREE))
            await reconnector.close()

        asyncio.run(play())
        # The others are reversed by the test.
        self.assertEqual(self.dialled, [ONE, TWO, *(TWO, THREE, ONE), *(TWO, THREE)])
        self.assertEqual(len(self.pauses), 2)

    def test_node_that_can_not_resume(self) -> None:
        """A node that answers, but can't resume the session, is no better than one that is down."""
        self.refuses = {TWO}
        self.wires = [FakeConnection(), FakeConnection(), FakeConnection(), FakeConnection()]
        first = self.wires[0]

        async def play() -> None:
            reconnector = self.reconnector(targets=(TWO, ONE))
            await reconnector.first()
            self.assertEqual((await reconnector.link()).target, ONE)
            self.assertEqual(self.pauses, [])
            await reconnector.close()

        asyncio.run(play())
        assert first is not None
        self.assertTrue(first.aborted)

    def test_gives_up(self) -> None:
        """With a number of attempts, those who wait for a link learn why there is none."""
        first = FakeConnection()
        self.wires = [first, *[None] * 6]

        async def play() -> None:
            reconnector = self.reconnector(targets=(ONE, TWO), attempts=3)
            await reconnector.first()
            await reconnector.link()
            first.lose()
            await settle()
            with self.assertRaises(ConnectionLost) as lost:
                await reconnector.link()
            self.assertEqual(
                str(lost.exception),
                "None of the 2 addresses can be used. nobody at one:8888. nobody at two:8888",
            )

        asyncio.run(play())
        self.assertEqual((len(self.dialled), len(self.pauses)), (7, 3))

    def test_without_attempts(self) -> None:
        first = FakeConnection()
        self.wires = [first]

        async def play() -> None:
            reconnector = self.reconnector(attempts=0)
            await reconnector.first()
            await reconnector.link()
            first.lose()
            with self.assertRaises(ConnectionLost) as lost:
                await asyncio.wait_for(reconnector.end(), 5)
            self.assertEqual(str(lost.exception), "The connection was lost")

        asyncio.run(play())
        self.assertEqual((len(self.dialled), self.pauses), (1, []))

    def test_error_of_an_event(self) -> None:
        """What an event raises, such as a closed pipe, gets to those who wait for a link."""
        first = FakeConnection()
        self.wires = [first]

        async def play() -> None:
            reconnector = self.reconnector()
            reconnector._callbacks = Callbacks(broken, reconnector._callbacks.greet, lambda: None)
            await reconnector.first()
            await reconnector.link()
            first.say(event="message")
            with self.assertRaises(BrokenPipeError):
                await asyncio.wait_for(reconnector.end(), 5)
            with self.assertRaises(BrokenPipeError):
                await reconnector.link()

        asyncio.run(play())


def broken(_event: dict[str, Any]) -> None:
    raise BrokenPipeError
