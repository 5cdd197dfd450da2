"""Dialling with backoff, and the choice of one link of several."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import msgspec

from chatd.federation.amp import dialer as module
from tests import RANDOM_RUNS
from tests.support.network import Network, NetworkTestCase, Server, outcome
from tests.support.order import long_test


class PausesTestCase(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.pair()

    def tries(self, seconds: float) -> int:
        before = len(self.network.dialled)
        self.network.advance(seconds)
        return len(self.network.dialled) - before

    def test_grow(self) -> None:
        """Each pause is about twice as long as the last, up to five minutes, with some randomness."""
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        times = list[float]()
        for _ in range(3000):
            before = len(self.network.dialled)
            self.network.advance(1)
            if len(self.network.dialled) > before:
                times.append(self.network.now)
        pauses = [later - earlier for earlier, later in pairwise(times)]
        self.assertLess(pauses[0], 4)
        self.assertLess(pauses[2], 10)
        self.assertLessEqual(max(pauses), module.LONGEST_PAUSE + 1)
        self.assertGreaterEqual(min(pauses[9:]), module.LONGEST_PAUSE / 2 - 1)
        self.assertGreater(len(set(pauses[9:])), 1, "there is some chance in it")
        info = self.one.peers()["realm2"]
        self.assertEqual(info.state, "down")
        self.assertGreater(info.next_try, self.network.now * 1000)
        self.assertIn("was not reached", info.error)

    def test_a_step_of_the_wall_clock(self) -> None:
        """A step of the system's clock does not change the pauses; `realms` shows them in the new time."""
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        for step in (-3600.0, 3600.0):
            self.one.stepped += step
            info = self.one.peers()["realm2"]
            left = info.next_try / 1000 - self.one.stepped - self.network.now
            self.assertTrue(0 <= left <= module.LONGEST_PAUSE, left)
            self.assertGreaterEqual(self.tries(module.LONGEST_PAUSE), 1)

    def test_reset_by_contact(self) -> None:
        """After the other realm has linked, the pauses are short again."""
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        self.network.advance(2000)
        self.two.add(self.one)
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.assertIsNone(self.one.peers()["realm2"].next_try)
        self.network.refusing[self.one.where] = OSError()
        self.network.cut()
        self.assertGreaterEqual(self.tries(8), 4)

    def test_reset_by_success(self) -> None:
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        self.network.advance(2000)
        self.network.refusing.clear()
        self.network.advance(300)
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.network.cut()
        self.network.advance(1.5)
        self.assertEqual(self.one.peers()["realm2"].state, "up")

    def test_only_one_dials_at_a_time(self) -> None:
        """Nothing answers there: no second dial begins before the first has failed."""
        self.network.silent.add(self.two.where)
        self.network.cut()
        self.assertEqual(self.tries(600), 1)
        self.assertEqual(self.one.peers()["realm2"].state, "connecting")

    def test_while_dialling(self) -> None:
        """realm1 dials without an answer, and realm2 links and leaves: realm1 keeps trying."""
        self.network.silent.add(self.two.where)
        self.network.cut()
        self.network.advance(2)
        self.two.add(self.one)
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.network.refusing[self.one.where] = OSError()
        self.network.cut()
        self.network.advance(5)
        self.network.silent.clear()
        self.network.advance(5)
        self.assertEqual(self.one.peers()["realm2"].state, "up")

    def test_loops_of_links(self) -> None:
        """A realm that accepts every link and drops it is dialled with pauses."""

        def cut_soon(connection: Any) -> None:
            link = connection.near.protocol
            link.ready.addCallback(
                lambda _link: self.one.realm.clock.callLater(0.01, connection.cut)
            )

        self.network.on_connection = cut_soon
        self.network.cut()
        self.assertLess(self.tries(60), 130)


