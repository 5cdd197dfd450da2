"""A realm with two nodes, on real sockets: the client goes from one to the other, and nothing is lost or sent
twice."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import trustme
from twisted.trial.unittest import TestCase

from chatd.client import link as link_module
from chatd.client import nodes as nodes_module
from chatd.client import transfer_queue
from chatd.client.addresses import Addresses, parse_addresses
from chatd.client.client import Client
from chatd.client.command_queue import CommandQueue
from chatd.client.line_parser import parse_line
from chatd.client.link import Phase
from chatd.client.local_store import Store
from chatd.client.progress_bar import NoProgress
from chatd.client.script import Pipe, Script, given
from tests.unit.client.fake_nodes import TOKEN, Log, Node
from tests.unit.client.fakes import RecordingOutput


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await a_moment()


async def a_moment() -> None:
    await asyncio.sleep(0.001)


class FailoverTestCase(TestCase):
    def setUp(self) -> None:
        self.patch(link_module, "FIRST_PAUSE", 0.01)
        self.patch(transfer_queue, "PAUSE", 0.001)
        self.log = Log()
        self.one, self.two = Node(self.log), Node(self.log)
        self.store = Store(Path(self.mktemp()))

    @contextlib.asynccontextmanager
    async def nodes(self) -> AsyncIterator[Addresses]:
        """Start both nodes. Lina has a session."""
        for node in (self.one, self.two):
            await node.start()
        found = parse_addresses([f"127.0.0.1:{node.port}" for node in (self.one, self.two)])
        self.store.logged_in(found, "lina", TOKEN)
        try:
            yield found
        finally:
            for node in (self.one, self.two):
                await node.kill()


class Interactive(FailoverTestCase):
    def play(self, act: Callable[[Client, CommandQueue], Awaitable[None]]) -> None:
        """Let `act` use a client that is connected."""

        async def all_of_it() -> None:
            async with self.nodes() as addresses:
                self.out = RecordingOutput()
                client = Client(addresses, self.store, self.out, live=True)
                self.assertTrue(await client.connect(None))
                jobs = CommandQueue(client, lambda todo: None)
                working = asyncio.create_task(jobs.run())
                await client.reconnector.link()
                await asyncio.wait_for(act(client, jobs), 5)
                working.cancel()
                await client.close()

        asyncio.run(all_of_it())

    async def type(self, client: Client, jobs: CommandQueue, line: str) -> None:
        jobs.put(line, await parse_line(line, client.state, None))  # type: ignore[arg-type]
        await jobs.idle()

    def test_killed_in_the_middle_of_a_send(self) -> None:
        """The message is there once, under one key, and what others have written meanwhile is shown."""

        async def act(client: Client, jobs: CommandQueue) -> None:
            await self.type(client, jobs, "send budi one")
            self.one.push(self.log.add("budi", "two"))
            await until(lambda: "budi: two" in self.out.lines[-1])
            self.one.dies_at = "send"
            sending = asyncio.create_task(self.type(client, jobs, "send budi three"))
            await until(lambda: len(self.log.entries) == 3)
            self.log.add("budi", "four")
            await sending
            self.two.push(self.log.add("budi", "five"))
            await until(lambda: "budi: five" in self.out.lines[-1])
            self.assertIn(f"127.0.0.1:{self.two.port}", client.whereabouts)

        self.play(act)
        self.assertEqual(self.log.texts(), ["one", "two", "three", "four", "five"])
        keys = [each["key"] for node in (self.one, self.two) for each in node.asked
                if each.get("text") == "three"]  # fmt: skip
        self.assertEqual((len(keys), len(set(keys))), (2, 1))
        shown = [line.rpartition(": ")[2] for line in self.out.lines if " budi: " in line]
        self.assertEqual(shown, ["two", "four", "five"])
        self.assertIn(f"Connected again, to 127.0.0.1:{self.two.port}", self.out.lines)
        last = self.store.load().addresses
        self.assertEqual(last and last.first.port, self.two.port)

    def test_back_again(self) -> None:
        """The node that took over is lost as well, and the first one is there again."""

        async def act(client: Client, jobs: CommandQueue) -> None:
            for node, other in ((self.one, self.two), (self.two, self.one)):
                await node.kill()
                await until(lambda: not client.reconnector.is_up)
                await self.type(client, jobs, f"send budi to {other.port}")
                await node.start()

        self.play(act)
        self.assertEqual(self.log.texts(), [f"to {node.port}" for node in (self.two, self.one)])

    def test_node_without_its_database(self) -> None:
        """A node that can't resume the session is left for another one, and the session is kept."""
        self.one.ill = "storage-failed"

        async def act(client: Client, jobs: CommandQueue) -> None:
            await self.type(client, jobs, "send budi one")

        self.play(act)
        self.assertEqual([each["command"] for each in self.one.asked], ["ping", "resume"])
        self.assertEqual(self.log.texts(), ["one"])
        self.assertTrue(self.store.load().sessions)

    def test_silent_node(self) -> None:
        """A node that accepts connections and says nothing does not hold up the client."""
        self.patch(nodes_module, "SEVERAL_TIME", 0.05)
        self.one.silent = True

        async def act(client: Client, jobs: CommandQueue) -> None:
            await self.type(client, jobs, "send budi one")

        self.play(act)
        self.assertEqual([each["command"] for each in self.one.asked], ["ping"])
        self.assertEqual(self.log.texts(), ["one"])

    def test_no_node_is_left(self) -> None:
        """The client waits, and sends when one is there."""

        async def act(client: Client, jobs: CommandQueue) -> None:
            await self.one.kill()
            await self.two.kill()
            sending = asyncio.create_task(self.type(client, jobs, "send budi one"))
            status = client.reconnector.status
            await until(lambda: status.tries > 1 and status.phase is Phase.WAITING)
            self.assertIn("None of the 2 addresses can be used", status.reason)
            await self.two.start()
            await sending

        self.play(act)
        self.assertEqual(self.log.texts(), ["one"])


