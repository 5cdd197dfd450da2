"""Realms that nobody has added are looked up when somebody names them."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectingCancelledError

from chatd.base.errors import RealmNotAllowed, StorageFailed
from chatd.federation.amp import discovery, unconfirmed
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.lookup import DialPlace, NotFound
from chatd.federation.amp.peers import Peer
from chatd.federation.amp.place_finder import PER_HOUR, PlaceFinder
from chatd.federation.answer_time import ANSWER_TIME
from chatd.store.peers import all_peers
from tests.support.common import sleep
from tests.support.dns import Zone
from tests.support.network import NetworkTestCase
from tests.support.peering import PeeringTestCase, Person, TLSRealm, until
from tests.support.ports import free_port
from tests.support.public_authority import PublicAuthority

ONE, TWO, THREE = "satu.example.org", "kampus.example.net", "tiga.example.com"


class DiscoveryTestCase(PeeringTestCase):
    """Realms with certificates of an authority of the test, and name servers of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(sleep, ANSWER_TIME)  # answers to realms that are closed
        self.zone = Zone()
        self.authority = PublicAuthority()
        self.file = self.authority.write_root(self.folder / "roots.pem")

    def found(self, name: str, **options: Any) -> TLSRealm:
        """A realm that is in the DNS and has a certificate, unless told otherwise."""
        if "certificate" not in options:
            options |= self.authority.write(self.folder, name)
        options = {
            "trust": "web",
            "ca_file": self.file,
            "zone": self.zone,
            "strangers": "requests",
            **options,
        }
        realm = self.make(name, **options)
        self.zone.host(f"chat.{name}", "127.0.0.1")
        self.zone.realm(name, f"chat.{name}", realm.port)
        return realm


class Errors(DiscoveryTestCase):
    """What the sender is told if the realm is not found, or may not be looked up."""

    async def refused(self, to: str, code: str, **options: Any) -> str:
        """The sentence with which a message is refused."""
        if not hasattr(self, "ana"):
            self.ana = await self.person(self.found(ONE, **options), "ana", operator=False)
        reply = await self.ana.ask("send", to=to, text="halo")
        self.assertEqual(reply["code"], code, reply)
        self.assertEqual(await self.known(self.ana), [])
        return str(reply["message"])

    async def known(self, person: Person) -> list[str]:
        return [each["realm"] for each in (await person.must("realms"))["realms"]]

    async def test_not_found(self) -> None:
        """Nothing is stored, and the answer is remembered."""
        for _ in range(3):
            text = await self.refused(f"budi@{TWO}", "realm-not-found")
            self.assertIn("check its spelling, or ask an operator", text)
        asked = [name for name, kind in self.zone.asked if kind == "SRV"]
        self.assertEqual(asked, [f"_chatd._tcp.{TWO}"])
        self.assertEqual((await self.ana.must("conversations"))["conversations"], [])

    async def test_no_public_name(self) -> None:
        for realm in ("realm2", "127.0.0.1", "x.local", "a_b.example.net"):
            await self.refused(f"budi@{realm}", "unknown-realm")
        self.assertEqual(self.zone.asked, [])

    async def test_switched_off(self) -> None:
        await self.refused(f"budi@{TWO}", "unknown-realm", discover=False)
        self.assertEqual(self.zone.asked, [])

    async def test_known_only(self) -> None:
        await self.refused(f"budi@{TWO}", "unknown-realm", trust="known")
        self.assertEqual(self.zone.asked, [])

    async def test_denied(self) -> None:
        lists = {"discover_allow": ("*.example.net",), "discover_deny": ("kampus.*",)}
        for name in (TWO, THREE):
            text = await self.refused(f"budi@{name}", "lookup-denied", **lists)
            self.assertIn("ask an operator", text)
        self.assertEqual(self.zone.asked, [])
        await self.refused("budi@other.example.net", "realm-not-found")

    async def test_blocked(self) -> None:
        await self.refused(f"budi@{TWO}", "realm-not-allowed", block=frozenset({TWO}))
        self.assertEqual(self.zone.asked, [])

    async def test_private_address(self) -> None:
        """The realm is there, at an address that may not be dialled."""
        two = self.found(TWO)
        text = await self.refused(f"budi@{TWO}", "realm-not-found", private=False)
        self.assertIn("no address that may be dialled", text)
        self.assertEqual(two.links, [])

    async def test_other_certificate(self) -> None:
        """What is found has no certificate of a public authority for that name."""
        self.found(TWO, **PublicAuthority().write(self.folder, TWO))
        text = await self.refused(f"budi@{TWO}", "bad-certificate")
        self.assertIn("no public authority has issued it", text)
        before = len(self.zone.asked)
        await self.refused(f"budi@{TWO}", "bad-certificate")
        self.assertEqual(len(self.zone.asked), before)

    async def test_other_realm(self) -> None:
        three = self.found(THREE)
        self.zone.realm(TWO, f"chat.{THREE}", three.port)
        await self.refused(f"budi@{TWO}", "wrong-realm")

    async def test_looks_alike(self) -> None:
        """A name that resembles that of a known realm is not looked up."""
        await self.refused("budi@satu.exampIe.org", "realm-not-found")
        before = len(self.zone.asked)
        reply = await self.ana.ask("send", to="budi@satu.examp1e.org", text="halo")
        self.assertEqual(reply["code"], "realm-not-allowed", reply)
        self.assertEqual(len(self.zone.asked), before)

    async def test_too_many(self) -> None:
        """One account can't look up any number of names; another one still can."""
        for at in range(20):
            await self.refused(f"budi@r{at}.example.net", "realm-not-found")
        text = await self.refused("budi@more.example.net", "too-many-lookups")
        self.assertIn("try again in 3 min", text)
        await self.refused("budi@r0.example.net", "realm-not-found")
        self.ana = await self.person(self.realms[ONE], "lina", operator=False)
        await self.refused("budi@more.example.net", "realm-not-found")

    async def test_list(self) -> None:
        """Those that are known get the message; each of the others has its reason."""
        ana = await self.person(self.found(ONE), "ana", operator=False)
        lina = await self.person(self.realms[ONE], "lina", operator=False)
        reply = await ana.must("send", to=["lina", f"x@{TWO}", "y@realm2"], text="halo")
        self.assertEqual(reply["unknown"], [f"x@{TWO}", "y@realm2"], reply)
        self.assertEqual(await lina.gets(1), ["halo"])


