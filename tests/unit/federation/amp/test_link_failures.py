"""Two realms over a network that fails: acknowledged messages arrive once and in order."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from chatd.federation.amp import link as link_module
from chatd.federation.amp import link_sender
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.link_manager import LinkManager
from chatd.federation.amp.link_state import LinkState
from chatd.federation.amp.wire import Introduction
from tests import PROFILE
from tests.support.common import run, sleep
from tests.support.order import long_test
from tests.support.peering import until
from tests.support.proxied import ProxyTestCase
from tests.support.proxy import BACK, THERE, Proxy

net: Any = reactor

#: Messages that each side sends at once.
LOAD = 600 if PROFILE == "thorough" else 150


class Cuts(ProxyTestCase):
    async def test_in_the_middle_of_a_box(self) -> None:
        """Under load in both directions, the connection is cut again and again inside a TLS record."""
        await self.begin()
        for turn, direction in enumerate((THERE, BACK) * 3):
            await self.linked()
            # An answer is short; a batch is long.
            self.proxy.cut_in_record(direction, longer=(200, 4000)[turn % 2])
            load = await self.exchange(LOAD, size=200)
            await load
            await self.all_there(LOAD)
        self.assertGreaterEqual(self.proxy.cuts, 4)

    async def test_at_any_byte(self) -> None:
        """At any byte: in the handshake, the greeting, a batch or an answer."""
        await self.begin()
        chance = random.Random(3)  # noqa: S311 - repeatable, not secret
        rounds = 6
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
        """Either realm restarts on its state while the connection is cut too."""
        await self.begin()
        sent = {"ana": 0, "budi": 0}
        for turn in range(4):
            load = await self.exchange(LOAD)
            await sleep(0.02)
            self.proxy.cut()
            await load
            for name in sent:
                sent[name] += LOAD
            name = ("realm2", "realm1")[turn % 2]
            realm = await self.reopen(self.realms[name])
            if name == "realm1":
                self.one, self.ana = realm, await self.person(realm, "ana")
            else:
                self.two, self.budi = realm, await self.person(realm, "budi")
        for person in (self.ana, self.budi):
            found = await person.gets(4 * LOAD)
            self.assertEqual(
                [text.strip() for text in found], [str(number) for number in range(LOAD)] * 4
            )

    async def test_both_dial(self) -> None:
        """Each has added the other, and both dial at once after each cut: one link results."""
        await self.begin()
        other = Proxy(self.one.port)
        self.addCleanup(other.stop)
        port = other.start()
        await self.budi.must("addrealm", realm="realm1", host="127.0.0.1", port=port)
        for _ in range(3):
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
        """The other realm is down at first."""
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
        """The side that was dialled is up first and may send at once. Requests that arrive while the other
        side still stores the peer wait; refused, they would be overtaken by later ones."""
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
        await (await self.exchange(LOAD, size=1000))
        self.proxy.refusing = False
        await self.all_there(LOAD)
        self.assertEqual(self.proxy.met, 2)

    async def test_lost_meanwhile(self) -> None:
        """As above, and the link is cut while the requests wait."""
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
    """A connection that is dead without an error.

    The time limits are short only then, so that a busy machine does not pass for a dead connection.
    """

    def limit(self, answer: float, quiet: float, handshake: float) -> None:
        self.patch(link_module, "ANSWER_TIME", answer)
        self.patch(link_module, "QUIET_TIME", quiet)
        self.patch(link_module, "HANDSHAKE_TIME", handshake)

    def shorten_limits(self) -> None:
        """From now on the realms notice soon that nothing arrives."""
        self.limit(0.4, 0.3, 0.5)
        for link in (*self.one.links, *self.two.links):
            if link.is_up:
                link._time_limit(link_module.QUIET_TIME, link._check_silence)

    def restore_limits(self) -> None:
        self.limit(30.0, 30.0, 15.0)

    async def test_acknowledgements_are_swallowed(self) -> None:
        """Everything that realm1 sends arrives, and no answer comes back: it is sent again over another link,
        and not stored again."""
        self.patch(link_sender, "WINDOW", 200)  # so that all are sent, even one by one
        await self.begin()
        (old,) = self.proxy.passages
        first = {"command": "send", "to": "budi@realm2", "text": "first"}
        await self.acknowledged(self.ana, [first])  # so the realms have compared what they have
        self.assertEqual(await self.budi.gets(1), ["first"])
        self.proxy.swallowing.add(BACK)
        requests = [{"command": "send", "to": "budi@realm2", "text": str(n)} for n in range(200)]
        sending = run(self.acknowledged(self.ana, requests))
        self.assertEqual(await self.budi.gets(200), [str(n) for n in range(200)])
        self.shorten_limits()
        await old.gone
        self.restore_limits()
        self.proxy.swallowing.clear()
        await sending
        await until(lambda: self.proxy.met > 1)
        await self.nothing_queued(self.ana)
        self.assertEqual(await self.budi.texts(), [])

    async def half_open(self, direction: str) -> None:
        """One direction is dead while nothing is under way: both ends notice, and link again."""
        await self.begin()
        (old,) = self.proxy.passages
        self.proxy.swallowing.add(direction)
        self.shorten_limits()
        await old.gone
        self.restore_limits()
        self.proxy.swallowing.clear()
        await (await self.exchange(50))
        await self.all_there(50)

    async def test_half_open_there(self) -> None:
        await self.half_open(THERE)

    async def test_half_open_back(self) -> None:
        await self.half_open(BACK)

    async def test_stalled(self) -> None:
        """Under load nothing is read any more, and the buffers fill. Senders are told `queued`. When reading
        resumes, everything arrives; if it does not, everything arrives over the next link."""
        await self.begin()
        for goes_on in (True, False):
            await self.linked()
            self.proxy.stall()
            self.shorten_limits()
            load = await self.exchange(200, size=2000)
            if goes_on:
                await sleep(0.1)
            else:
                await load
                self.assertFalse(self.is_linked())
            self.restore_limits()
            self.proxy.go_on()
            await load
            await self.all_there(200)


class Slowness(ProxyTestCase):
    async def test_delays(self) -> None:
        """With 50 ms each way many batches are under way at once, so the load takes far less than a round
        trip for each."""
        await self.begin()
        self.proxy.delay = 0.05
        began = net.seconds()
        load = await self.exchange(3 * LOAD, size=200)
        await load
        await self.all_there(3 * LOAD)
        self.assertLess(net.seconds() - began, 15)
        self.assertEqual(self.proxy.met, 1)

    @long_test
    async def test_delays_and_cuts(self) -> None:
        await self.begin()
        self.proxy.delay = 0.02
        load = await self.exchange(3 * LOAD)
        for _ in range(5):
            await self.linked()
            await sleep(0.05)
            self.proxy.cut()
            await until(lambda: not self.proxy.passages)
        await load
        await self.all_there(3 * LOAD)
