"""Dialling with backoff, and the choice of one link of several."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

from chatd.federation.amp import dialer as module
from tests import RANDOM_RUNS
from tests.support.play import House, PlayTestCase, World, outcome


class PausesTestCase(PlayTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.world.pair()

    def tries(self, seconds: float) -> int:
        before = len(self.world.dialled)
        self.world.advance(seconds)
        return len(self.world.dialled) - before

    def test_grow(self) -> None:
        """Each pause is about twice as long as the last, up to five minutes, with some randomness."""
        self.world.refusing[self.two.where] = OSError()
        self.world.cut()
        times = list[float]()
        for _ in range(3000):
            before = len(self.world.dialled)
            self.world.advance(1)
            if len(self.world.dialled) > before:
                times.append(self.world.now)
        pauses = [later - earlier for earlier, later in pairwise(times)]
        self.assertLess(pauses[0], 4)
        self.assertLess(pauses[2], 10)
        self.assertLessEqual(max(pauses), module.LONGEST_PAUSE + 1)
        self.assertGreaterEqual(min(pauses[9:]), module.LONGEST_PAUSE / 2 - 1)
        self.assertGreater(len(set(pauses[9:])), 1, "there is some chance in it")
        info = self.one.peers()["realm2"]
        self.assertEqual(info.state, "down")
        self.assertGreater(info.next_try, self.world.now * 1000)
        self.assertIn("was not reached", info.error)

    def test_a_step_of_the_wall_clock(self) -> None:
        """A step of the system's clock does not change the pauses; `realms` shows them in the new time."""
        self.world.refusing[self.two.where] = OSError()
        self.world.cut()
        for step in (-3600.0, 3600.0):
            self.one.stepped += step
            info = self.one.peers()["realm2"]
            left = info.next_try / 1000 - self.one.stepped - self.world.now
            self.assertTrue(0 <= left <= module.LONGEST_PAUSE, left)
            self.assertGreaterEqual(self.tries(module.LONGEST_PAUSE), 1)

    def test_reset_by_contact(self) -> None:
        """After the other realm has linked, the pauses are short again."""
        self.world.refusing[self.two.where] = OSError()
        self.world.cut()
        self.world.advance(2000)
        self.two.add(self.one)
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.assertIsNone(self.one.peers()["realm2"].next_try)
        self.world.refusing[self.one.where] = OSError()
        self.world.cut()
        self.assertGreaterEqual(self.tries(8), 4)

    def test_reset_by_success(self) -> None:
        self.world.refusing[self.two.where] = OSError()
        self.world.cut()
        self.world.advance(2000)
        self.world.refusing.clear()
        self.world.advance(300)
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.world.cut()
        self.world.advance(1.5)
        self.assertEqual(self.one.peers()["realm2"].state, "up")

    def test_only_one_dials_at_a_time(self) -> None:
        """Nothing answers there: no second dial begins before the first has failed."""
        self.world.silent.add(self.two.where)
        self.world.cut()
        self.assertEqual(self.tries(600), 1)
        self.assertEqual(self.one.peers()["realm2"].state, "connecting")

    def test_while_dialling(self) -> None:
        """realm1 dials without an answer, and realm2 links and leaves: realm1 keeps trying."""
        self.world.silent.add(self.two.where)
        self.world.cut()
        self.world.advance(2)
        self.two.add(self.one)
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.world.refusing[self.one.where] = OSError()
        self.world.cut()
        self.world.advance(5)
        self.world.silent.clear()
        self.world.advance(5)
        self.assertEqual(self.one.peers()["realm2"].state, "up")

    def test_loops_of_links(self) -> None:
        """A realm that accepts every link and drops it is dialled with pauses."""

        def cut_soon(cable: Any) -> None:
            link = cable.near.protocol
            link.ready.addCallback(lambda _link: self.one.realm.clock.callLater(0.01, cable.cut))

        self.world.on_cable = cut_soon
        self.world.cut()
        self.assertLess(self.tries(60), 130)


