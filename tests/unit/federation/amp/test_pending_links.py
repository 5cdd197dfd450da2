"""Clients that connect to the port for realms and do nothing that a realm does."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chatd.base.config import PeerConfig
from chatd.federation.amp import contents, pending_links, wire
from chatd.federation.amp.link import HANDSHAKE_TIME
from chatd.federation.amp.tls import TLSOptions
from tests.support.common import sleep
from tests.support.peering import until
from tests.support.unauthenticated import (
    TLSTestCase,
    Unanswering,
    UnauthenticatedPeer,
    certified,
    waiting,
)

net: Any = reactor


class PendingLinksTestCase(TLSTestCase):
    """Clients that connect and then do not behave like a realm."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.clock.advance(net.seconds())
        self.one = self.make("realm1", clock=self.clock)

    async def dropped_in_time(self, stranger: Any) -> None:
        await until(lambda: waiting(self.clock))
        self.clock.advance(HANDSHAKE_TIME - 0.1)
        await sleep(0.05)
        self.assertFalse(stranger.lost.called, "it was dropped too early")
        self.clock.advance(0.2)
        await stranger.lost
        self.assertEqual(waiting(self.clock), [])

    async def test_silence(self) -> None:
        """A client that does not even begin the handshake."""
        silent = Unanswering()
        await TCP4ClientEndpoint(reactor, "127.0.0.1", self.one.port).connect(
            Factory.forProtocol(lambda: silent)
        )
        self.addCleanup(self.hang_up, silent)
        await self.dropped_in_time(silent)

    async def test_half_a_handshake(self) -> None:
        silent = Unanswering()
        silent.greeting = b"\x16\x03\x01\x02\x00\x01\x00"
        await TCP4ClientEndpoint(reactor, "127.0.0.1", self.one.port).connect(
            Factory.forProtocol(lambda: silent)
        )
        self.addCleanup(self.hang_up, silent)
        await self.dropped_in_time(silent)

    async def test_no_hello(self) -> None:
        stranger = UnauthenticatedPeer(talks=False)
        await self.knock(self.one, TLSOptions(certified("realm2")), stranger)
        await until(lambda: self.one.links)
        await self.dropped_in_time(stranger)

    async def test_something_else_than_hello(self) -> None:
        """Nothing is answered before Hello."""
        stranger = UnauthenticatedPeer(talks=False)
        await self.knock(self.one, TLSOptions(certified("realm2")), stranger)
        for command, arguments in (
            (wire.PingCommand, {}),
            (wire.PresenceCommand, {"users": ["ana"]}),
            (wire.MembersCommand, {"user": "x", "group": "y", "start": 0}),
            (wire.DeliverCommand, {"parcels": contents.encode_batch([])}),
        ):
            error = await self.assertFailure(
                stranger.callRemote(command, **arguments), wire.Refused
            )
            self.assertIn("not-greeted", str(error))
        await self.dropped_in_time(stranger)

    async def silent(self, count: int, address: str = "127.0.0.1") -> list[Any]:
        """Open `count` silent connections from an address."""
        found = [Unanswering() for _ in range(count)]
        for each in found:
            endpoint = TCP4ClientEndpoint(
                reactor, "127.0.0.1", self.one.port, bindAddress=(address, 0)
            )
            await endpoint.connect(Factory.forProtocol(lambda p=each: p))  # type: ignore[misc]
            self.addCleanup(self.hang_up, each)
        return found

    async def test_too_many(self) -> None:
        """The oldest connection with the least progress makes room for a new one."""
        self.patch(pending_links, "MAX_PENDING", 2)
        silent = await self.silent(3)
        await silent[0].lost
        self.assertFalse(silent[1].lost.called or silent[2].lost.called)
        stranger = await self.knock(
            self.one, TLSOptions(certified("realm2")), UnauthenticatedPeer()
        )
        await until(lambda: stranger.told)
        await silent[1].lost
        self.clock.advance(HANDSHAKE_TIME)
        await silent[2].lost

    async def test_busiest_source(self) -> None:
        """An address that holds many connections loses its own, not those of others."""
        self.patch(pending_links, "MAX_PENDING", 4)
        other = await self.silent(1, "127.0.0.3")
        many = await self.silent(8, "127.0.0.2")
        for each in many[:5]:
            await each.lost
        self.assertFalse(other[0].lost.called)
        self.assertEqual([each.lost.called for each in many[5:]], [False] * 3)

    async def test_held_and_opened_again(self) -> None:
        """An added realm links at once while 200 connections from its own address are held open, and opened
        again as soon as they are dropped."""
        self.patch(pending_links, "MAX_PENDING", 64)
        stopped: list[bool] = []

        class Holding(Protocol):
            def connectionMade(self) -> None:
                held.append(self)

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                held.remove(self)
                if not stopped:
                    hold()

        held: list[Protocol] = []
        opening = set[Deferred[Any]]()

        def hold() -> None:
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.one.port)
            connecting = endpoint.connect(Factory.forProtocol(Holding))
            opening.add(connecting)
            connecting.addErrback(lambda _: None)
            connecting.addBoth(lambda _: opening.discard(connecting))

        for _ in range(200):
            hold()
        await until(lambda: len(held) > 50)
        await self.one.directory.add("realm2", "127.0.0.1", self.make("realm2").port, True)
        two = self.realms["realm2"]
        one_there = PeerConfig(f"127.0.0.1:{self.one.port}")
        two = await self.reopen(two, known={"realm1": one_there})
        began = net.seconds()
        await until(lambda: two.directory.peers.by_key["realm1"].link)
        self.assertLess(net.seconds() - began, 5.0)
        stopped.append(True)
        for connecting in list(opening):
            connecting.cancel()
        for each in held:
            each.transport.abortConnection()  # type: ignore[union-attr]
        await until(lambda: not held)

    async def test_still_there_at_the_end(self) -> None:
        """Unauthenticated connections do not hold up the shutdown."""
        silent = Unanswering()
        await TCP4ClientEndpoint(reactor, "127.0.0.1", self.one.port).connect(
            Factory.forProtocol(lambda: silent)
        )
        await until(lambda: waiting(self.clock))
        await self.close(self.one)
        await silent.lost
        self.assertEqual(waiting(self.clock), [])


class Ending(TLSTestCase):
    async def test_while_dialling(self) -> None:
        """A realm that stops while it dials leaves nothing behind."""
        silent = Unanswering()
        port = self.listen(lambda: silent)
        one = self.make("realm1", known={"realm2": PeerConfig(f"127.0.0.1:{port}")})
        await until(lambda: one.directory.peers.by_key["realm2"].dialling)
        await self.close(one)

    async def test_while_shaking_hands(self) -> None:
        silent = Unanswering()
        port = self.listen(lambda: silent)
        one = self.make("realm1", known={"realm2": PeerConfig(f"127.0.0.1:{port}")})
        await until(lambda: hasattr(silent, "lost"))
        await self.close(one)
        await silent.lost