class Scripts(FailoverTestCase):
    def run_script(self, *lines: str, as_json: bool = False) -> int:
        async def all_of_it() -> int:
            async with self.nodes() as addresses:
                pipe = Pipe(as_json, self.printed, self.errors)
                script = Script(addresses, self.store, pipe, Path(), None, NoProgress())
                return await asyncio.wait_for(script.run(given(lines)), 5)

        self.printed, self.errors = io.StringIO(), io.StringIO()
        return asyncio.run(all_of_it())

    def test_killed_in_the_middle_of_a_send(self) -> None:
        self.one.dies_at = "send"
        self.assertEqual(self.run_script("send budi one", "send budi two"), 0)
        self.assertEqual(self.log.texts(), ["one", "two"])
        self.assertEqual(self.printed.getvalue(), "Message sent\n" * 2)

    def test_name_with_two_addresses(self) -> None:
        """One name in the DNS for both nodes."""
        self.one.dies_at = "send"

        async def lookup(_loop: object, _host: str, port: int, **_more: object) -> list[Any]:
            found = [("127.0.0.1", port), ("127.0.0.2", port)]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in found]

        async def all_of_it() -> int:
            await self.one.start()
            self.two.port = self.one.port
            await self.two.start(host="127.0.0.2")
            addresses = parse_addresses([f"chat.example.org:{self.one.port}"])
            self.store.logged_in(addresses, "lina", TOKEN)
            script = Script(
                addresses, self.store, Pipe(False, printed, printed), Path(), None, NoProgress()
            )
            with mock.patch.object(asyncio.BaseEventLoop, "getaddrinfo", lookup):
                code = await asyncio.wait_for(script.run(given(["send budi one"])), 5)
            await self.two.kill()
            return code

        printed = io.StringIO()
        self.assertEqual(asyncio.run(all_of_it()), 0)
        self.assertEqual(self.log.texts(), ["one"])
        self.assertEqual([each["command"] for each in self.two.asked].count("send"), 1)

    def test_what_can_not_be_repeated(self) -> None:
        """A script ends there, since its next line may depend on it."""
        self.one.dies_at = "roomchat"
        self.assertEqual(self.run_script("roomchat one", "send budi two"), 2)
        self.assertEqual(self.log.texts(), [])
        self.assertIn("No reply came to: roomchat one", self.errors.getvalue())

    def test_no_node_is_left(self) -> None:
        self.one.dies_at = self.two.dies_at = "send"
        self.assertEqual(self.run_script("send budi one", "send budi two"), 2)
        self.assertEqual(self.log.texts(), ["one"])
        self.assertIn("No reply came to: send budi one", self.errors.getvalue())

    def test_file(self) -> None:
        """A file is sent once, also if the node dies before its reply, or can't store it at first."""
        path = Path(self.mktemp())
        path.write_text("plan")
        self.one.dies_at = "sendfile"
        self.two.refuses = ["storage-failed"]
        self.assertEqual(self.run_script(f"sendfile budi {path}", "send budi two"), 0)
        self.assertEqual(self.log.texts(), ["file plan", "two"])
        keys = [each["key"] for node in (self.one, self.two) for each in node.asked
                if each["command"] == "sendfile"]  # fmt: skip
        self.assertEqual((len(keys), len(set(keys))), (3, 1))

    def test_file_without_a_node(self) -> None:
        """The script ends, and does not repeat the files that were sent before."""
        path = Path(self.mktemp())
        path.write_text("plan")
        self.one.dies_at = self.two.dies_at = "sendfile"
        self.assertEqual(self.run_script(f"sendfile budi {path} {path}"), 2)
        self.assertEqual(self.log.texts(), ["file plan"])
        self.assertIn("No reply came to: sendfile budi", self.errors.getvalue())

    def test_room(self) -> None:
        """The script is in the room again before its next line."""
        self.one.dies_at = "whoami"
        self.assertEqual(self.run_script("roomjoin stadium", "whoami", "roomchat vamos"), 0)
        asked = [each["command"] for each in self.two.asked]
        self.assertEqual(asked[:5], ["ping", "resume", "roomjoin", "whoami", "roomchat"])

    def test_listening(self) -> None:
        """It goes on at the other node, and prints once what has arrived in between, as events. It does not
        print what would not have been pushed."""

        async def budi(one: Node, two: Node) -> None:
            await until(lambda: bool(one.listening))
            self.log.add("budi", "zero")
            one.push(self.log.add("budi", "one"))
            await until(lambda: "one" in self.printed.getvalue())
            self.log.add("budi", "two")
            self.log.add("lina", "three")
            await one.kill()
            await until(lambda: bool(two.listening) and self.log.read == 3)
            two.push(self.log.add("budi", "four"))
            await until(lambda: "four" in self.printed.getvalue())
            await two.kill()

        async def all_of_it() -> int:
            async with self.nodes() as addresses:
                pipe = Pipe(True, self.printed, self.errors)
                script = Script(addresses, self.store, pipe, Path(), None, NoProgress())
                writing = asyncio.create_task(budi(self.one, self.two))
                code = await asyncio.wait_for(script.run(given(["listen on"])), 5)
                await writing
                return code

        self.printed, self.errors = io.StringIO(), io.StringIO()
        self.assertEqual(asyncio.run(all_of_it()), 2)
        printed = [json.loads(line) for line in self.printed.getvalue().splitlines()]
        events = [each["text"] for each in printed if each.get("event") == "message"]
        self.assertEqual(events, ["one", "two", "zero", "four"])
        marks = [each["seq"] for each in self.two.asked if each["command"] == "read"]
        self.assertEqual(marks, [2, 3])