class OneLinkTestCase(PlayTestCase):
    """Of all links between two realms one stays, the same at both ends."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.world.pair()
        self.two.add(self.one)
        self.ana, self.budi = self.one.person("ana"), self.two.person("budi")
        self.world.advance(60)

    def agree(self, one: House, two: House) -> bool:
        """Whether both realms use the same connection."""
        cables = one.world.open_cables(one, two)
        if len(cables) != 1:
            return False
        return all(
            house.realm.directory.peers.by_key[other.name].link is cables[0].end_of(house).protocol
            for house, other in ((one, two), (two, one))
        )

    def test_both_dial(self) -> None:
        """Both dial at the same moment: the link dialled by the lower name stays."""
        self.world.cut()
        for house, name in ((self.one, "realm2"), (self.two, "realm1")):
            house.realm.directory.manager.dialer.soon(house.realm.directory.peers.by_key[name], 0.0)
        self.world.advance(0)
        self.assertEqual(len(self.world.dialled), 4)
        self.assertTrue(self.agree(self.one, self.two))
        self.assertEqual(self.one.peers()["realm2"].direction, "out")
        self.assertEqual(self.two.peers()["realm1"].direction, "in")
        self.ana.sends("budi@realm2", "halo")
        self.budi.sends("ana@realm1", "halo")

    def test_both_dial_in_any_order(self) -> None:
        """In any order of arrival, for known realms and for new ones."""
        for seed in range(RANDOM_RUNS):
            folder = self.world._folder / str(seed)
            folder.mkdir()
            world = World(folder, Random(seed))  # noqa: S311
            one, two = world.house("realm1"), world.house("realm2")
            ana, budi = one.person("ana"), two.person("budi")
            adding = [
                outcome(one.realm.directory.add("realm2", *two.where, True)),
                outcome(two.realm.directory.add("realm1", *one.where, True)),
            ]
            world.advance(1)
            for found in adding:
                self.assertFalse(
                    any(isinstance(each, Exception) for each in found), f"seed {seed} {adding}"
                )
            world.advance(5)
            self.assertTrue(self.agree(one, two), f"seed {seed}")
            self.assertEqual([len(found) for found in adding], [1, 1], f"seed {seed}")
            ana.sends("budi@realm2", "halo")
            budi.sends("ana@realm1", "halo")
            world.advance(60)
            self.assertTrue(self.agree(one, two), f"seed {seed}")
            world.close()

    def test_half_dead(self) -> None:
        """realm2 restarts without realm1 noticing: the new link replaces the old one."""
        cable = self.world.cable(self.one, self.two)
        cable.darken()
        sent = outcome(self.ana.begins_to_send("budi@realm2", "satu"))
        self.world.settle()
        life = self.two.realm
        self.two._life = None  # as `kill`, without closing connections
        life.database.close()
        life.state.release()
        self.two.open()
        self.world.advance(2)
        self.assertEqual(
            sent[0].message, "Message sent; queued until it can be delivered: budi@realm2"
        )
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.assertEqual(self.budi.reads(), ["ana@realm1: satu"])
        self.assertEqual(self.ana.sends("budi@realm2", "dua").message, "Message sent")

    def test_older_gives_way(self) -> None:
        """A realm that dials while there is a link believes that the link is dead."""
        old = self.world.cable(self.one, self.two)
        old.darken()
        directory = self.two.realm.directory
        directory._endpoint.dial(directory.manager, "realm1", *self.one.where, private=True)
        self.world.settle()
        self.assertFalse(old.is_open)
        self.assertEqual(self.ana.sends("budi@realm2", "halo").message, "Message sent")
        self.assertTrue(self.agree(self.one, self.two))

    def test_young_stays(self) -> None:
        """Within ten seconds, a link in the other direction counts as dialled at the same time."""
        self.world.cut()
        self.world.refusing[self.one.where] = OSError()
        self.world.advance(2)
        young = self.world.cable(self.one, self.two)
        self.assertIs(young.near.protocol.host, self.one.host)
        self.world.refusing.clear()
        directory = self.two.realm.directory
        found = outcome(
            directory._endpoint.dial(directory.manager, "realm1", *self.one.where, private=True)
        )
        self.world.advance(2)
        self.assertEqual(len(found), 1)
        self.assertTrue(young.is_open)
        self.assertTrue(self.agree(self.one, self.two))


class StoppingTestCase(PlayTestCase):
    def test_stops_in_time(self) -> None:
        """A dead link does not hold up the shutdown."""
        one, two = self.world.pair()
        self.world.cable(one, two).darken()
        one.close()
        self.assertFalse(one.is_open)

    def test_what_is_under_way(self) -> None:
        one, two = self.world.pair()
        ana, budi = one.person("ana"), two.person("budi")
        for number in range(10):
            ana.begins_to_send("budi@realm2", str(number))
        one.close()
        one.open()
        self.world.advance(5)
        self.assertEqual(budi.reads(), [f"ana@realm1: {number}" for number in range(10)])
