"""Two realms with real TLS between them: who is let in, who is not, and what is said about it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import trustme
from OpenSSL import SSL
from twisted.internet import error as net_error
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

from chatd.base.config import PeerConfig, PeersConfig
from chatd.base.errors import RealmUnreachable
from chatd.base.names import key_of
from chatd.base.timers import Timer
from chatd.federation.amp import connect, identity, pending_links, wire
from chatd.federation.amp.identity import RealmIdentity
from chatd.federation.amp.identity_files import load_identity, rotate
from chatd.federation.amp.link import HANDSHAKE_TIME, PeerLink
from chatd.federation.amp.tls import TLSOptions
from tests.support.common import sleep
from tests.support.peering import PeeringTestCase, Person, TLSRealm, until
from tests.unit.federation.amp.test_identity import Foreign, make, new_key, self_signed

DAY = timedelta(days=1)
net: Any = reactor


def certified(*names: str, begin: int = -1, end: int = 1) -> RealmIdentity:
    """An identity that signed itself: for these names, and holding from `begin` to `end`, in days."""
    now, key = datetime.now(UTC), new_key()
    leaf = make(*names, key=key, begin=now + begin * DAY, end=now + end * DAY)
    return RealmIdentity(key_of(names[0]) if names else "", key, (leaf,))


def kept(realm: TLSRealm) -> RealmIdentity:
    """What a realm has in its state folder."""
    return load_identity(realm.config.realm, realm.config.state, PeersConfig(), datetime.now(UTC))


class Stranger(amp.AMP):
    """Somebody else's AMP. It says all that it has to say at once, whatever it is told."""

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
                version=1,
                capabilities=[],
                instance=b"x",
                last=0,
            )
            self.say(wire.PingCommand)
            self.say(wire.PresenceCommand, users=["ana"])
            self.say(wire.DeliverCommand, parcels=wire.encode_batch([]))

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
        """The boxes of AMP that a realm has looked at."""
        return [box for host, box in self.boxes if host is realm.directory]

    async def knock(
        self, realm: TLSRealm, options: Any, stranger: Stranger | None = None
    ) -> Stranger:
        """Connect to a realm as somebody else; without `options` it is no TLS at all."""
        stranger = stranger or Stranger()
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
        """A port on which something else than a realm listens."""
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
        """A realm refuses who shows that, whoever of the two has connected, and looks at nothing of what
        they say; they are told so."""
        one = self.make("realm1")
        ana = await self.person(one, "ana")
        there = Stranger(talks=False)
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


