"""Two realms over a network that fails: what was acknowledged arrives, once and in order."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Coroutine
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from chatd.federation.amp import link as link_module
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.link_manager import LinkManager
from chatd.federation.amp.link_state import LinkState
from chatd.federation.amp.wire import Introduction
from chatd.federation.file_receive import FileReceiver
from chatd.files.folder import Uploads
from tests.support.common import run, sleep
from tests.support.peering import PeeringTestCase, Person, until
from tests.support.proxy import BACK, THERE, Proxy

net: Any = reactor


class ProxyTestCase(PeeringTestCase):
    """realm1 reaches realm2 through `self.proxy`; `ana` and `budi` live in them."""

    async def begin(self) -> None:
        one, two = self.make("realm1"), self.make("realm2")
        self.proxy = Proxy(two.port)
        self.addCleanup(self.proxy.stop)
        self.ana, self.budi = await self.pair(port=self.proxy.start())
        self.one, self.two = one, two

    def is_linked(self) -> bool:
        """Both ends agree on it."""
        return all(
            any(link.is_up for link in realm.links) for realm in (self.one, self.two)
        ) and bool(self.proxy.passages)

    async def linked(self) -> None:
        await until(self.is_linked)

    async def exchange(self, count: int, size: int = 0) -> Deferred[Any]:
        """Each sends the other so many messages, all at once; fires when all are acknowledged."""
        filling = "x" * size
        load = []
        for person, to in ((self.ana, "budi@realm2"), (self.budi, "ana@realm1")):
            requests = [
                {"command": "send", "to": to, "text": f"{number} {filling}"}
                for number in range(count)
            ]
            load.append(run(self.acknowledged(person, requests)))
        return gatherResults(load, consumeErrors=True)

    async def acknowledged(self, person: Person, requests: list[dict[str, Any]]) -> None:
        replies = await person.all(requests)
        self.assertEqual({reply["status"] for reply in replies}, {"OK"})

    async def all_there(self, count: int) -> None:
        """Each has all of the other's messages, once and in order."""
        for person in (self.ana, self.budi):
            found = [text.split()[0] for text in await person.gets(count)]
            self.assertEqual(found, [str(number) for number in range(count)])
        for person in (self.ana, self.budi):
            await self.nothing_queued(person)

    async def nothing_queued(self, person: Person) -> None:
        name = "realm2" if person is self.ana else "realm1"
        for _ in range(200):
            if (await person.realm_info(name))["queued"] == 0:
                return
            await sleep(0.01)
        self.fail(f"something still waits for {name}")


