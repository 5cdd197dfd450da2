"""Realms that follow a group to another realm, also those that were away while it moved."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, fail

from chatd.base.errors import PeerFailed
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation import group_follower
from tests.support.network import Person, Server
from tests.unit.federation.test_group_moves import MovingTestCase, log_of
from tests.unit.federation.test_rescues import SOON, RescueTestCase


class FollowingTestCase(MovingTestCase):
    def moves_back(self) -> None:
        self.move(self.budi, "bagan", "realm1")
        self.move(self.ana, "bagan@realm2", "realm1")
        self.network.settle()
        self.assertEqual(self.ana.mine(), ["bagan"])


class Late(FollowingTestCase):
    def test_joined_between(self) -> None:
        """A realm that has only joined the group in its second home follows to the third one. What it has
        kept of the group from before that is in nobody's way."""
        self.citra.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.network.settle()
        self.moves()
        self.citra.joins("bagan@realm2")
        self.network.settle()
        self.moves_back()
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])
        self.citra.posts("bagan@realm2", "here, too")
        self.assertEqual(self.ana.history(group="bagan")[-1], "citra@realm3: here, too")


class AfterRescue(RescueTestCase):
    realms = 3

    def test_moves_on(self) -> None:
        """A group that was rescued can move to another realm."""
        self.away(self.home)
        self.rescues("budi")
        self.network.advance(SOON)
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        for person, group in ((self.budi, "bagan"), (self.citra, "bagan@realm2")):
            person.does(ask.MoveGroup(parse_address(group), "realm3"))
        self.network.settle()
        self.assertEqual(self.citra.mine(), ["bagan"])
        self.assertEqual(self.budi.mine(), ["bagan@realm3"])
        self.posts("budi", "on", "bagan@realm3")
        self.assertEqual(self.citra.history(group="bagan")[-1], "budi@realm2: on")


class CutOffTestCase(FollowingTestCase):
    def separate(self, one: Server, other: Server) -> None:
        for each in (one, other):
            self.network.refusing[each.where] = OSError()
        for connection in self.network.open_connections(one, other):
            connection.cut()
        self.network.settle()


class CutOff(CutOffTestCase):
    """realm3 does not reach one of the other realms while bagan moves, or neither of them."""

    def write(self) -> None:
        """ana writes what realm3 does not get, and citra what waits for realm1."""
        for number in range(5):
            self.ana.posts("bagan", f"missed {number}")
        self.citra.begins_to_post("bagan@realm1", "waited")
        self.network.settle()

    def check(self, *texts: str) -> None:
        """All have the same messages, and realm3 the same numbers of entries."""
        expected = [f"before, {name}" for name in ("ana", "budi", "citra")]
        expected += [*(f"missed {number}" for number in range(5)), *texts]
        for person in (self.ana, self.budi, self.citra):
            history = person.history(group="bagan@realm1")
            self.assertEqual([each.partition(": ")[2] for each in history], expected)
        logs = [
            [entry[0] for entry in log_of(server, person, "bagan@realm1")]
            for server, person in ((self.one, self.ana), (self.three, self.citra))
        ]
        self.assertEqual(logs[1], [each for each in logs[0] if each >= logs[1][0]])

    def test_from_the_former_home(self) -> None:
        """What realm3 lacks comes from the new home, in order, and the former one brings it in vain."""
        self.patch(group_follower, "PAGE", 2)
        self.separate(self.one, self.three)
        self.write()
        self.moves()
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        self.check("waited")
        self.meet()
        self.check("waited")

    def test_from_the_new_home(self) -> None:
        """What is written meanwhile waits until realm3 has followed, as the former home says."""
        self.separate(self.two, self.three)
        for number in range(5):
            self.ana.posts("bagan", f"missed {number}")
        self.moves()
        self.citra.begins_to_post("bagan@realm1", "waited")
        self.citra.reads()
        self.network.settle()
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])
        self.assertEqual(self.three.parcels_waiting("realm2"), 1)
        self.meet()
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        self.check("waited")
        self.assertEqual(self.three.parcels_waiting(), 0)

    def test_there_and_back(self) -> None:
        """realm3 is down while bagan moves away and comes back."""
        self.separate(self.one, self.three)
        self.write()
        self.three.kill()
        self.moves()
        self.budi.posts("bagan", "away")
        self.moves_back()
        self.three.open()
        self.meet()
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])
        self.check("away", "waited")

    def test_new_home_is_cut_off_meanwhile(self) -> None:
        """If the last entries do not come, the group does not follow yet."""
        self.separate(self.one, self.three)
        self.write()
        links = self.three.federation.follower._links
        unanswered = mock.Mock(side_effect=lambda *_: fail(PeerFailed(realm="realm2")))
        with mock.patch.object(links, "past", unanswered):
            self.moves()
            self.assertEqual(self.citra.mine(), ["bagan@realm1"])
        self.network.advance(60)
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        self.check("waited")


class Opposite(FollowingTestCase):
    def test_do_not_wait_for_each_other(self) -> None:
        """Two groups move in opposite directions, and realm3 lacks the last entries of both: the parcels of
        each of the two realms need entries of the other one."""
        self.budi.creates("kota")
        self.ana.joins("kota@realm2")
        self.citra.joins("kota@realm2")
        self.promote_in("kota", self.budi, "ana@realm1")
        self.network.settle()
        self.three.kill()
        self.ana.posts("bagan", "last of bagan")
        self.moves()
        self.budi.posts("kota", "last of kota")
        self.move(self.budi, "kota", "realm1")
        self.move(self.ana, "kota@realm2", "realm1")
        self.network.settle()
        self.three.open()
        asked: list[tuple[str, Deferred[None]]] = []
        links = self.three.federation.follower._links
        past = links.past

        async def slow(realm: str, *rest: int) -> Any:
            waiting: Deferred[None] = Deferred()
            asked.append((realm, waiting))
            await waiting
            return await past(realm, *rest)

        with mock.patch.object(links, "past", lambda *args: Deferred.fromCoroutine(slow(*args))):
            self.network.advance(60)
            self.assertEqual({realm for realm, _ in asked}, {"realm1", "realm2"})
            while asked:
                asked.pop()[1].callback(None)
                self.network.settle()
        self.assertEqual(sorted(self.citra.mine()), ["bagan@realm2", "kota@realm1"])
        for group in ("bagan", "kota"):
            history = self.citra.history(group=f"{group}@realm1")
            self.assertIn(f"last of {group}", history[-1])

    def promote_in(self, group: str, who: Person, user: str) -> None:
        who.does(ask.PromoteMember(parse_address(group), parse_address(user)))