class Certificates(TLSTestCase):
    async def test_ended(self) -> None:
        shown = certified("realm2", begin=-3, end=-2)
        await self.refused_both_ways(shown, "bad-certificate", "realm2", "it ended on", "renew")

    async def test_not_begun(self) -> None:
        shown = certified("realm2", begin=2, end=3)
        await self.refused_both_ways(shown, "bad-certificate", "realm2", "it holds only from")

    async def test_for_nobody(self) -> None:
        await self.refused_both_ways(certified(), "bad-certificate", "stands for no realm")

    async def test_wildcard(self) -> None:
        shown = certified("*.example.org", "realm2")
        await self.refused_both_ways(shown, "bad-certificate", "stands for no realm")

    async def test_ones_own_name(self) -> None:
        """Another realm that is called as this one is."""
        one = self.make("realm1")
        ana = await self.person(one, "ana")
        stranger = await self.knock(one, TLSOptions(certified("Realm1")))
        await stranger.lost
        self.assertEqual(stranger.answers, ["own-realm"])
        self.assertEqual(self.processed(one), [])
        self.assertEqual(await self.known(ana), [])

    async def test_wrong_name(self) -> None:
        """A realm that is not the one that was to be found there."""
        one, two = self.make("realm1"), self.make("realm2")
        ana = await self.person(one, "ana")
        reply = await self.add(ana, two.port, "realm9")
        self.assertEqual(reply["code"], "wrong-realm")
        self.assertIn(f"The realm at 127.0.0.1:{two.port} is realm2, not realm9", reply["message"])
        self.assertIn("add it under its own name", reply["message"])
        await until(lambda: not one.links and not two.links)
        self.assertEqual(self.processed(one), [])
        self.assertEqual(await self.known(ana), [])

    async def test_another_name_in_hello(self) -> None:
        """A realm can't say that it is another one than its certificate says."""
        one = self.make("realm1")
        ana = await self.person(one, "ana")
        stranger = await self.knock(one, TLSOptions(certified("realm3")), Stranger("realm2"))
        await stranger.lost
        self.assertEqual(stranger.answers, [])
        refused = [box[b"_error_description"] for box in stranger.told]
        self.assertTrue(any(each.startswith(b'["wrong-name"') for each in refused), refused)
        self.assertEqual(await self.known(ana), [])
        there = Stranger("realm2", talks=False)
        reply = await self.add(ana, self.listen(lambda: there, certified("realm3")), "realm3")
        self.assertEqual(reply["status"], "ERROR")
        self.assertEqual(await self.known(ana), [])

    async def test_no_certificate(self) -> None:
        one = self.make("realm1")
        stranger = await self.knock(one, Foreign(lambda _context: None))
        await stranger.lost
        self.assertEqual((stranger.told, self.processed(one)), ([], []))

    async def test_older_tls(self) -> None:
        one, shown = self.make("realm1"), self_signed("realm2")

        def prepare(context: SSL.Context) -> None:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
            context.use_certificate(shown.certificate)
            context.use_privatekey(shown.private_key)

        stranger = await self.knock(one, Foreign(prepare))
        await stranger.lost
        self.assertEqual((stranger.told, self.processed(one)), ([], []))

    async def test_older_tls_there(self) -> None:
        """Nor does one connect to somebody who has only that."""
        one, shown = self.make("realm1"), self_signed("realm2")
        ana = await self.person(one, "ana")
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.use_certificate(shown.certificate)
        context.use_privatekey(shown.private_key)
        with mock.patch.object(identity, "_context", return_value=context):
            port = self.listen(lambda: Stranger(talks=False), shown)
        reply = await self.add(ana, port)
        self.assertEqual(reply["code"], "realm-unreachable")
        self.assertIn("no realm's door for peers", reply["message"])

    async def test_plain_tcp(self) -> None:
        one = self.make("realm1")
        stranger = await self.knock(one, None)
        await stranger.lost
        self.assertEqual((stranger.told, self.processed(one)), ([], []))


