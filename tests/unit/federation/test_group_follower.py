"""Realms that follow a group to another realm, also those that were away while it moved."""

from __future__ import annotations

from chatd.base.names import parse_address
from chatd.commands import values as ask
from tests.unit.federation.test_group_moves import MovingTestCase
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
