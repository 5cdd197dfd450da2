"""The bus over real servers, which die and come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any, cast
from unittest import SkipTest

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.clocks import IReactor
from chatd.cluster.bus import Packet
from chatd.cluster.numbered_bus import NumberedBus
from chatd.cluster.postgres_bus import PostgresBusServer
from chatd.cluster.redis_bus import RedisBusServer
from chatd.cluster.threaded_wire import BusServer, ThreadedWire
from chatd.store import notifications
from chatd.store.engine import connect
from chatd.store.schema import bus_payloads
from tests.support import postgres, redis
from tests.support.pumped import PumpedReactor

LARGE = 100_000  # bytes; too much for a frame


class BusNode:
    """A node with a bus, and what it has heard: messages, and the names of nodes with gaps."""

    def __init__(self, name: str, reactor: PumpedReactor, server: BusServer) -> None:
        self.messages: list[bytes] = []
        self.gaps: list[str] = []
        self.wire = ThreadedWire(cast(IReactor, reactor), server)
        self.bus = NumberedBus(self.wire, reactor)
        self.bus.on_message(lambda _, message: self.messages.append(message))
        self.bus.on_gap(self.gaps.append)
        self.bus.start(name, 1)


class ServerTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = PumpedReactor()

    def start_nodes(self, connect_one: Callable[[], Any]) -> tuple[BusNode, BusNode]:
        """Two nodes that have heard of each other."""
        a, b = (BusNode(name, self.reactor, connect_one()) for name in "ab")
        self.addCleanup(self.end, a, b)
        self.reactor.wait_until(lambda: a.gaps and b.gaps, "nodes do not hear each other")
        return a, b

    def end(self, *nodes: BusNode) -> None:
        ended = [node.bus.stop() for node in nodes]
        self.reactor.wait_until(lambda: all(each.called for each in ended), "threads do not end")
        for node in nodes:
            self.assertEqual([each for each in node.wire._threads if each.is_alive()], [])

    def exchange(self, a: BusNode, b: BusNode) -> None:
        """Everything arrives in order, also what is large."""
        sent = [b"%d" % number for number in range(300)]
        sent[100:100] = [bytes(LARGE), b"after the large one"]
        for message in sent:
            a.bus.publish(message)
        self.reactor.wait_until(lambda: len(b.messages) >= len(sent), "messages are missing")
        self.assertEqual(b.messages, sent)
        self.assertEqual(a.messages, [])
        b.messages.clear()
        self.send_to_one(a, b)

    def send_to_one(self, a: BusNode, b: BusNode) -> None:
        """One node gets what is sent to it, and no other does."""
        a.bus.send("nobody", b"not for b")
        for message in (b"for b", bytes(LARGE), b"last"):
            a.bus.send("b", message)
        self.reactor.wait_until(lambda: len(b.messages) >= 3, "messages are missing")
        self.assertEqual(b.messages, [b"for b", bytes(LARGE), b"last"])
        self.assertEqual(a.messages, [])
        b.messages.clear()

    def survive(
        self, a: BusNode, b: BusNode, kill: Callable[[], None], start: Callable[[], None]
    ) -> None:
        """While the server is away, publishing neither waits nor fails. Then the loss is told, and publishing
        goes on."""
        kill()
        self.reactor.wait_until(lambda: not a.wire._is_sending, "the loss is not noticed")
        b.gaps.clear()
        began = time.monotonic()
        for _ in range(1000):
            a.bus.publish(b"lost")
        self.reactor.advance(0)
        self.assertLess(time.monotonic() - began, 1.0)
        start()
        self.reactor.wait_until(lambda: a.wire._is_sending, "the sender does not connect again")
        self.reactor.wait_until(lambda: "a" in b.gaps, "no gap is told")
        self.reactor.wait_until(lambda: b.bus.quiet_for() < 1.0, "a is not heard again")
        a.bus.publish(b"next")
        self.reactor.wait_until(lambda: b.messages, "messages are missing after a restart")
        self.assertEqual(b.messages, [b"next"])
        b.messages.clear()
        self.exchange(a, b)


@cache
def mortal_server() -> postgres.PostgresServer | None:
    """A server that may be killed, unlike that of all other tests. It has the table of the bus only."""
    programs = postgres.find_programs()
    if programs is None:
        return None
    server = postgres.PostgresServer(programs)
    server.start()
    engine = connect(server.url("postgres"))
    bus_payloads.create(engine)
    engine.dispose()
    return server


class PostgresBus(ServerTestCase):
    def setUp(self) -> None:
        super().setUp()
        server = mortal_server()
        if server is None:
            raise SkipTest(postgres.MISSING)
        self.server = server
        self.url = server.url("postgres")

    def test_messages_and_restart(self) -> None:
        a, b = self.start_nodes(lambda: PostgresBusServer(self.url))
        self.exchange(a, b)
        self.survive(a, b, self.server.stop, self.server.start)

    def test_old_payloads(self) -> None:
        """Rows that nobody needs any more are removed, and others stay."""
        engine = connect(self.url)
        self.addCleanup(engine.dispose)
        with notifications.connect_alone(engine) as connection:
            old, new = (notifications.add_payload(connection, b"x") for _ in range(2))
            connection.execute(sa.update(bus_payloads).where(bus_payloads.c.id == old).values(at=1))
            server = PostgresBusServer(self.url)
            self.addCleanup(server.close)
            sender = server.open_sender()
            self.addCleanup(sender.close)
            sender.send([])
            self.assertIsNone(notifications.find_payload(connection, old))
            self.assertEqual(notifications.find_payload(connection, new), b"x")

    def test_other_notifications(self) -> None:
        """What is no frame, or has no payload any more, is left out."""
        server = PostgresBusServer(self.url)
        self.addCleanup(server.close)
        sender, listener = server.open_sender(), server.open_listener("a")
        self.addCleanup(sender.close)
        self.addCleanup(listener.close)
        with notifications.connect_alone(sender._connection.engine) as connection:
            others = ("", "r", "rx", "r999999", "f%", "fé")
            notifications.notify(connection, [(notifications.CHANNEL, each) for each in others])
        sender.send([Packet("", b"frame")])
        found: list[bytes] = []
        while not found:
            found += listener.receive(1.0)
        self.assertEqual(found, [b"frame"])


class RedisBus(ServerTestCase):
    def setUp(self) -> None:
        super().setUp()
        if not redis.is_installed():
            raise SkipTest(redis.MISSING)
        self.server = redis.RedisServer()
        self.addCleanup(self.server.remove)
        self.server.start()

    def test_messages_and_restart(self) -> None:
        a, b = self.start_nodes(lambda: RedisBusServer(self.server.url, "realm1"))
        self.exchange(a, b)
        self.survive(a, b, self.server.kill, self.server.start)

    def test_realms(self) -> None:
        """Realms that share a server do not hear each other."""
        a, b = self.start_nodes(lambda: RedisBusServer(self.server.url, "realm1"))
        other = BusNode("c", self.reactor, RedisBusServer(self.server.url, "realm2"))
        self.addCleanup(self.end, other)
        self.reactor.wait_until(lambda: other.wire._is_sending, "it does not connect")
        self.exchange(a, b)
        self.assertEqual((other.messages, other.gaps), ([], []))