class Pins(TLSTestCase):
    """`trust = pinned`: what was shown at first has to be shown ever after."""

    def setUp(self) -> None:
        super().setUp()
        self.make("realm1")
        self.make("realm2")

    async def with_new_key(self) -> TLSRealm:
        """realm2 as if somebody else had set it up: another key, the same name."""
        two = self.realms["realm2"]
        await self.close(two)
        for name in ("realm.key", "realm.pem"):
            (two.config.state / name).unlink()
        return await self.reopen(two)

    async def refused(self, ana: Person) -> str:
        info: dict[str, Any] = {}
        while "certificate" not in (info.get("error") or ""):
            await sleep(0.01)
            info = await ana.realm_info("realm2")
        self.assertIn(info["state"], ("down", "connecting"))
        sentence: str = info["error"]
        return sentence

    async def test_another_key(self) -> None:
        """It is refused loudly: `realms` and the log say what happened and what to do. What is sent
        meanwhile waits; with delrealm and addrealm the new one is believed, and everything arrives."""
        ana, budi = await self.pair()
        one, old = self.realms["realm1"], kept(self.realms["realm2"])
        two = await self.with_new_key()
        self.boxes.clear()
        sentence = await self.refused(ana)
        for part in (kept(two).fingerprint, old.fingerprint, "delrealm realm2", "impersonating"):
            self.assertIn(part, sentence)
        self.assertIn(sentence, "\n".join(self.warned))
        self.assertEqual(self.processed(one), [])
        reply = await ana.must("send", to="budi@realm2", text="siapa?")
        self.assertTrue(reply["queued"])
        again = await self.add(ana, two.port)
        self.assertEqual(again["code"], "realm-exists")
        reply = await ana.must("delrealm", realm="realm2")
        self.assertEqual(reply["queued"], 1)
        self.assertEqual((await self.add(ana, two.port))["status"], "OK")
        budi = await self.person(two, "budi")
        self.assertEqual(await budi.gets(1), ["siapa?"])
        # And now the one that was right before is not.
        stranger = await self.knock(one, TLSOptions(old))
        await stranger.lost
        self.assertEqual(stranger.answers, ["certificate-changed"])

    async def test_another_key_comes_in(self) -> None:
        """The same where it is the other that connects: it is told nothing of what is remembered; here
        `realms` says why it is down."""
        two, one = self.realms["realm2"], self.realms["realm1"]
        ana, budi = await self.person(one, "ana"), await self.person(two, "budi")
        reply = await budi.must("addrealm", realm="realm1", host="127.0.0.1", port=one.port)
        await until(lambda: one.directory.peers.by_key["realm2"].link)
        two = await self.with_new_key()
        budi = await self.person(two, "budi")
        sentence = await self.refused(ana)
        self.assertIn(kept(two).fingerprint, sentence)
        info: dict[str, Any] = {}
        while not info.get("error"):
            await sleep(0.01)
            info = await budi.realm_info("realm1")
        self.assertIn("does not trust the certificate", info["error"])
        self.assertNotIn("sha256", info["error"])
        # It is forgotten here, and believed again when it comes the next time.
        await ana.must("delrealm", realm="realm2")
        reply = await budi.must("send", to="ana@realm1", text="saya")
        self.assertEqual(await ana.gets(1), ["saya"], reply)

    async def test_added_by_an_operator(self) -> None:
        """Who came by itself is no longer believed once an operator adds another under that name."""
        two, one = self.realms["realm2"], self.realms["realm1"]
        budi = await self.person(two, "budi")
        await budi.must("addrealm", realm="realm1", host="127.0.0.1", port=one.port)
        old = kept(two).fingerprint
        two = await self.with_new_key()
        added = await one.directory.add("realm2", "127.0.0.1", two.port, True)
        self.assertEqual((added.fingerprint, added.replaced), (kept(two).fingerprint, old))

    async def test_not_added_by_anybody_else(self) -> None:
        two, one = self.realms["realm2"], self.realms["realm1"]
        budi = await self.person(two, "budi")
        await budi.must("addrealm", realm="realm1", host="127.0.0.1", port=one.port)
        two = await self.with_new_key()
        with self.assertRaises(RealmUnreachable):
            await one.directory.add("realm2", "127.0.0.1", two.port, False)

    async def test_rotation(self) -> None:
        """A new key, vouched for by the old one, is accepted and remembered; the old one then is not."""
        ana, budi = await self.pair()
        one, two, old = self.realms["realm1"], self.realms["realm2"], kept(self.realms["realm2"])
        await self.close(two)
        new = rotate(two.config.state, PeersConfig(), datetime.now(UTC))
        two = await self.reopen(two)
        self.assertEqual(kept(two).fingerprint, new.fingerprint)
        budi = await self.person(two, "budi")
        await ana.must("send", to="budi@realm2", text="halo")
        self.assertEqual(await budi.gets(1), ["halo"])
        self.assertEqual([line for line in self.warned if "certificate" in line], [])
        one = await self.reopen(one)
        await until(lambda: one.directory.peers.by_key["realm2"].link)
        self.boxes.clear()
        stranger = await self.knock(one, TLSOptions(old))
        await stranger.lost
        self.assertEqual(stranger.answers, ["certificate-changed"])
        self.assertEqual(
            [box[b"_command"] for box in self.processed(one) if b"_command" in box], []
        )

    async def test_pin_outlives_a_restart(self) -> None:
        await self.pair()
        one, two = self.realms["realm1"], self.realms["realm2"]
        await self.close(one)
        await self.with_new_key()
        one = await self.reopen(one)
        ana = await self.person(one, "ana")
        self.assertIn("delrealm realm2", await self.refused(ana))
        self.assertEqual(two.config.realm, "realm2")