class FirstMessages(DiscoveryTestCase):
    async def test_first_message(self) -> None:
        """A message to a realm that nobody knows arrives, as a request, and so does the answer."""
        ana = await self.person(self.found(ONE), "ana", operator=False)
        budi = await self.person(self.found(TWO), "budi", operator=False)
        reply = await ana.must("send", to=f"budi@{TWO}", text="halo")
        self.assertEqual(reply["state"], "requested", reply)
        await budi.must("accept", user=f"ana@{ONE}")
        reply = await budi.must("send", to=f"ana@{ONE}", text="hai")
        self.assertEqual(reply["state"], "delivered")
        self.assertEqual(await ana.gets(1), ["hai"])

    async def test_nothing_answers(self) -> None:
        """A realm that is found and does not answer gets the message once it does."""
        two = self.found(TWO)
        ana = await self.person(self.found(ONE), "ana", operator=False)
        await self.person(two, "budi")
        await self.close(two)
        reply = await ana.must("send", to=f"budi@{TWO}", text="halo")
        self.assertEqual(reply["state"], "queued", reply)
        two = await self.reopen(two)
        budi = await self.person(two, "budi", operator=False)

        async def requests() -> list[Any]:
            return list((await budi.must("requests"))["requests"])

        while not await requests():
            await sleep(0.02)

    async def test_queued_over_a_restart(self) -> None:
        """What waits for a realm that was found is sent after a restart, too."""
        two = self.found(TWO)
        one = self.found(ONE)
        ana = await self.person(one, "ana", operator=False)
        await self.person(two, "budi")
        await self.close(two)
        await ana.must("send", to=f"budi@{TWO}", text="halo")
        await self.close(one)
        two = await self.reopen(two)
        await self.reopen(one)
        await until(lambda: two.directory.peers.get(ONE))

    async def test_other_commands(self) -> None:
        """Contacts, groups, invitations and files look realms up, too."""
        two = self.found(TWO)
        budi = await self.person(two, "budi")
        await budi.must("addgroup", group="futsal")
        for at, (command, arguments) in enumerate(
            (
                ("addcontact", {"user": f"budi@{TWO}"}),
                ("joingroup", {"group": f"futsal@{TWO}"}),
                ("sendgroup", {"group": f"futsal@{TWO}", "text": "halo"}),
            )
        ):
            name = f"r{at}.example.org"
            person = await self.person(self.found(name), "ana", operator=False)
            reply = await person.ask(command, **arguments)
            self.assertNotEqual(reply.get("code"), "unknown-realm", reply)
            realm = self.realms[name]
            self.assertIsNotNone(realm.directory.peers.get(TWO), command)

    async def test_invitation(self) -> None:
        self.found(TWO)
        one = self.found(ONE)
        ana = await self.person(one, "ana", operator=False)
        await ana.must("addgroup", group="futsal")
        await ana.must("invite", group="futsal", users=[f"budi@{TWO}"])
        reply = await ana.ask("invite", group="futsal", users=[f"budi@{THREE}"])
        self.assertEqual(reply["code"], "realm-not-found", reply)

    async def test_pinned(self) -> None:
        """Realms that remember certificates find each other, too."""
        one = self.make(ONE, zone=self.zone, strangers="requests")
        two = self.make(TWO, zone=self.zone, strangers="requests")
        self.zone.host("chat.example.net", "127.0.0.1")
        self.zone.realm(TWO, "chat.example.net", two.port)
        ana = await self.person(one, "ana", operator=False)
        await self.person(two, "budi")
        reply = await ana.must("send", to=f"budi@{TWO}", text="halo")
        self.assertEqual(reply["state"], "requested", reply)
        self.assertFalse(one.directory.is_added(TWO))

    async def test_second_place(self) -> None:
        """The next host is dialled if the first one is another realm."""
        two, three = self.found(TWO), self.found(THREE)
        self.zone.records.pop(f"_chatd._tcp.{TWO}")
        self.zone.realm(TWO, f"chat.{TWO}", three.port, priority=1)
        self.zone.realm(TWO, f"chat.{TWO}", two.port, priority=2)
        ana = await self.person(self.found(ONE), "ana", operator=False)
        await self.person(two, "budi")
        reply = await ana.must("send", to=f"budi@{TWO}", text="halo")
        self.assertEqual(reply["state"], "requested", reply)

    async def test_too_many_that_do_not_answer(self) -> None:
        """Names of realms that never link can't take all places of realms that nobody has added."""
        self.patch(discovery, "MAX_NEVER_LINKED", 2)
        ana = await self.person(self.found(ONE), "ana", operator=False)
        for at in range(3):
            self.zone.host(f"h{at}.example.net", "127.0.0.1")
            self.zone.realm(f"r{at}.example.net", f"h{at}.example.net", free_port())
            reply = await ana.ask("send", to=f"budi@r{at}.example.net", text="halo")
            self.assertEqual(reply.get("code"), "realm-unreachable" if at == 2 else None, reply)


