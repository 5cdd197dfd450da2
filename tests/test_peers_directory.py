"""Which realms there are, how links to them come about, and how one is settled on."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

from twisted.internet import error as net

from chatd import commands as ask
from chatd.errors import (
    CertificateChanged,
    NotOperator,
    OwnRealm,
    RealmExists,
    RealmNotAllowed,
    RealmUnreachable,
    UnknownRealm,
    WrongRealm,
)
from chatd.peers import directory as module
from chatd.peers import link as link_module
from tests.play import House, PlayTestCase, World, certificate_of, outcome


class AddingTestCase(PlayTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.world.house("realm1"), self.world.house("realm2")
        self.ana = self.one.person("ana")

    def adds(self, realm: str = "realm2", host: str = "realm2.test", port: int = 7000) -> Any:
        return self.ana.does(ask.AddRealm(realm, host, port))

    def test_added(self) -> None:
        self.assertEqual(self.adds().message, "realm2 is a peer")
        (info,) = self.ana.does(ask.Realms()).items
        self.assertEqual(
            (info.realm, info.state, info.direction, info.address, info.queued, info.error),
            ("realm2", "up", "out", "realm2.test:7000", 0, None),
        )
        there = self.two.peers()["realm1"]
        self.assertEqual((there.state, there.direction, there.address), ("up", "in", None))

    def test_for_good(self) -> None:
        """It is remembered, with where it is and the certificate that it showed."""
        self.adds()
        self.one.restart()
        self.world.settle()
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.two.certificate = certificate_of("realm2", 1)
        self.world.cut()
        self.world.advance(3)
        info = self.one.peers()["realm2"]
        self.assertEqual(info.state, "down")
        self.assertIn("another certificate", info.error)

    def test_what_went_wrong(self) -> None:
        for error, said in (
            (net.ConnectionRefusedError(), "nothing listens there"),
            (net.NoRouteError(), "no route"),
            (net.TimeoutError(), "timed out"),
            (net.DNSLookupError(), "no such host"),
            (OSError(), "was not reached"),
        ):
            self.world.refusing[self.two.where] = error
            with self.assertRaises(RealmUnreachable) as caught:
                self.adds()
            self.assertIn(said, str(caught.exception))
            self.assertIn("realm2.test:7000", str(caught.exception))
            self.assertEqual(self.one.peers(), {}, "it was not remembered")
        self.world.advance(600)
        self.assertEqual(len(self.world.dialled), 5, "nor tried again")

    def test_nobody_there(self) -> None:
        with self.assertRaises(RealmUnreachable):
            self.adds(host="nowhere.test")

    def test_silent_there(self) -> None:
        """Something listens there that never says a word."""
        self.world.on_cable = lambda cable: setattr(cable.far, "held", True)
        found = outcome(self.ana.begins(ask.AddRealm("realm2", *self.two.where)))
        self.world.advance(link_module.HANDSHAKE_TIME + 1)
        self.assertIsInstance(found[0], RealmUnreachable)
        self.assertEqual(self.one.peers(), {})

    def test_wrong_name(self) -> None:
        with self.assertRaises(WrongRealm) as caught:
            self.adds("realm3")
        self.assertIn("is realm2, not realm3", str(caught.exception))
        self.assertEqual(self.one.peers(), {})

    def test_itself(self) -> None:
        with self.assertRaises(OwnRealm):
            self.adds("Realm1", "realm1.test")
        with self.assertRaises(WrongRealm):
            self.adds("realm2", "realm1.test")

    def test_twice(self) -> None:
        self.adds()
        with self.assertRaises(RealmExists):
            self.adds()
        with self.assertRaises(RealmExists):
            self.adds("REALM2")

    def test_twice_at_once(self) -> None:
        found = [outcome(self.ana.begins(ask.AddRealm("realm2", *self.two.where)))]
        found.append(outcome(self.ana.begins(ask.AddRealm("realm2", *self.two.where))))
        self.world.settle()
        self.assertEqual(found[0][0].message, "realm2 is a peer")
        self.assertIsInstance(found[1][0], RealmExists)

    def test_who_has_come_already(self) -> None:
        """realm1 has dialled in; realm2 may add it, so that it dials, too."""
        self.adds()
        self.two.add(self.one)
        self.assertEqual(self.two.peers()["realm1"].address, "realm1.test:7000")
        self.world.settle()
        self.assertEqual(len(self.world.open_cables(self.one, self.two)), 1)
        self.world.advance(20)
        self.world.cut()
        self.world.advance(5)
        self.assertEqual(self.two.peers()["realm1"].state, "up")
        self.assertEqual(len(self.world.open_cables(self.one, self.two)), 1)

    def test_who_has_come_long_ago(self) -> None:
        self.adds()
        self.world.advance(100)
        self.two.add(self.one)
        self.world.settle()
        self.assertEqual(len(self.world.open_cables(self.one, self.two)), 1)
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.assertEqual(self.two.peers()["realm1"].state, "up")

    def test_lost_at_once(self) -> None:
        """The link breaks while the realm is being remembered: it is added nevertheless."""
        found = outcome(self.ana.begins(ask.AddRealm("realm2", *self.two.where)))
        directory = self.one.realm.directory
        for _ in range(100):
            self.world.step()
            peer = directory._peers.get("realm2")
            if peer is not None and peer.link is not None and peer.link.is_up:
                self.world.cut()
                break
        self.world.settle()
        self.assertEqual(found[0].message, "realm2 is a peer")
        self.assertNotEqual(self.one.peers()["realm2"].error, "None")
        self.world.advance(3)
        self.assertEqual(self.one.peers()["realm2"].state, "up")

    def test_operators_only(self) -> None:
        three = self.world.house("realm3", add="operators")
        self.assertTrue(three.person("first").account.operator)
        second = three.person("second")
        with self.assertRaises(NotOperator):
            second.does(ask.AddRealm("realm2", *self.two.where))
        with self.assertRaises(NotOperator):
            second.does(ask.DeleteRealm("realm2"))
        three.person("first").does(ask.AddRealm("realm2", *self.two.where))

    def test_forgotten(self) -> None:
        self.adds()
        reply = self.ana.does(ask.DeleteRealm("realm2"))
        self.assertEqual(reply.message, "realm2 is forgotten")
        self.assertEqual(self.one.peers(), {})
        self.world.advance(600)
        self.assertEqual(self.one.peers(), {})
        self.assertEqual(self.two.peers()["realm1"].state, "down")
        with self.assertRaises(UnknownRealm):
            self.ana.does(ask.DeleteRealm("realm2"))
        self.one.restart()
        self.assertEqual(self.one.peers(), {})

    def test_forgotten_and_added_again(self) -> None:
        """With it goes the certificate that was remembered: so a new one is accepted."""
        self.adds()
        self.two.certificate = certificate_of("realm2", 1)
        self.world.cut()
        self.world.advance(5)
        with self.assertRaises(RealmExists):
            self.adds()
        self.ana.does(ask.DeleteRealm("realm2"))
        self.adds()
        self.assertEqual(self.one.peers()["realm2"].state, "up")

    def test_stranger_with_other_certificate(self) -> None:
        """Who comes as realm2, and is not the one that was here before, is not let in."""
        self.adds()
        self.world.cut()
        self.world.refusing[self.two.where] = OSError()
        self.one.certificate = certificate_of("realm1", 1)
        self.world.refusing.clear()
        self.world.advance(5)
        self.assertEqual(self.two.peers()["realm1"].state, "down")
        info = self.one.peers()["realm2"]
        self.assertIn("does not trust the certificate of this realm", info.error)

    def test_changed_certificate_says_what_to_do(self) -> None:
        self.adds()
        self.ana.does(ask.DeleteRealm("realm2"))
        self.two.add(self.one)  # so that realm1 has seen realm2, and did not add it
        self.world.cut()
        self.two.kill()
        self.two.certificate = certificate_of("realm2", 1)
        self.two.open()
        with self.assertRaises(CertificateChanged) as caught:
            self.adds()
        self.assertIn("delrealm realm2", str(caught.exception))

    def test_blocked(self) -> None:
        three = self.world.house("realm3", block=frozenset({"realm1"}))
        with self.assertRaises(RealmNotAllowed) as caught:
            self.one.add(three)
        self.assertIn("it is blocked there", str(caught.exception))
        self.assertEqual(three.peers(), {})

    def test_too_many_strangers(self) -> None:
        """Whoever comes by itself is remembered, but not without end; who was added gets in."""
        self.patch(module, "MAX_STRANGERS", 3)
        for number in range(3, 6):
            self.world.house(f"realm{number}").add(self.two)
        with self.assertRaises(RealmNotAllowed) as caught:
            self.adds()
        self.assertIn("it knows too many already", str(caught.exception))
        self.assertEqual(len(self.two.peers()), 3)
        self.two.add(self.one)
        self.assertEqual(self.two.peers()["realm1"].state, "up")
        self.world.houses["realm3"].restart()
        self.world.advance(3)
        self.assertEqual(self.two.peers()["realm3"].state, "up", "it was known already")


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
            house.realm.directory._peers[other.name].link is cables[0].end_of(house).protocol
            for house, other in ((one, two), (two, one))
        )

    def test_both_dial(self) -> None:
        """At the same moment: that of the lower name stays."""
        self.world.cut()
        for house, name in ((self.one, "realm2"), (self.two, "realm1")):
            house.realm.directory._dial_soon(house.realm.directory._peers[name], 0.0)
        self.world.advance(0)
        self.assertEqual(len(self.world.dialled), 4)
        self.assertTrue(self.agree(self.one, self.two))
        self.assertEqual(self.one.peers()["realm2"].direction, "out")
        self.assertEqual(self.two.peers()["realm1"].direction, "in")
        self.ana.sends("budi@realm2", "halo")
        self.budi.sends("ana@realm1", "halo")

    def test_both_dial_in_any_order(self) -> None:
        """Whatever arrives first, at known realms and at those that never met."""
        for seed in range(60):
            folder = self.world._folder / str(seed)
            folder.mkdir()
            world = World(folder, Random(seed))  # noqa: S311
            one, two = world.house("realm1"), world.house("realm2")
            ana, budi = one.person("ana"), two.person("budi")
            adding = [
                outcome(one.realm.directory.add("realm2", *two.where)),
                outcome(two.realm.directory.add("realm1", *one.where)),
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
        directory._door.dial(directory, "realm1", *self.one.where)
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
        found = outcome(directory._door.dial(directory, "realm1", *self.one.where))
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