class Fingerprints(TLSTestCase):
    """`[peer realm2] fingerprint`"""

    def known(self, fingerprint: str, address: str | None = None) -> dict[str, PeerConfig]:  # type: ignore[override]
        return {"realm2": PeerConfig(address, fingerprint)}

    async def test_right(self) -> None:
        two = self.make("realm2")
        address = f"127.0.0.1:{two.port}"
        one = self.make("realm1", known=self.known(kept(two).fingerprint, address), trust="known")
        ana = await self.person(one, "ana")
        await self.person(two, "budi")
        await until(lambda: one.directory.peers.by_key["realm2"].link)
        await ana.must("send", to="budi@realm2", text="halo")

    async def test_wrong(self) -> None:
        """It goes before what was remembered, and is not forgotten by delrealm."""
        one, two = self.make("realm1"), self.make("realm2")
        await self.pair()
        right = kept(two).fingerprint
        one = await self.reopen(one, known=self.known("sha256:" + "0" * 64))
        ana = await self.person(one, "ana")
        await until(lambda: self.warned)
        info = await ana.realm_info("realm2")
        self.assertIn("0000", info["error"])
        await ana.must("delrealm", realm="realm2")
        reply = await self.add(ana, two.port)
        self.assertEqual(reply["code"], "certificate-changed")
        self.assertIn(right, reply["message"])
        one = await self.reopen(one, known=self.known(right))
        ana = await self.person(one, "ana")
        self.assertEqual((await self.add(ana, two.port))["status"], "OK")


