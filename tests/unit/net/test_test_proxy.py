"""The proxy that the tests of links use."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support.common import sleep
from tests.support.peering import until
from tests.support.proxy import BACK, THERE, Proxy

net: Any = reactor


class Echo(Protocol):
    """Says back what it hears."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Ear(Protocol):
    def __init__(self) -> None:
        self.heard = b""
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class TheProxyItself(TestCase):
    """The proxy does what the tests above believe."""

    async def connect(self) -> None:
        factory = Factory.forProtocol(Echo)
        factory.noisy = False
        port = net.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.proxy = Proxy(port.getHost().port)
        number = self.proxy.start()
        self.addCleanup(self.proxy.stop)
        self.ear = Ear()
        await TCP4ClientEndpoint(reactor, "127.0.0.1", number).connect(
            Factory.forProtocol(lambda: self.ear)
        )
        self.say(b"halo ")
        await until(lambda: self.ear.heard == b"halo ")

    def say(self, data: bytes) -> None:
        assert self.ear.transport is not None
        self.ear.transport.write(data)

    async def test_cut(self) -> None:
        await self.connect()
        self.proxy.cut()
        await self.ear.lost
        await until(lambda: not self.proxy.passages)

    async def test_cut_after(self) -> None:
        await self.connect()
        self.proxy.cut_after(3, BACK)
        self.say(b"dunia")
        await self.ear.lost
        self.assertEqual(self.ear.heard, b"halo dun")

    async def test_cut_in_record(self) -> None:
        """Records that are not long enough go through, however they are cut up."""
        await self.connect()
        for pipe in self.proxy.passages[0].pipes.values():
            pipe._head, pipe._rest = b"", 0
        self.proxy.cut_in_record(BACK, longer=5)
        record = b"\x17\x03\x03\x00\x05short\x17\x03\x03\x00\x0along"
        for at in range(len(record)):
            self.say(record[at : at + 1])
            await sleep(0.001)
        await until(lambda: self.ear.heard == b"halo " + record)
        self.say(b" enough")
        await self.ear.lost
        self.assertEqual(self.ear.heard, b"halo " + record + b" ")

    async def test_swallowing(self) -> None:
        for direction in (THERE, BACK):
            await self.connect()
            self.proxy.swallowing.add(direction)
            self.say(b"dunia")
            await sleep(0.05)
            self.assertEqual(self.ear.heard, b"halo ")
            self.proxy.swallowing.clear()
            self.say(b"akhirat")
            await until(lambda: self.ear.heard == b"halo akhirat")

    async def test_stall(self) -> None:
        await self.connect()
        self.proxy.stall()
        self.say(b"dunia")
        await sleep(0.05)
        self.assertEqual(self.ear.heard, b"halo ")
        self.proxy.go_on()
        await until(lambda: self.ear.heard == b"halo dunia")

    async def test_delay(self) -> None:
        await self.connect()
        self.proxy.delay = 0.05
        began = net.seconds()
        self.say(b"dunia")
        await until(lambda: self.ear.heard == b"halo dunia")
        self.assertGreaterEqual(net.seconds() - began, 0.09)

    async def test_ends(self) -> None:
        """When one side closes, so does the other."""
        await self.connect()
        assert self.ear.transport is not None
        self.ear.transport.loseConnection()
        await until(lambda: not self.proxy.passages)