class Cuts(ProxyTestCase):
    async def test_in_the_middle_of_a_box(self) -> None:
        """Under load both ways, the connection is cut in a TLS record, of one direction or the other, over
        and over."""
        await self.begin()
        for turn, direction in enumerate((THERE, BACK) * 3):
            await self.linked()
            # An answer is short; a batch is long.
            self.proxy.cut_in_record(direction, longer=(200, 4000)[turn % 2])
            load = await self.exchange(400, size=100)
            await load
            await self.all_there(400)
        self.assertGreaterEqual(self.proxy.cuts, 4)

    async def test_at_any_byte(self) -> None:
        """Wherever it is: in the handshake, in the greeting, in a batch, in an answer."""
        await self.begin()
        chance = random.Random(3)  # noqa: S311 - repeatable, not secret
        rounds = 12
        load: Deferred[Any]
        for turn in range(rounds):
            await self.linked()
            for passage in self.proxy.passages:
                passage.pipes[THERE].left = int(10 ** chance.uniform(0, 4.5))
                passage.pipes[BACK].left = int(10 ** chance.uniform(0, 4.5))
            load = await self.exchange(150, size=40)
            if turn % 3 == 0:
                # The next one does not even come up.
                await until(lambda: not self.one.links)
                await until(lambda: self.proxy.passages)
                self.proxy.cut_after(int(10 ** chance.uniform(0, 3.3)), BACK)
            await load
        for passage in self.proxy.passages:
            for pipe in passage.pipes.values():
                pipe.left = None
        for person in (self.ana, self.budi):
            found = [text.split()[0] for text in await person.gets(150 * rounds)]
            self.assertEqual(found, [str(number) for number in range(150)] * rounds)
        self.assertGreaterEqual(self.proxy.cuts, rounds)

    async def test_with_restarts(self) -> None:
        """Of either side, on what it left, while the connection is cut as well."""
        await self.begin()
        sent = {"ana": 0, "budi": 0}
        for turn in range(4):
            load = await self.exchange(300)
            await sleep(0.02)
            self.proxy.cut()
            await load
            for name in sent:
                sent[name] += 300
            name = ("realm2", "realm1")[turn % 2]
            realm = await self.reopen(self.realms[name])
            if name == "realm1":
                self.one, self.ana = realm, await self.person(realm, "ana")
            else:
                self.two, self.budi = realm, await self.person(realm, "budi")
        for person in (self.ana, self.budi):
            found = await person.gets(1200)
            self.assertEqual(
                [text.strip() for text in found], [str(number) for number in range(300)] * 4
            )

    async def test_both_dial(self) -> None:
        """Each has added the other, and both dial at once after each cut: one link comes of it."""
        await self.begin()
        other = Proxy(self.one.port)
        self.addCleanup(other.stop)
        port = other.start()
        await self.budi.must("addrealm", realm="realm1", host="127.0.0.1", port=port)
        for _ in range(6):
            load = await self.exchange(150)
            self.proxy.cut()
            other.cut()
            await load
            await self.all_there(150)
            await until(
                lambda: all(
                    len([link for link in realm.links if link.is_up]) == 1
                    for realm in (self.one, self.two)
                )
            )
        await until(lambda: len(self.proxy.passages) + len(other.passages) == 1)

    async def test_refused_for_a_while(self) -> None:
        """The other is not there at all; then it is."""
        await self.begin()
        self.proxy.refusing = True
        self.proxy.cut()
        await until(lambda: not self.one.links and not self.two.links)
        load = await self.exchange(200)
        await load
        self.assertEqual(await self.budi.texts(), [])
        info = await self.ana.realm_info("realm2")
        self.assertEqual((info["state"] == "up", info["queued"]), (False, 200), info)
        self.assertIsNotNone(info["oldest"])
        self.assertIn("realm2 was not reached", info["error"])
        self.proxy.refusing = False
        await self.all_there(200)
        info = await self.ana.realm_info("realm2")
        self.assertEqual((info["state"], info["error"], info["next_try"]), ("up", None, None))


class Beginnings(ProxyTestCase):
    async def test_up_sooner_than_who_dialled(self) -> None:
        """Who was dialled is up first, and may send at once: what comes while the other still writes down
        whom it has met, waits. Refused, it would be overtaken by what comes a moment later."""
        await self.begin()
        up = LinkManager.accept

        async def slowly(directory: LinkManager, link: PeerLink, other: Introduction) -> None:
            await up(directory, link, other)
            if link.dialled:
                await sleep(0.1)

        self.patch(LinkManager, "accept", slowly)
        self.proxy.refusing = True
        self.proxy.cut()
        await until(lambda: not self.one.links and not self.two.links)
        await (await self.exchange(600, size=500))
        self.proxy.refusing = False
        await self.all_there(600)
        self.assertEqual(self.proxy.met, 2)

    async def test_lost_meanwhile(self) -> None:
        """The same, and the link is cut while they wait."""
        await self.begin()
        up = LinkManager.accept

        async def never(directory: LinkManager, link: PeerLink, other: Introduction) -> None:
            await up(directory, link, other)
            if link.dialled and self.proxy.met < 4:
                await until(lambda: link.link_state is LinkState.LOST)

        self.patch(LinkManager, "accept", never)
        self.proxy.cut()
        load = await self.exchange(200, size=500)
        for met in (2, 3):
            await until(
                lambda met=met: self.proxy.met == met and any(link.is_up for link in self.two.links)  # type: ignore[misc]
            )
            await sleep(0.05)
            self.proxy.cut()
        await load
        await self.all_there(200)


