"""Realms that have lost in a restore that a group has moved."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from twisted.internet.defer import fail
from twisted.logger import LogEvent, capturedLogs, formatEvent

from chatd.base.errors import GroupExists, PeerFailed, RealmDown
from chatd.federation.amp.links import AmpLinks
from chatd.federation.guest_lists import GuestList
from chatd.federation.standing import Standings
from chatd.simulate.databases import copy_state
from chatd.store import lineage
from tests.support.network import Server
from tests.unit.federation.test_group_follower import FollowingTestCase


class RestoredTestCase(FollowingTestCase):
    def back_up(self, server: Server) -> Path:
        copy = Path(self.mktemp())
        server.close()
        copy_state(server.config.state, copy)
        server.open()
        self.network.advance(5)
        return copy

    def restore(self, server: Server, copy: Path) -> None:
        if server.is_open:
            server.kill()
        shutil.rmtree(server.config.state)
        copy_state(copy, server.config.state)
        server.open()
        self.network.advance(60)


class Restored(RestoredTestCase):
    """Realms that have lost in a restore that a group has moved."""

    def moves_on(self) -> None:
        """bagan moves from realm2 to realm3, where citra is an admin now."""
        self.promote(self.budi, "citra@realm3")
        self.network.settle()
        self.move(self.budi, "bagan", "realm3")
        self.move(self.citra, "bagan@realm2", "realm3")
        self.network.settle()
        self.assertEqual(self.citra.mine(), ["bagan"])

    def check(self, *groups: str) -> None:
        people = (self.ana, self.budi, self.citra)
        self.assertEqual([each.mine() for each in people], [[each] for each in groups])
        for person in people:
            person.posts("bagan@realm1", f"after, {person.name}")
            self.network.settle()
        expected = [f"before, {each.name}" for each in people]
        expected += ["between", *(f"after, {each.name}" for each in people)]
        for person in people:
            history = person.history(group="bagan@realm1")
            self.assertEqual([each.partition(": ")[2] for each in history], expected)

    def test_former_home(self) -> None:
        """A home that has forgotten that it has handed the group over becomes a copy again."""
        copy = self.back_up(self.one)
        self.moves()
        self.budi.posts("bagan", "between")
        self.restore(self.one, copy)
        self.check("bagan@realm2", "bagan", "bagan@realm2")

    def test_new_home_of_two_moves(self) -> None:
        """The third home has forgotten both moves, and that it has agreed to the second one."""
        copy = self.back_up(self.three)
        self.moves()
        self.budi.posts("bagan", "between")
        self.moves_on()
        self.restore(self.three, copy)
        self.check("bagan@realm3", "bagan@realm3", "bagan")

    def test_home_between(self) -> None:
        """A home in which the group has lived for a while has forgotten that altogether."""
        copy = self.back_up(self.two)
        self.moves()
        self.budi.posts("bagan", "between")
        self.moves_on()
        self.restore(self.two, copy)
        self.check("bagan@realm3", "bagan@realm3", "bagan")
        self.assertEqual(self.budi.history(group="bagan"), self.budi.history(group="bagan@realm3"))
        with self.assertRaises(GroupExists):
            self.budi.creates("bagan")

    def test_member_realm_lacks_what_comes_before_what_waits(self) -> None:
        """The former home sends a restored realm what waits for it, and nothing of what it had sent before.
        The rest comes from the new home, which is linked later."""
        copy = self.back_up(self.three)
        self.ana.posts("bagan", "earlier")
        self.network.settle()
        self.three.kill()
        self.ana.posts("bagan", "later")
        self.network.settle()
        self.moves()
        self.two.kill()
        self.restore(self.three, copy)
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])
        shown = [each.partition(": ")[2] for each in self.citra.history(group="bagan@realm1")]
        self.assertEqual(shown[3:], ["later"])
        self.two.open()
        self.network.advance(120)
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        for person in (self.ana, self.budi, self.citra):
            shown = [each.partition(": ")[2] for each in person.history(group="bagan@realm1")]
            self.assertEqual(shown[3:], ["earlier", "later"])

    def test_new_home(self) -> None:
        """What was written in the new home comes back from the others."""
        copy = self.back_up(self.two)
        self.moves()
        self.budi.posts("bagan", "between")
        self.citra.posts("bagan@realm1", "citra between")
        self.network.settle()
        self.restore(self.two, copy)
        self.network.advance(120)
        self.assertEqual(self.budi.mine(), ["bagan"])
        for person in (self.ana, self.budi, self.citra):
            shown = [each.partition(": ")[2] for each in person.history(group="bagan@realm1")]
            self.assertEqual(shown[3:], ["between", "citra between"])

    def test_new_home_lacks_what_the_former_one_sent(self) -> None:
        """The former home returns entries only of groups that live there, so it is asked for those."""
        copy = self.back_up(self.two)
        for person in (self.ana, self.citra):
            person.posts("bagan@realm1", f"earlier, {person.name}")
            self.network.settle()
        self.moves()
        self.three.kill()
        self.restore(self.two, copy)
        self.assertEqual(self.budi.mine(), ["bagan"])
        for person in (self.ana, self.budi):
            shown = [each.partition(": ")[2] for each in person.history(group="bagan@realm1")]
            self.assertEqual(shown[3:], ["earlier, ana", "earlier, citra"])

    def test_new_home_reaches_the_former_one_last(self) -> None:
        """They come back also from a realm that was linked before the group lived here again."""
        copy = self.back_up(self.two)
        self.moves()
        self.budi.posts("bagan", "between")
        self.citra.posts("bagan@realm1", "citra between")
        self.network.settle()
        self.two.kill()
        self.one.kill()
        shutil.rmtree(self.two.config.state)
        copy_state(copy, self.two.config.state)
        self.two.open()
        self.network.advance(120)
        self.one.open()
        self.network.advance(120)
        self.assertEqual(self.budi.mine(), ["bagan"])
        for person in (self.ana, self.budi, self.citra):
            shown = [each.partition(": ")[2] for each in person.history(group="bagan@realm1")]
            self.assertEqual(shown[3:], ["between", "citra between"])

    def alone(self) -> None:
        """realm1 is restored, and ana writes there before realm1 knows that the group has moved."""
        copy = self.back_up(self.one)
        self.moves()
        self.budi.posts("bagan", "between")
        with mock.patch.object(self.network, "connect", side_effect=lambda *_: fail(OSError())):
            self.restore(self.one, copy)
            self.ana.posts("bagan", "alone")

    def check_alone(self) -> None:
        for person in (self.ana, self.budi, self.citra):
            history = person.history(group="bagan@realm1")
            shown = [each.partition(": ")[2] for each in history]
            self.assertEqual(sorted(shown[3:]), ["alone", "between"], person.name)

    def test_former_home_alone(self) -> None:
        """The new home gets the messages that were written in the former home before that followed. The
        operator is told that other changes do not get there."""
        with capturedLogs() as logged:
            self.alone()
            self.assertEqual(self.warnings(logged), [])
        with capturedLogs() as logged:
            self.network.advance(310)
        [warning] = self.warnings(logged)
        self.assertIn("written in bagan here since the restore are sent to realm2", warning)
        self.assertEqual(self.ana.mine(), ["bagan@realm2"])
        self.check_alone()

    def test_former_home_alone_is_killed(self) -> None:
        """They get there also if either side is killed before, and only once if it is killed after that."""
        self.alone()
        down = mock.Mock(side_effect=lambda *_: fail(PeerFailed(realm="realm2")))
        with mock.patch.object(AmpLinks, "hand_over", down):
            self.network.advance(310)
        self.assertEqual(down.call_count, 1)
        self.assertEqual(self.ana.mine(), ["bagan@realm2"])
        self.two.restart()
        self.one.restart()
        with mock.patch.object(lineage, "end_forgotten"):
            self.network.advance(310)
            self.check_alone()
        self.one.restart()
        self.network.advance(310)
        self.check_alone()

    def warnings(self, logged: Sequence[LogEvent]) -> list[str]:
        return [text for each in logged if "since the restore" in (text := formatEvent(each))]

    def test_name_is_taken(self) -> None:
        """A group that was created since the restore keeps its name."""
        copy = self.back_up(self.two)
        self.moves()
        self.budi.posts("bagan", "between")
        self.moves_on()
        self.network.refusing[self.two.where] = OSError()
        with mock.patch.object(self.network, "connect", side_effect=lambda *_: fail(OSError())):
            self.restore(self.two, copy)
            self.budi.creates("bagan")
        self.network.refusing.clear()
        self.network.advance(310)
        self.assertEqual(sorted(self.budi.mine()), ["bagan", "bagan@realm3"])
        self.assertEqual(self.budi.history(group="bagan"), [])
        self.assertEqual(
            self.budi.history(group="bagan@realm3"),
            [each.replace("budi@realm2", "budi") for each in self.ana_history()],
        )

    def ana_history(self) -> list[str]:
        """What ana sees, as budi does."""
        shown = self.ana.history(group="bagan@realm3")
        return [each.replace("ana: ", "ana@realm1: ") for each in shown]

    def test_posts_to_a_home_that_is_not_ready(self) -> None:
        """What comes to the new home before it has taken the group over again waits for that."""
        copy = self.back_up(self.two)
        self.moves()
        self.budi.posts("bagan", "between")
        down = mock.Mock(side_effect=lambda *_: fail(PeerFailed(realm="realm1")))
        self.two.kill()
        shutil.rmtree(self.two.config.state)
        copy_state(copy, self.two.config.state)
        self.two.open()
        with mock.patch.object(self.two.federation.mover._links, "handover", down):
            self.network.advance(20)
            self.assertEqual(self.budi.mine(), ["bagan@realm1"])
            self.citra.begins_to_post("bagan@realm2", "soon")
            self.network.advance(20)
            self.assertEqual(self.three.parcels_waiting(), 1)
        self.network.advance(60)
        self.assertEqual(self.budi.mine(), ["bagan"])
        self.assertEqual(self.three.parcels_waiting(), 0)
        self.assertEqual(self.budi.history(group="bagan")[-1], "citra@realm3: soon")


class RestoredNewHome(RestoredTestCase):
    """realm2 is restored to before it has become the home. Until it is the home again, the others return
    nothing that was written there. realm3 is down, so that no link comes up later."""

    def lives(self) -> None:
        """The group moves, is written to, and realm3 goes down."""
        self.moves()
        self.ana.posts("bagan@realm1", "ana between")
        self.budi.posts("bagan", "between")
        self.network.settle()
        self.three.kill()

    def returned(self) -> None:
        self.assertEqual(self.budi.mine(), ["bagan"])
        for person in (self.ana, self.budi):
            shown = [each.partition(": ")[2] for each in person.history(group="bagan@realm1")]
            self.assertEqual(shown[3:], ["ana between", "between"], person.name)

    def test_alone_with_the_former_home(self) -> None:
        """It comes back once realm2 is the home."""
        copy = self.back_up(self.two)
        self.lives()
        self.restore(self.two, copy)
        self.returned()

    def test_consent_is_known(self) -> None:
        """realm2 has agreed before it was backed up."""
        self.assertEqual(self.move(self.budi, "bagan@realm1", "realm2"), "proposed")
        copy = self.back_up(self.two)
        self.assertEqual(self.move(self.ana, "bagan", "realm2"), "agreed")
        self.network.advance(60)
        self.assertEqual(self.budi.mine(), ["bagan"])
        self.ana.posts("bagan@realm1", "ana between")
        self.budi.posts("bagan", "between")
        self.network.settle()
        self.three.kill()
        self.restore(self.two, copy)
        self.returned()

    def test_killed_as_soon_as_it_is_the_home(self) -> None:
        """What is in doubt is known after a kill, too: it is on disk before the group lives here."""
        copy = self.back_up(self.two)
        self.lives()
        with (
            mock.patch.object(Standings, "lower") as lower,
            mock.patch.object(AmpLinks, "renew") as renew,
        ):
            self.restore(self.two, copy)
        self.assertEqual((lower.call_count, renew.call_count), (1, 1))
        self.assertEqual(self.budi.mine(), ["bagan"])
        self.assertEqual(len(self.budi.history(group="bagan")), 3)
        self.two.restart()
        self.network.advance(60)
        self.returned()

    def test_killed_before_the_links_are_new(self) -> None:
        """Either side may be killed before realm1 returns everything again."""
        for server in (self.one, self.two):
            copy = self.back_up(self.two)
            if self.budi.mine() != ["bagan"]:
                self.lives()
                first = copy
            with mock.patch.object(AmpLinks, "renew") as renew:
                self.restore(self.two, first)
            self.assertEqual(renew.call_count, 1)
            self.assertEqual(len(self.budi.history(group="bagan")), 3)
            server.restart()
            self.network.advance(60)
            self.returned()

    def test_returned_over_an_earlier_link(self) -> None:
        """What realm1 returns over the link from before does not count any more."""
        copy = self.back_up(self.two)
        self.lives()
        with mock.patch.object(AmpLinks, "renew"):
            self.restore(self.two, copy)
        standings = self.two.federation.standings
        self.network.result(standings.settle("realm1", 1))
        self.assertFalse(standings.is_settled("realm1"))
        with self.assertRaises(RealmDown):
            self.network.result(self.two.federation.guests.answer("realm1", GuestList((), (0, ""))))
        self.network.cut()
        self.network.advance(60)
        self.returned()
        self.assertTrue(standings.is_settled("realm1"))

    def test_who_has_joined_since(self) -> None:
        """Who has joined the group in the new home is a member again."""
        copy = self.back_up(self.two)
        self.moves()
        dewi = self.one.person("dewi")
        dewi.joins("bagan@realm2")
        dewi.posts("bagan@realm2", "dewi between")
        self.network.settle()
        self.three.kill()
        self.restore(self.two, copy)
        self.assertEqual(dewi.mine(), ["bagan@realm2"])
        dewi.posts("bagan@realm2", "after")
        self.network.settle()
        self.assertIn("dewi@realm1", [each.rstrip("+") for each in self.budi.members("bagan")])
        shown = [each.partition(": ")[2] for each in self.budi.history(group="bagan")]
        self.assertEqual(shown[3:], ["dewi between", "after"])
