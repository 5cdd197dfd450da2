"""The client's link: requests and events on one connection, and reconnecting."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from chatd.client import link as link_module
from chatd.client.connection import ConnectionFailed, ConnectionLost, Target, _why, parse_target
from chatd.client.link import FIRST_PAUSE, LAST_PAUSE, Callbacks, Link, Reconnector
from chatd.client.local_store import Store, for_history, state_folder


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

    def test_replies_find_their_requests(self) -> None:
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

    def test_a_loss_says_whether_it_was_sent(self) -> None:
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

    def test_silence_is_a_loss(self) -> None:
        self.patch(link_module, "PING_EVERY", 0.01)
        self.patch(link_module, "PING_TIME", 0.01)

        async def play(connection: FakeConnection, link: Link) -> None:
            with self.assertRaises(ConnectionLost):
                await asyncio.wait_for(link.ask("whoami"), 5)
            self.assertIn("ping", [request["command"] for request in connection.sent])
            self.assertTrue(connection.aborted)

        self.run_with(play)


class KeeperTests(TestCase):
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

    def test_pauses_grow_and_have_an_end(self) -> None:
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

    def test_clients_come_back_at_different_times(self) -> None:
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

    def test_the_first_time_has_to_succeed(self) -> None:
        self.wires = [None]

        async def play() -> None:
            with self.assertRaises(ConnectionFailed):
                await self.reconnector().first()

        asyncio.run(play())


class WhereTests(TestCase):
    def test_hosts_and_ports(self) -> None:
        for text, host, port in (
            ("chat.example.org", "chat.example.org", 8888),
            ("localhost:9999", "localhost", 9999),
            ("[::1]:9999", "::1", 9999),
            ("::1", "::1", 8888),
        ):
            target = parse_target(text, False, None, None)
            self.assertEqual((target.host, target.port), (host, port))
        self.assertEqual(str(parse_target("::1", False, None, None)), "[::1]:8888")

    def test_what_is_none(self) -> None:
        for text in ("", ":8888", "host:port", "host:0", "host:65536", "[::1"):
            self.assertRaises(ValueError, parse_target, text, False, None, None)


class Reasons(TestCase):
    def test_several_addresses(self) -> None:
        """Both addresses of a host refuse the connection; the error is one sentence."""
        both = (
            "[Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect call failed ('::', 1)"
        )
        for error, part in (
            (OSError(f"Multiple exceptions: {both}"), "There is no daemon at localhost:8888"),
            (OSError("Multiple exceptions: [Errno 111] x, [Errno 113] y"), "was not reached"),
            (OSError(113, "No route to host"), "was not reached: No route to host"),
            (ConnectionRefusedError(111, "x"), "There is no daemon"),
            (TimeoutError(), "did not answer"),
        ):
            self.assertIn(part, _why(Target(), error))


class MemoryTests(TestCase):
    def setUp(self) -> None:
        self.store = Store(Path(self.mktemp()) / "chatd")

    def test_for_nobody_elses_eyes(self) -> None:
        self.store.logged_in(Target("here"), "lina", "token-1")
        mode = stat.S_IMODE((self.store.folder / "client.json").stat().st_mode)
        self.assertEqual(mode, 0o600)
        self.assertEqual(stat.S_IMODE(self.store.folder.stat().st_mode), 0o700)

    def test_sessions_by_place_and_user(self) -> None:
        here, there = Target("here"), Target("there")
        self.store.logged_in(here, "lina", "token-1")
        self.store.logged_in(here, "budi", "token-2")
        self.store.logged_in(here, "lina", "token-3")
        self.store.visited(there)
        self.assertNotIn("token-3", repr(self.store.load()))
        found = self.store.token(here, None)
        self.assertEqual(found and found.token, "token-3")
        found = self.store.token(here, "Budi")
        self.assertEqual(found and found.token, "token-2")
        self.assertIsNone(self.store.token(there, None))
        self.assertEqual(self.store.load().last, there)
        self.store.logged_out("token-3")
        self.assertIsNone(self.store.token(here, "lina"))

    def test_what_is_broken_is_forgotten(self) -> None:
        self.store.prepare()
        (self.store.folder / "client.json").write_text('{"last": 7')
        self.assertIsNone(self.store.load().last)
        self.store.logged_in(Target("here"), "lina", "token-1")
        self.assertIsNotNone(self.store.token(Target("here"), "lina"))

    def test_the_folder(self) -> None:
        self.assertEqual(state_folder({"XDG_STATE_HOME": "/x"}), Path("/x/chatd"))
        for given in ({}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}):
            self.assertEqual(state_folder(given), Path.home() / ".local/state/chatd")

    def test_no_secret_is_kept_of_what_was_typed(self) -> None:
        for line in (
            "auth lina secret",
            " LOGIN lina",
            "/password a b",
            "resume x",
            "register a b c",
        ):
            self.assertEqual(for_history(line), "")
        self.assertEqual(for_history("send lina my password"), "send lina my password")