class Trust(TLSTestCase):
    """Whom the operator lets in."""

    async def test_known(self) -> None:
        """Strangers are told why they stay outside, and it is remembered that they are to be asked again:
        once each has added the other, they are linked."""
        one, two = self.make("realm1", trust="known"), self.make("realm2", trust="known")
        ana, budi = await self.person(one, "ana"), await self.person(two, "budi")
        reply = await self.add(ana, two.port)
        self.assertEqual(reply["code"], "realm-not-allowed")
        self.assertIn("only realms that were added there may", reply["message"])
        self.assertEqual(self.processed(two), [])
        reply = await self.add(budi, one.port, "realm1")
        self.assertEqual(reply["status"], "OK", reply)
        await ana.must("send", to="budi@realm2", text="halo")
        self.assertEqual(await budi.gets(1), ["halo"])

    async def test_known_refuses_strangers(self) -> None:
        one = self.make("realm1", trust="known")
        ana = await self.person(one, "ana")
        stranger = await self.knock(one, TLSOptions(certified("realm2")))
        await stranger.lost
        self.assertEqual(stranger.answers, ["realm-not-allowed"])
        self.assertEqual(self.processed(one), [])
        self.assertEqual(await self.known(ana), [])

    async def test_blocked(self) -> None:
        one = self.make("realm1", block=frozenset({"realm2"}))
        two = self.make("realm2")
        ana, budi = await self.person(one, "ana"), await self.person(two, "budi")
        reply = await self.add(ana, two.port)
        self.assertEqual(reply["code"], "realm-not-allowed")
        self.assertIn("block names it", reply["message"])
        reply = await self.add(budi, one.port, "realm1")
        self.assertEqual(reply["code"], "realm-not-allowed")
        self.assertIn("it is blocked there", reply["message"])
        self.assertEqual(self.processed(one), [])
        self.assertEqual(await self.known(ana), [])

    async def test_blocked_after_all(self) -> None:
        """One that was a peer is not connected to any more, nor let in."""
        self.make("realm1")
        two = self.make("realm2")
        ana, budi = await self.pair()
        await self.add(budi, self.realms["realm1"].port, "realm1")
        one = await self.reopen(self.realms["realm1"], block=frozenset({"realm2"}))
        ana = await self.person(one, "ana")
        self.boxes.clear()
        await until(lambda: len(self.warned) > 2)
        self.assertEqual(self.processed(one), [])
        self.assertIn("blocked", (await ana.realm_info("realm2"))["error"])
        self.assertTrue((await budi.must("send", to="ana@realm1", text="halo"))["queued"])
        self.assertEqual(await ana.texts(), [])
        await self.close(two)

    def issue(self, authority: trustme.CA, name: str) -> dict[str, Any]:
        """A realm's [peers] certificate and private_key, from an authority."""
        issued = authority.issue_cert(name)
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return {"certificate": certificate, "private_key": key}

    async def test_ca(self) -> None:
        """An authority vouches for both; a realm that only vouches for itself stays outside, and so does
        one of another authority."""
        authority, other = trustme.CA(), trustme.CA()
        file = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(str(file))
        one = self.make("realm1", trust="ca", ca_file=file, **self.issue(authority, "realm1"))
        two = self.make("realm2", trust="ca", ca_file=file, **self.issue(authority, "realm2"))
        three = self.make("realm3")
        four = self.make("realm4", **self.issue(other, "realm4"))
        ana, budi = await self.pair()
        await ana.must("send", to="budi@realm2", text="halo")
        self.assertEqual(await budi.gets(1), ["halo"])
        self.boxes.clear()
        for stranger in (three, four):
            name = stranger.config.realm
            reply = await self.add(ana, stranger.port, name)
            self.assertEqual(reply["code"], "bad-certificate", reply)
            self.assertIn("no authority of the ca_file", reply["message"])
            person = await self.person(stranger, "citra")
            reply = await self.add(person, one.port, "realm1")
            self.assertEqual(reply["code"], "realm-not-allowed", reply)
        self.assertEqual(self.processed(one), [])
        self.assertEqual(await self.known(ana), ["realm2"])
        # A new certificate from the same authority needs nothing more.
        await self.close(two)
        two = await self.reopen(two, **self.issue(authority, "realm2"))
        budi = await self.person(two, "budi")
        await ana.must("send", to="budi@realm2", text="lagi")
        self.assertEqual(await budi.gets(1), ["lagi"])


class Unanswering(Protocol):
    """Takes a connection, says `greeting`, and nothing else; hangs up on what it hears if `hangs_up`."""

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


