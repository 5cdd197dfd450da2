"""Peers that connect over TLS and are not authenticated yet, and what they are told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.protocols import amp
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.config import PeersConfig
from chatd.base.names import key_of
from chatd.base.timers import Timer
from chatd.federation.amp import contents, wire
from chatd.federation.amp.identity import RealmIdentity
from chatd.federation.amp.identity_files import load_identity
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.tls import TLSOptions
from tests.support.peering import PeeringTestCase, Person, TLSRealm
from tests.support.realm_certificates import make, new_key

DAY = timedelta(days=1)
net: Any = reactor


def certified(*names: str, begin: int = -1, end: int = 1) -> RealmIdentity:
    """A self-signed identity for these names, valid from `begin` to `end`, in days from now."""
    now, key = datetime.now(UTC), new_key()
    leaf = make(*names, key=key, begin=now + begin * DAY, end=now + end * DAY)
    return RealmIdentity(key_of(names[0]) if names else "", key, (leaf,))


def kept(realm: TLSRealm) -> RealmIdentity:
    """The identity in the realm's state folder."""
    return load_identity(realm.config.realm, realm.config.state, PeersConfig(), datetime.now(UTC))


class UnauthenticatedPeer(amp.AMP):
    """An AMP peer that sends all of its requests at once and ignores the answers."""

    def __init__(self, realm: str = "realm2", talks: bool = True) -> None:
        super().__init__()
        self.realm = realm
        self.talks = talks
        self.told: list[dict[bytes, bytes]] = []
        self.answers: list[Any] = []
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        super().connectionMade()
        if self.talks:
            self.say(
                wire.HelloCommand,
                realm=self.realm,
                version=wire.VERSION,
                capabilities=[],
                instance=b"x",
            )
            self.say(wire.PingCommand)
            self.say(wire.PresenceCommand, users=["ana"])
            self.say(wire.DeliverCommand, parcels=contents.encode_batch([]))

    def say(self, command: Any, **arguments: Any) -> None:
        answer = self.callRemote(command, **arguments)
        answer.addCallbacks(self.answers.append, lambda _failure: None)

    def ampBoxReceived(self, box: dict[bytes, bytes]) -> None:
        self.told.append(dict(box))
        super().ampBoxReceived(box)

    @wire.GoodbyeCommand.responder
    def goodbye(self, code: str, reason: str) -> dict[str, Any]:
        self.answers.append(code)
        return {}

    @wire.HelloCommand.responder
    def hello(self, **said: Any) -> dict[str, Any]:
        return {**said, "realm": self.realm, "instance": b"y", "last": 0}

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.lost.callback(None)


class TLSTestCase(PeeringTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.boxes: list[tuple[Any, dict[bytes, bytes]]] = []
        self.warned: list[str] = []
        receive = PeerLink.ampBoxReceived

        def watch(link: PeerLink, box: Any) -> None:
            self.boxes.append((link.host, dict(box)))
            receive(link, box)

        @implementer(ILogObserver)
        def hear(event: LogEvent) -> None:
            if event["log_level"] is LogLevel.warn:
                self.warned.append(event["log_format"].format(**event))

        self.patch(PeerLink, "ampBoxReceived", watch)
        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)

    def processed(self, realm: TLSRealm) -> list[dict[bytes, bytes]]:
        """Collects the AMP boxes that a realm has processed."""
        return [box for host, box in self.boxes if host is realm.directory]

    async def knock(
        self, realm: TLSRealm, options: Any, stranger: UnauthenticatedPeer | None = None
    ) -> UnauthenticatedPeer:
        """Connect to a realm's port for peers; without `options`, not even with TLS."""
        stranger = stranger or UnauthenticatedPeer()
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", realm.port)
        if options is not None:
            endpoint = wrapClientTLS(options, endpoint)
        await endpoint.connect(Factory.forProtocol(lambda: stranger))
        self.addCleanup(self.hang_up, stranger)
        return stranger

    async def hang_up(self, stranger: Any) -> None:
        if stranger.transport is not None and not stranger.lost.called:
            stranger.transport.abortConnection()
            await stranger.lost

    def listen(
        self, protocol: Callable[[], Protocol], identity: RealmIdentity | None = None
    ) -> int:
        """Listen with something other than a realm. Returns the port."""
        factory: Any = Factory.forProtocol(protocol)
        factory.noisy = False
        if identity is not None:
            factory = TLSMemoryBIOFactory(TLSOptions(identity), False, factory)
        port = net.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    async def add(self, person: Person, port: int, realm: str = "realm2") -> dict[str, Any]:
        return await person.ask("addrealm", realm=realm, host="127.0.0.1", port=port)

    async def known(self, person: Person) -> list[str]:
        return [each["realm"] for each in (await person.must("realms"))["realms"]]

    async def refused_both_ways(self, shown: RealmIdentity, code: str, *words: str) -> None:
        """A realm refuses a peer with that identity, whichever side has dialled, processes nothing that it
        sends, and tells it the reason."""
        one = self.make("realm1")
        ana = await self.person(one, "ana")
        there = UnauthenticatedPeer(talks=False)
        reply = await self.add(ana, self.listen(lambda: there, shown))
        self.assertEqual((reply["status"], reply["code"]), ("ERROR", code), reply)
        for word in words:
            self.assertIn(word, reply["message"])
        await there.lost
        self.assertEqual(there.answers, [code])
        here = await self.knock(one, TLSOptions(shown))
        await here.lost
        self.assertEqual(here.answers, [code])
        self.assertEqual([box[b"_command"] for box in here.told], [b"Goodbye"])
        self.assertEqual(self.processed(one), [])
        self.assertEqual(await self.known(ana), [])
        self.assertEqual(len(self.warned), 2, self.warned)


class Unanswering(Protocol):
    """Sends `greeting` and nothing else; closes on any input if `hangs_up`."""

    greeting = b""
    hangs_up = False

    def connectionMade(self) -> None:
        self.lost: Deferred[None] = Deferred()
        assert self.transport is not None
        self.transport.write(self.greeting)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        if self.hangs_up:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


def waiting(clock: Clock) -> list[Any]:
    """The time limits of links that are not up yet."""
    calls: list[Any] = list(clock.getDelayedCalls())
    timers = [getattr(call.func, "__self__", None) for call in calls]
    return [
        each
        for each in timers
        if isinstance(each, Timer) and getattr(each._call, "__name__", "") == "_time_out"
    ]