class OneLinkTestCase(NetworkTestCase):
    """Of all links between two realms one stays, the same at both ends."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.pair()
        self.two.add(self.one)
        self.ana, self.budi = self.one.person("ana"), self.two.person("budi")
        self.network.advance(60)

    def agree(self, one: Server, two: Server) -> bool:
        """Whether both realms use the same connection."""
        connections = one.network.open_connections(one, two)
        if len(connections) != 1:
            return False
        return all(
            server.realm.directory.peers.by_key[other.name].link
            is connections[0].transport_of(server).protocol
            for server, other in ((one, two), (two, one))
        )

    def test_both_dial(self) -> None:
        """Both dial at the same moment: the link dialled by the lower name stays."""
        self.network.cut()
        for server, name in ((self.one, "realm2"), (self.two, "realm1")):
            server.realm.directory.manager.dialer.soon(
                server.realm.directory.peers.by_key[name], 0.0
            )
        self.network.advance(0)
        self.assertEqual(len(self.network.dialled), 4)
        self.assertTrue(self.agree(self.one, self.two))
        self.assertEqual(self.one.peers()["realm2"].direction, "out")
        self.assertEqual(self.two.peers()["realm1"].direction, "in")
        self.ana.sends("budi@realm2", "halo")
        self.budi.sends("ana@realm1", "halo")

    @long_test
    def test_both_dial_in_any_order(self) -> None:
        """In any order of arrival, for known realms and for new ones."""
        for seed in range(RANDOM_RUNS):
            folder = self.network._folder / str(seed)
            folder.mkdir()
            network = Network(folder, Random(seed))  # noqa: S311
            one, two = network.server("realm1"), network.server("realm2")
            ana, budi = one.person("ana"), two.person("budi")
            adding = [
                outcome(one.realm.directory.add("realm2", *two.where, True)),
                outcome(two.realm.directory.add("realm1", *one.where, True)),
            ]
            network.advance(1)
            for found in adding:
                self.assertFalse(
                    any(isinstance(each, Exception) for each in found), f"seed {seed} {adding}"
                )
            network.advance(5)
            self.assertTrue(self.agree(one, two), f"seed {seed}")
            self.assertEqual([len(found) for found in adding], [1, 1], f"seed {seed}")
            ana.sends("budi@realm2", "halo")
            budi.sends("ana@realm1", "halo")
            network.advance(60)
            self.assertTrue(self.agree(one, two), f"seed {seed}")
            network.close()

    def test_half_dead(self) -> None:
        """realm2 restarts without realm1 noticing: the new link replaces the old one."""
        connection = self.network.connection(self.one, self.two)
        connection.go_silent()
        sent = outcome(self.ana.begins_to_send("budi@realm2", "satu"))
        self.network.settle()
        life = self.two.realm
        self.two._life = None  # as `kill`, without closing connections
        life.database.close()
        life.state.release()
        self.two.open()
        self.network.advance(2)
        self.assertEqual(
            sent[0].message, "Message sent; queued until it can be delivered: budi@realm2"
        )
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.assertEqual(self.budi.reads(), ["ana@realm1: satu"])
        self.assertEqual(self.ana.sends("budi@realm2", "dua").message, "Message sent")

    def test_older_gives_way(self) -> None:
        """A realm that dials while there is a link believes that the link is dead."""
        old = self.network.connection(self.one, self.two)
        old.go_silent()
        directory = self.two.realm.directory
        directory._endpoint.dial(directory.manager, "realm1", *self.one.where, private=True)
        self.network.settle()
        self.assertFalse(old.is_open)
        self.assertEqual(self.ana.sends("budi@realm2", "halo").message, "Message sent")
        self.assertTrue(self.agree(self.one, self.two))

    def test_young_stays(self) -> None:
        """Within ten seconds, a link in the other direction counts as dialled at the same time."""
        self.network.cut()
        self.network.refusing[self.one.where] = OSError()
        self.network.advance(2)
        young = self.network.connection(self.one, self.two)
        self.assertIs(young.near.protocol.host, self.one.host)
        self.network.refusing.clear()
        directory = self.two.realm.directory
        found = outcome(
            directory._endpoint.dial(directory.manager, "realm1", *self.one.where, private=True)
        )
        self.network.advance(2)
        self.assertEqual(len(found), 1)
        self.assertTrue(young.is_open)
        self.assertTrue(self.agree(self.one, self.two))


class StoppingTestCase(NetworkTestCase):
    def test_stops_in_time(self) -> None:
        """A dead link does not hold up the shutdown."""
        one, two = self.network.pair()
        self.network.connection(one, two).go_silent()
        one.close()
        self.assertFalse(one.is_open)

    def test_what_is_under_way(self) -> None:
        one, two = self.network.pair()
        ana, budi = one.person("ana"), two.person("budi")
        for number in range(10):
            ana.begins_to_send("budi@realm2", str(number))
        one.close()
        one.open()
        self.network.advance(5)
        self.assertEqual(budi.reads(), [f"ana@realm1: {number}" for number in range(10)])


class Reconfigured(NetworkTestCase):
    """The configuration is changed while realms are linked."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.pair()

    def use(self, **peers: Any) -> None:
        realm = self.one.realm
        config = realm.config
        settings = msgspec.structs.replace(config.peers, **peers)
        realm.use(msgspec.structs.replace(config, peers=settings))
        self.network.settle()

    def test_blocked(self) -> None:
        """The link ends at once, the realm is not dialled any more, and is when it is not blocked."""
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.use(block=frozenset({"realm2"}))
        info = self.one.peers()["realm2"]
        self.assertEqual((info.state, info.error), ("down", "it is blocked here"))
        self.use(block=frozenset())
        self.network.advance(1)
        self.assertEqual(self.one.peers()["realm2"].state, "up")

    def test_banned(self) -> None:
        """As if blocked, from both sides: messages wait, and go over the next link."""
        ana, budi = self.one.person("ana"), self.two.person("budi")
        self.two.add(self.one)
        context = self.one.realm.service.context
        context.ban_realms(frozenset({"realm2"}))
        self.network.settle()
        info = self.one.peers()["realm2"]
        self.assertEqual((info.state, info.error), ("down", "it is blocked here"))
        ana.begins_to_send("budi@realm2", "one")
        budi.begins_to_send("ana@realm1", "two")
        self.network.advance(700)
        self.assertEqual(self.one.peers()["realm2"].state, "down")
        self.assertIn("it is banned there", str(self.two.peers()["realm1"].error))
        self.assertEqual((ana.reads(), budi.reads()), ([], []))
        context.ban_realms(frozenset())
        self.network.advance(1)
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.assertEqual(budi.reads(), ["ana@realm1: one"])
        self.assertEqual(ana.reads(), ["budi@realm2: two"])

    def test_others_are_not_affected(self) -> None:
        """A change of something else leaves links alone."""
        since = self.one.peers()["realm2"].since
        self.network.advance(5)
        self.use(block=frozenset({"realm9"}), expire=60, strangers="welcome")
        self.assertEqual(self.one.peers()["realm2"].since, since)

    def test_other_rules_of_trust(self) -> None:
        """Links are made anew, and judged by the new rules."""
        since = self.one.peers()["realm2"].since
        self.network.advance(5)
        self.use(trust="known")
        self.network.advance(20)
        info = self.one.peers()["realm2"]
        self.assertEqual(info.state, "up")
        self.assertGreater(info.since, since)

    def test_rates(self) -> None:
        """Senders elsewhere are held to the new rate."""
        rates = self.one.realm.directory.manager.sender_rates
        self.assertEqual(rates.take("realm2", ["a"] * 1000, 1.0), 0.0)
        realm = self.one.realm
        limits = msgspec.structs.replace(realm.config.limits, commands_per_second=1)
        realm.use(msgspec.structs.replace(realm.config, limits=limits))
        self.assertGreater(rates.take("realm2", ["a"] * 1000, 1.0), 0.0)