class Bounds(NetworkTestCase):
    """What other realms can cause, and what remains of realms that were found."""

    def setUp(self) -> None:
        super().setUp()
        self.one = self.network.server("realm1", expire=120)
        self.asked: list[str] = []
        self.dialer = self.one.realm.directory.manager.dialer
        self.dialer.finder = PlaceFinder(self.one.realm.clock, self.find)

    def find(self, realm: str) -> Deferred[list[DialPlace]]:
        self.asked.append(realm)
        return fail(NotFound("there is nothing"))

    def known(self, name: str, source: str = "") -> Peer:
        self.one.knows(name)
        peer = self.one.realm.directory.peers.by_key[name]
        peer.source = source
        return peer

    def test_names_that_realms_choose(self) -> None:
        """Realms that link from one address, under any names, cause as many lookups as one account."""
        for at in range(30):
            self.dialer.want(self.known(f"r{at}.example.net", "192.0.2.7"))
        self.network.advance(60)
        self.assertEqual(len(self.asked), PER_HOUR)
        self.dialer.want(self.known("other.example.net", "192.0.2.8"))
        self.network.advance(1)
        self.assertEqual(self.asked[PER_HOUR:], ["other.example.net"])

    def test_failures_are_remembered(self) -> None:
        """A realm for which something waits is looked up once in ten minutes."""
        self.dialer.want(self.known(TWO))
        self.network.advance(1000)
        self.assertEqual(len(self.asked), 2)

    def test_nothing_waits(self) -> None:
        """Realms that have linked and want nothing are not looked up."""
        peer = self.known(TWO)
        self.dialer.soon(peer)
        self.network.advance(600)
        self.assertEqual(self.asked, [])

    def test_stopped(self) -> None:
        """When the realm stops, the dial under way is given up, and the next place is not dialled."""
        dials: list[object] = []

        def dial(*_args: object, **_options: object) -> Deferred[PeerLink]:
            refused = ConnectingCancelledError(IPv4Address("TCP", "192.0.2.1", 8890))
            dialling: Deferred[PeerLink] = Deferred(lambda each: each.errback(refused))
            dials.append(dialling)
            return dialling

        self.patch(self.dialer._endpoint, "dial", dial)
        places = [DialPlace("192.0.2.1", 8890), DialPlace("192.0.2.2", 8890)]
        reached = self.dialer.reach(TWO, places)
        self.dialer.stop()
        self.failureResultOf(reached, ConnectingCancelledError)
        self.assertEqual(len(dials), 1)

    def test_forgotten(self) -> None:
        """A realm that has never linked is forgotten once nothing waits for it."""
        self.patch(unconfirmed, "NEW", 60_000)
        self.patch(unconfirmed, "CHECK_EVERY", 60.0)
        self.known(TWO)
        self.one.person("ana").sends(f"budi@{TWO}", "halo")
        self.network.advance(100)
        self.assertIn(TWO, self.one.realm.directory.peers.by_key)
        self.network.advance(200)
        self.assertNotIn(TWO, self.one.realm.directory.peers.by_key)

    def test_full_disk(self) -> None:
        """A realm that can't be written is not known either, so it is looked up again the next time."""
        directory = self.one.realm.directory
        self.dialer.finder = PlaceFinder(self.one.realm.clock, self.found)
        self.patch(self.dialer._endpoint, "dial", lambda *_args, **_options: fail(ConnectError()))
        self.patch(directory.peers, "remember", lambda *_: fail(StorageFailed()))
        self.failureResultOf(directory.look_up(TWO, 1), StorageFailed)
        self.assertNotIn(TWO, directory.peers.by_key)

    def test_no_answer(self) -> None:
        """Somebody waits for a realm that was found only for a while. It is a peer then, and is not looked up
        again."""
        self.dialer.finder = PlaceFinder(self.one.realm.clock, self.found)
        dialling: Deferred[PeerLink] = Deferred()
        self.patch(self.dialer._endpoint, "dial", lambda *_args, **_options: dialling)
        directory = self.one.realm.directory
        looking = directory.look_up(TWO, 1)
        self.assertNoResult(looking)
        self.network.advance(discovery.PATIENCE + 1)
        self.successResultOf(looking)
        self.assertIn(TWO, directory.peers.by_key)
        self.successResultOf(directory.look_up(TWO, 1))
        self.assertEqual(self.asked, [TWO])

    def test_links_meanwhile(self) -> None:
        """A realm that has linked while it was looked up is not dialled."""
        finding: Deferred[list[DialPlace]] = Deferred()
        self.dialer.finder = PlaceFinder(self.one.realm.clock, lambda _realm: finding)
        looking = self.one.realm.directory.look_up(TWO, 1)
        self.known(TWO)
        finding.callback([DialPlace("192.0.2.1", 8890)])
        self.network.settle()
        self.successResultOf(looking)
        self.assertEqual(self.network.dialled, [])

    def found(self, realm: str) -> Deferred[list[DialPlace]]:
        self.asked.append(realm)
        return succeed([DialPlace("192.0.2.1", 8890)])

    def test_not_written(self) -> None:
        """What could not be written about a realm is written the next time."""
        peers = self.one.realm.directory.peers
        self.known(TWO)
        peer = peers.find(TWO)
        self.one.realm.database.full = True
        with self.assertRaises(StorageFailed):
            self.network.result(peers.remember(peer, peers.linked(peer.known)))
        self.one.realm.database.full = False
        self.network.result(peers.remember(peer, peers.linked(peer.known)))
        [row] = self.one.realm.database.now(all_peers)
        self.assertEqual(row, peer.known)
        self.assertIsNotNone(row.linked_at)

    def test_no_room(self) -> None:
        """A realm that was just found does not make room for another one: a message to it follows."""
        self.patch(unconfirmed, "MAX_UNCONFIRMED", 3)
        self.patch(unconfirmed, "NEW", 60_000)
        for name in ("lama.example.org", "baru.example.org", TWO):
            self.known(name)
        making = self.one.realm.directory._discovery._unconfirmed.make_room
        with self.assertRaises(RealmNotAllowed):
            self.network.result(Deferred.fromCoroutine(making(THREE)))
        self.network.advance(61)
        self.network.result(Deferred.fromCoroutine(making(THREE)))
        self.assertEqual(len(self.one.peers()), 2)

    def test_kept_until_the_first_message(self) -> None:
        """A realm that was just found is not forgotten before the message to it is stored."""
        self.patch(unconfirmed, "NEW", 600_000)
        self.patch(unconfirmed, "CHECK_EVERY", 60.0)
        self.known(TWO)
        self.network.advance(300)
        self.assertIn(TWO, self.one.realm.directory.peers.by_key)
        self.network.advance(600)
        self.assertNotIn(TWO, self.one.realm.directory.peers.by_key)
