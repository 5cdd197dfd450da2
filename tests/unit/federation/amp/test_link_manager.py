"""Which realms there are, how links to them come about, and how one is settled on."""

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
        """Each pause is about twice as long, up to five minutes; and each is a little different."""
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
        """Setting the system's clock changes nothing of the pauses; `realms` shows them by the new time."""
        self.world.refusing[self.two.where] = OSError()
        self.world.cut()
        for step in (-3600.0, 3600.0):
            self.one.stepped += step
            info = self.one.peers()["realm2"]
            left = info.next_try / 1000 - self.one.stepped - self.world.now
            self.assertTrue(0 <= left <= module.LONGEST_PAUSE, left)
            self.assertGreaterEqual(self.tries(module.LONGEST_PAUSE), 1)

    def test_reset_by_contact(self) -> None:
        """The other comes by itself: from then on the pauses are short again."""
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
        """Nothing answers there: no second try is begun before the first has failed."""
        self.world.silent.add(self.two.where)
        self.world.cut()
        self.assertEqual(self.tries(600), 1)
        self.assertEqual(self.one.peers()["realm2"].state, "connecting")

    def test_while_dialling(self) -> None:
        """realm1 dials and nobody answers; realm2 comes, and goes again: realm1 goes on trying."""
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
        """A realm that takes every link and drops it again is not dialled without a pause."""

        def cut_soon(cable: Any) -> None:
            link = cable.near.protocol
            link.ready.addCallback(lambda _link: self.one.realm.clock.callLater(0.01, cable.cut))

        self.world.on_cable = cut_soon
        self.world.cut()
        self.assertLess(self.tries(60), 130)


class OneLinkTestCase(PlayTestCase):
    """Of all links between two realms one stays, and the same at both ends."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.world.pair()
        self.two.add(self.one)
        self.ana, self.budi = self.one.person("ana"), self.two.person("budi")
        self.world.advance(60)

    def agree(self, one: House, two: House) -> bool:
        """Whether both use the same cable."""
        cables = one.world.open_cables(one, two)
        if len(cables) != 1:
            return False
        return all(
            house.realm.directory.peers.by_key[other.name].link is cables[0].end_of(house).protocol
            for house, other in ((one, two), (two, one))
        )

    def test_both_dial(self) -> None:
        """At the same moment: that of the lower name stays."""
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
        """Whatever arrives first, at known realms and at those that never met."""
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
        """realm2 dies and comes back, and realm1 has not noticed: the new link takes the old one's place."""
        cable = self.world.cable(self.one, self.two)
        cable.darken()
        sent = outcome(self.ana.begins_to_send("budi@realm2", "satu"))
        self.world.settle()
        life = self.two.realm
        self.two._life = None  # as `kill`, but that nobody is told
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
        """Who dials though there is a link, thinks that it is dead."""
        old = self.world.cable(self.one, self.two)
        old.darken()
        directory = self.two.realm.directory
        directory._endpoint.dial(directory.manager, "realm1", *self.one.where, private=True)
        self.world.settle()
        self.assertFalse(old.is_open)
        self.assertEqual(self.ana.sends("budi@realm2", "halo").message, "Message sent")
        self.assertTrue(self.agree(self.one, self.two))

    def test_young_stays(self) -> None:
        """Within ten seconds of a link, one in the other direction is that of a moment ago."""
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
        """A link on which nothing comes through does not keep a realm from its end."""
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