class Tls(FailoverTestCase):
    def context(self, authority: trustme.CA, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        return context

    def test_no_downgrade(self) -> None:
        """Nodes without TLS, with another name on the certificate or with one of another authority get
        nothing, even if all others are gone."""
        mine, another = trustme.CA(), trustme.CA()
        good, wrong, foreign, plain = nodes = [Node(self.log) for _ in range(4)]
        ca = Path(self.mktemp())
        mine.cert_pem.write_to_path(str(ca))
        out = RecordingOutput()

        async def play() -> None:
            await good.start(self.context(mine, "realm1"))
            await wrong.start(self.context(mine, "realm2"))
            await foreign.start(self.context(another, "realm1"))
            await plain.start()
            addresses = parse_addresses(
                [f"127.0.0.1:{node.port}" for node in reversed(nodes)], True, "realm1", ca
            )
            self.store.logged_in(addresses, "lina", TOKEN)
            client = Client(addresses, self.store, out, live=True)
            await client.connect(None)
            await client.reconnector.link()
            await good.kill()
            status = client.reconnector.status
            await until(lambda: status.tries > 1 and status.phase is Phase.WAITING)
            self.reason = status.reason
            await client.close()
            for node in (wrong, foreign, plain):
                await node.kill()

        asyncio.run(asyncio.wait_for(play(), 5))
        self.assertIn("resume", [each["command"] for each in good.asked])
        self.assertEqual([node.asked for node in (wrong, foreign, plain)], [[], [], []])
        for node, part in ((wrong, "is not valid: Hostname mismatch"),
                           (foreign, "is not valid: unable to get local issuer certificate"),
                           (plain, "does not use TLS")):  # fmt: skip
            self.assertRegex(self.reason, f"127.0.0.1:{node.port} {part}")