class Broken:
    """A network on which each connection fails with `error`."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.nameResolver = net.nameResolver

    def connectTCP(self, _host: str, _port: int, factory: Any, *_args: Any, **_kw: Any) -> None:
        net.callLater(0, factory.clientConnectionFailed, None, Failure(self.error))


class Sentences(TLSTestCase):
    """What addrealm says when it does not work."""

    async def sentence(self, port: int, host: str = "127.0.0.1", **options: Any) -> str:
        """realm1 has to be unable to reach realm2 there, and to have forgotten all about it."""
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
        """They are told as the operating system tells them."""
        error = net_error.ConnectError(1, "Operation not permitted")
        sentence = await self.sentence(8890, network=Broken(error))
        self.assertIn("Operation not permitted", sentence)

    async def test_timed_out(self) -> None:
        """A host that swallows everything: here a queue of connections that is full."""
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
        """It takes the connection and says nothing."""
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
        """One that talks first, one that answers, and one that hangs up: none of them a realm."""
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
        """It has the right name on its certificate, and then speaks something else."""
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
        """By its own name, and by another one."""
        one = self.make("realm1")
        ana = await self.person(one, "ana")
        reply = await self.add(ana, one.port, "Realm1")
        self.assertEqual(reply["code"], "own-realm")
        reply = await self.add(ana, one.port, "realm2")
        self.assertEqual(reply["code"], "wrong-realm")
        await until(lambda: not one.links)
        self.assertEqual(self.processed(one), [])

    async def test_not_by_anyone(self) -> None:
        one, two = self.make("realm1", add="operators"), self.make("realm2")
        ana, eko = await self.person(one, "ana"), await self.person(one, "eko", operator=False)
        self.assertEqual((await self.add(eko, two.port))["code"], "not-operator")
        self.assertEqual((await self.add(ana, two.port))["status"], "OK")
        self.assertEqual(
            (await eko.ask("delrealm", realm="realm2"))["code"],
            "not-operator",
        )


def waiting(clock: Clock) -> list[Any]:
    """The time limits of links that are not up yet."""
    calls: list[Any] = list(clock.getDelayedCalls())
    timers = [getattr(call.func, "__self__", None) for call in calls]
    return [
        each
        for each in timers
        if isinstance(each, Timer) and getattr(each._call, "__name__", "") == "_time_out"
    ]


class Strangers(TLSTestCase):
    """Who knocks, and then does nothing that a realm does."""

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
        """Not even a handshake."""
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
        stranger = Stranger(talks=False)
        await self.knock(self.one, TLSOptions(certified("realm2")), stranger)
        await until(lambda: self.one.links)
        await self.dropped_in_time(stranger)

    async def test_something_else_than_hello(self) -> None:
        """Nothing is answered before."""
        stranger = Stranger(talks=False)
        await self.knock(self.one, TLSOptions(certified("realm2")), stranger)
        for command, arguments in (
            (wire.PingCommand, {}),
            (wire.PresenceCommand, {"users": ["ana"]}),
            (wire.MembersCommand, {"user": "x", "group": "y", "start": 0}),
            (wire.DeliverCommand, {"parcels": wire.encode_batch([])}),
        ):
            error = await self.assertFailure(
                stranger.callRemote(command, **arguments), wire.Refused
            )
            self.assertIn("not-greeted", str(error))
        await self.dropped_in_time(stranger)

    async def silent(self, count: int, address: str = "127.0.0.1") -> list[Any]:
        """So many connections from an address that say nothing."""
        found = [Unanswering() for _ in range(count)]
        for each in found:
            endpoint = TCP4ClientEndpoint(
                reactor, "127.0.0.1", self.one.port, bindAddress=(address, 0)
            )
            await endpoint.connect(Factory.forProtocol(lambda p=each: p))  # type: ignore[misc]
            self.addCleanup(self.hang_up, each)
        return found

    async def test_too_many(self) -> None:
        """The oldest of those that have not come far makes room for whoever comes."""
        self.patch(pending_links, "MAX_PENDING", 2)
        silent = await self.silent(3)
        await silent[0].lost
        self.assertFalse(silent[1].lost.called or silent[2].lost.called)
        stranger = await self.knock(self.one, TLSOptions(certified("realm2")), Stranger())
        await until(lambda: stranger.told)
        await silent[1].lost
        self.clock.advance(HANDSHAKE_TIME)
        await silent[2].lost

    async def test_busiest_source(self) -> None:
        """An address that holds many connections loses its own, not another's."""
        self.patch(pending_links, "MAX_PENDING", 4)
        other = await self.silent(1, "127.0.0.3")
        many = await self.silent(8, "127.0.0.2")
        for each in many[:5]:
            await each.lost
        self.assertFalse(other[0].lost.called)
        self.assertEqual([each.lost.called for each in many[5:]], [False] * 3)

    async def test_held_and_opened_again(self) -> None:
        """An added realm links at once while 200 connections from its own address are held, and opened again
        as soon as they are dropped."""
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
        """Who has not come far enough to be known does not outlive the realm."""
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
        """A realm that stops while it connects to another leaves nothing behind."""
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
