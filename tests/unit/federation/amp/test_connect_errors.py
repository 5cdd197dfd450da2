"""What the user is told when a realm is not reached."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from twisted.internet import error as net_error
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chatd.federation.amp import connect
from chatd.federation.amp.link import HANDSHAKE_TIME
from tests.support.common import sleep
from tests.support.peering import until
from tests.support.unauthenticated import TLSTestCase, Unanswering, certified, waiting

net: Any = reactor


class Broken:
    """A network where every connection fails with `error`."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.nameResolver = net.nameResolver

    def connectTCP(self, _host: str, _port: int, factory: Any, *_args: Any, **_kw: Any) -> None:
        net.callLater(0, factory.clientConnectionFailed, None, Failure(self.error))


class Sentences(TLSTestCase):
    """The errors of addrealm."""

    async def sentence(self, port: int, host: str = "127.0.0.1", **options: Any) -> str:
        """Check that realm1 can't reach realm2 there, and then has forgotten it."""
        one = self.make("realm1", **options)
        ana = await self.person(one, "ana")
        reply = await ana.ask("addrealm", realm="realm2", host=host, port=port)
        self.assertEqual(reply["code"], "realm-unreachable", reply)
        self.assertEqual(await self.known(ana), [])
        found: str = reply["message"]
        self.assertTrue(found.startswith("realm2 was not reached at "), found)
        return found

    async def test_refused(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            sentence = await self.sentence(port)
        self.assertIn(f"127.0.0.1:{port}: nothing listens there; check the port", sentence)

    async def test_no_such_host(self) -> None:
        sentence = await self.sentence(8890, "nowhere.invalid")
        self.assertIn("there is no such host; check its name", sentence)

    async def test_no_route(self) -> None:
        for error in (net_error.NoRouteError(), net_error.ConnectError(113, "No route to host")):
            with self.subTest(error=error):
                sentence = await self.sentence(8890, network=Broken(error))
                self.assertIn("there is no route to it; check the network", sentence)
                await self.close(self.realms["realm1"])

    async def test_other_errors_of_the_network(self) -> None:
        """They are reported in the words of the operating system."""
        error = net_error.ConnectError(1, "Operation not permitted")
        sentence = await self.sentence(8890, network=Broken(error))
        self.assertIn("Operation not permitted", sentence)

    async def test_timed_out(self) -> None:
        """A host that drops all packets: here a listener whose backlog is full."""
        self.patch(connect, "CONNECT_TIME", 0.1)
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            held = []
            for _ in range(3):
                connection = socket.socket()
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    connection.connect(full.getsockname())
                held.append(connection)
            sentence = await self.sentence(full.getsockname()[1])
            for connection in held:
                connection.close()
        self.assertIn("it timed out; check the address and firewalls", sentence)

    async def test_silent_listener(self) -> None:
        """It accepts the connection and sends nothing."""
        clock = Clock()
        clock.advance(net.seconds())
        one = self.make("realm1", clock=clock)
        ana = await self.person(one, "ana")
        silent = Unanswering()
        port = self.listen(lambda: silent)
        asked = Deferred.fromCoroutine(
            ana.ask("addrealm", realm="realm2", host="127.0.0.1", port=port)
        )
        await until(lambda: waiting(clock))
        clock.advance(HANDSHAKE_TIME - 0.1)
        await sleep(0.05)
        self.assertFalse(asked.called)
        clock.advance(0.2)
        reply = await asked
        self.assertEqual(reply["code"], "realm-unreachable")
        self.assertIn("it did not answer in time", reply["message"])
        await silent.lost

    async def test_some_other_server(self) -> None:
        """A server that talks first, one that answers, and one that hangs up: none of them is a realm."""
        for greeting, hangs_up, part in (
            (b"220 mail.example.org ESMTP\r\n", False, "no realm's door for peers; check the port"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", True, "no realm's door for peers"),
            (b"", True, "is there a realm?"),
        ):
            with self.subTest(greeting=greeting, hangs_up=hangs_up):
                there = Unanswering()
                there.greeting, there.hangs_up = greeting, hangs_up
                sentence = await self.sentence(self.listen(lambda t=there: t))  # type: ignore[misc]
                self.assertIn(part, sentence)
                await there.lost
                await self.close(self.realms["realm1"])

    async def test_some_other_server_with_tls(self) -> None:
        """It has a certificate with the right name, and then speaks another protocol."""
        there = Unanswering()
        there.greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        port = self.listen(lambda: there, certified("realm2"))
        self.assertIn("is there a realm?", await self.sentence(port))
        await there.lost
        self.flushLoggedErrors()

    async def test_addresses_that_are_no_realms(self) -> None:
        one = self.make("realm1")
        ana = await self.person(one, "ana")
        for host in (
            "169.254.169.254",
            "224.0.0.1",
            "239.1.2.3",
            "255.255.255.255",
            "0.0.0.0",  # noqa: S104
            "fe80::1",
            "[ff02::1]",
            "::",
            "::ffff:169.254.1.1",
        ):
            reply = await ana.ask("addrealm", realm="realm2", host=host, port=8890)
            self.assertEqual(reply.get("code"), "forbidden-address", (host, reply))
        self.assertEqual(await self.known(ana), [])

    async def test_itself(self) -> None:
        """With its own name, and with another one."""
        one = self.make("realm1")
        ana = await self.person(one, "ana")
        reply = await self.add(ana, one.port, "Realm1")
        self.assertEqual(reply["code"], "own-realm")
        reply = await self.add(ana, one.port, "realm2")
        self.assertEqual(reply["code"], "wrong-realm")
        await until(lambda: not one.links)
        self.assertEqual(self.processed(one), [])

    async def test_operators_only(self) -> None:
        one, two = self.make("realm1", add="operators"), self.make("realm2")
        ana, eko = await self.person(one, "ana"), await self.person(one, "eko", operator=False)
        self.assertEqual((await self.add(eko, two.port))["code"], "not-operator")
        self.assertEqual((await self.add(ana, two.port))["status"], "OK")
        self.assertEqual(
            (await eko.ask("delrealm", realm="realm2"))["code"],
            "not-operator",
        )