class Silence(ProxyTestCase):
    """Nobody says that the connection is no good any more."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(link_module, "ANSWER_TIME", 0.4)
        self.patch(link_module, "QUIET_TIME", 0.3)
        self.patch(link_module, "HANDSHAKE_TIME", 0.5)

    async def test_acknowledgements_are_swallowed(self) -> None:
        """All that realm1 sends comes to realm2, and nothing comes back: it is sent again on another link,
        and not stored again."""
        await self.begin()
        self.proxy.swallowing.add(BACK)
        await self.acknowledged(
            self.ana, [{"command": "send", "to": "budi@realm2", "text": str(n)} for n in range(200)]
        )
        self.assertEqual(await self.budi.gets(200), [str(n) for n in range(200)])
        self.proxy.swallowing.clear()
        await until(lambda: self.proxy.met > 1)
        await self.nothing_queued(self.ana)
        self.assertEqual(await self.budi.texts(), [])

    async def half_open(self, direction: str) -> None:
        """Nothing is under way, and that direction is dead: both ends find out, and link again."""
        await self.begin()
        (old,) = self.proxy.passages
        self.proxy.swallowing.add(direction)
        await old.gone
        self.proxy.swallowing.clear()
        await (await self.exchange(50))
        await self.all_there(50)

    async def test_half_open_there(self) -> None:
        await self.half_open(THERE)

    async def test_half_open_back(self) -> None:
        await self.half_open(BACK)

    async def test_stalled(self) -> None:
        """Nobody reads any more, under load, and the buffers fill. Those who send are told `queued`; when
        it goes on, all arrives; and if it does not, all arrives over the next link."""
        await self.begin()
        for goes_on in (True, False):
            self.proxy.stall()
            load = await self.exchange(200, size=2000)
            if goes_on:
                await sleep(0.1)
            else:
                await load
                self.assertFalse(self.is_linked())
            self.proxy.go_on()
            await load
            await self.all_there(200)


class Slowness(ProxyTestCase):
    async def test_delays(self) -> None:
        """50 ms there and 50 ms back: many batches are under way at once, so the load takes far less than
        a round trip for each."""
        await self.begin()
        self.proxy.delay = 0.05
        began = net.seconds()
        load = await self.exchange(1500, size=200)
        await load
        await self.all_there(1500)
        self.assertLess(net.seconds() - began, 15)
        self.assertEqual(self.proxy.met, 1)

    async def test_delays_and_cuts(self) -> None:
        await self.begin()
        self.proxy.delay = 0.02
        load = await self.exchange(1500)
        for _ in range(5):
            await self.linked()
            await sleep(0.05)
            self.proxy.cut()
            await until(lambda: not self.proxy.passages)
        await load
        await self.all_there(1500)


class Files(ProxyTestCase):
    async def test_through_cuts(self) -> None:
        """A file of some MiB arrives whole; after each cut it goes on where it was, so that little more
        than its size crosses. Messages to others do not wait for it."""
        await self.begin()
        citra = await self.person(self.two, "citra")
        data = random.Random(1).randbytes(4 << 20)  # noqa: S311 - repeatable, not secret
        self.proxy.delay = 0.001
        sent = run(self.ana.send_file("budi@realm2", "gol.bin", data))
        passed = cuts = 0
        while cuts < 4:
            await self.linked()
            await until(lambda: self.bytes_there() > (500 << 10))
            passed += self.bytes_there()
            self.proxy.cut()
            cuts += 1
            await until(lambda: not self.proxy.passages)
        await self.ana.must("send", to="citra@realm2", text="mana?")
        self.assertEqual(await citra.gets(1), ["mana?"])
        reply = await sent
        self.assertEqual(reply["status"], "OK")
        await self.ana.must("send", to="budi@realm2", text="sudah?")
        (first, second) = await self.messages(self.budi, 2)
        self.assertEqual(second["text"], "sudah?")
        passed += self.bytes_there()
        self.assertLess(passed, len(data) * 1.5)
        self.assertEqual(first["file"]["sha256"], hashlib.sha256(data).hexdigest())
        (stored,) = [
            path for path in (self.two.config.state / "uploads").iterdir() if path.is_file()
        ]
        self.assertEqual(stored.read_bytes(), data)
        self.assertEqual(list((self.two.config.state / "uploads" / "incoming").iterdir()), [])
        await self.nothing_queued(self.ana)

    async def file_arrives(self) -> None:
        data = random.Random(2).randbytes(1 << 20)  # noqa: S311 - repeatable, not secret
        reply = await self.ana.send_file("budi@realm2", "gol.bin", data)
        self.assertEqual(reply["status"], "OK")
        await self.ana.must("send", to="budi@realm2", text="sudah?")
        (first, second) = await self.messages(self.budi, 2)
        self.assertEqual(first["file"]["sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual(second["text"], "sudah?")
        await self.nothing_queued(self.ana)

    async def test_offer_that_nobody_answers(self) -> None:
        """Then the link is of no use, though messages still cross: all begins anew on another one. Nothing
        that comes after the file is held up for ever."""
        await self.begin()
        self.patch(link_module, "ANSWER_TIME", 0.3)
        offer = FileReceiver.offer
        asked: list[int] = []

        async def silent(arrivals: FileReceiver, realm: str, number: int, *args: Any) -> int:
            asked.append(number)
            if len(asked) == 1:
                await Deferred()
            return await offer(arrivals, realm, number, *args)

        self.patch(FileReceiver, "offer", silent)
        await self.file_arrives()
        self.assertEqual((len(asked), self.proxy.met), (2, 2))

    async def test_lost_while_a_file_is_opened(self) -> None:
        """What is there of a file is still being read back when the link is lost, and on the next one it is
        offered again: the first offer does not keep it for itself."""
        await self.begin()
        resume = Uploads.resume
        opened: list[Any] = []

        def slowly(uploads: Uploads, *args: Any) -> Deferred[Any]:
            opening = resume(uploads, *args)
            opened.append(opening)
            if len(opened) == 1:
                self.proxy.cut()
                opening.addCallback(self.later, until(lambda: len(opened) == 2))
            return opening

        self.patch(Uploads, "resume", slowly)
        began = net.seconds()
        await self.file_arrives()
        self.assertLess(net.seconds() - began, 5)
        self.assertEqual(list((self.two.config.state / "uploads" / "incoming").iterdir()), [])

    async def test_lost_while_a_file_is_opened_and_never_offered_again(self) -> None:
        """What nobody goes on with is not in the way of others."""
        await self.begin()
        resume = Uploads.resume

        def slowly(uploads: Uploads, *args: Any) -> Deferred[Any]:
            self.proxy.refusing = True
            self.proxy.cut()
            gone = until(lambda: not self.two.links)
            return resume(uploads, *args).addCallback(self.later, gone)

        self.patch(Uploads, "resume", slowly)
        await self.ana.send_file("budi@realm2", "gol.bin", b"x" * 100_000)
        await until(lambda: not self.two.links)
        await sleep(0.1)
        self.assertEqual(self.two.federation.files._arriving, {})

    def later(self, result: Any, when: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """The same result, once that has come."""
        return run(when).addCallback(lambda _: result)

    def bytes_there(self) -> int:
        return sum(passage.pipes[THERE].passed for passage in self.proxy.passages)

    async def messages(self, person: Person, count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        end = net.seconds() + 20
        while len(found) < count:
            if net.seconds() > end:
                self.fail(f"{found} came")
            await sleep(0.02)
            found += (await person.must("inbox"))["messages"]
        return found


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
