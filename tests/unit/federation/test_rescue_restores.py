"""Realms that take part in a rescue, and are restored from backups that were made before it."""

from __future__ import annotations

from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation.group_rosters import SOON as ROSTER_SOON
from chatd.simulate.servers import Server
from tests.support.restores import RestoringTestCase
from tests.unit.federation.test_rescues import SOON, RescueTestCase


class RescueRestoresTestCase(RestoringTestCase, RescueTestCase):
    """realm1 is lost, and budi of realm2 has founded the group again."""

    def setUp(self) -> None:
        super().setUp()
        self.network.advance(2 * ROSTER_SOON)
        copied = self.copied()
        self.copy = None if copied is None else self.back_up(copied)
        self.away(self.home)
        self.rescues("budi")
        self.network.advance(SOON)
        for name in ("budi", "citra", "dewi"):
            self.posts(name, f"{name} in the new home")
        self.network.advance(SOON)

    def copied(self) -> Server | None:
        """Which realm is backed up before the rescue."""
        return None

    def restores(self, server: Server) -> None:
        assert self.copy is not None
        self.restore(server, self.copy)
        self.listen()
        self.network.advance(100)

    def settled(self, *more: str) -> None:
        """All have the same messages, and write to the same group."""
        names = ("budi", "citra", "dewi", *more)
        self.assertEqual(self.address("budi"), "bagan")
        for name in names[1:]:
            self.assertEqual(self.address(name), "bagan@realm2", name)
        for name in names:
            self.posts(name, f"{name} at the end", "bagan@realm2" if name == "ana" else None)
        self.network.advance(SOON)
        self.assertEqual(len(self.same(*names)), 4 + len(names))
        self.nothing_waits()


class RestoredFollowerTestCase(RescueRestoresTestCase):
    def copied(self) -> Server:
        return self.third

    def test_it_follows_again(self) -> None:
        self.restores(self.third)
        self.settled()
        self.comes_back(self.home)
        self.network.advance(SOON)
        self.assertEqual(self.address("ana"), "bagan@realm2")


class RestoredFounderTestCase(RescueRestoresTestCase):
    def copied(self) -> Server:
        return self.second

    def test_it_founds_the_group_again(self) -> None:
        """The realms that follow tell it so, and all of their people are members as before."""
        self.restores(self.second)
        self.settled()
        found = sorted(each.rstrip("+") for each in self.budi.members("bagan"))
        self.assertEqual(found, ["*budi", "*citra@realm3", "dewi@realm4"])

    def test_home_is_back_meanwhile(self) -> None:
        self.comes_back(self.home)
        self.restores(self.second)
        self.network.advance(100)
        self.settled("ana")


class RestoredHomeTestCase(RescueRestoresTestCase):
    def copied(self) -> Server:
        return self.home

    def test_it_yields(self) -> None:
        self.restores(self.home)
        self.network.advance(SOON)
        self.settled("ana")


class MovedAfterRescueTestCase(RescueRestoresTestCase):
    def test_planned_move(self) -> None:
        """A group that was rescued moves like any. A lost home that is back only then keeps its own copy, and
        the others do not follow it."""
        self.budi.does(ask.MoveGroup(parse_address("bagan"), "realm3"))
        self.network.advance(SOON)
        self.citra.does(ask.MoveGroup(parse_address("bagan@realm2"), "realm3"))
        self.network.advance(6 * SOON)
        self.assertEqual(self.address("citra"), "bagan")
        for name in ("budi", "dewi"):
            self.assertEqual(self.address(name), "bagan@realm3", name)
        self.comes_back(self.home)
        self.network.advance(100)
        self.assertEqual(self.address("ana"), "bagan")
        self.posts("ana", "alone")
        for name in ("budi", "citra", "dewi"):
            self.posts(name, f"{name} at the end")
        self.network.advance(SOON)
        log = self.same("budi", "citra", "dewi")
        self.assertEqual(len(log), 7)
        self.assertNotIn("ana: alone", log)
        self.nothing_waits()


class MoveCutShortTestCase(RestoringTestCase, RescueTestCase):
    """The new home of a group that has moved is lost for good, before any realm but the former home knows."""

    def test_former_home_is_restored(self) -> None:
        """The former home is restored from a backup from before the move (docs/operating/incidents.md)."""
        copy = self.back_up(self.home)
        self.listen()
        self.posts("dewi", "after the backup")
        self.partition([self.third], [self.second, self.servers[3]])
        self.ana.does(ask.MoveGroup(parse_address("bagan"), "realm3"))
        self.network.advance(SOON)
        self.citra.does(ask.MoveGroup(parse_address("bagan@realm1"), "realm3"))
        self.network.until(lambda: self.address("ana") == "bagan@realm3")
        self.network.until(lambda: self.address("citra") == "bagan")
        self.third.kill()
        self.network.advance(SOON)
        self.posts("budi", "to the lost home")
        self.assertEqual(self.address("budi"), "bagan@realm1")
        self.restore(self.home, copy)
        self.listen()
        self.network.advance(300)
        self.assertEqual(self.address("ana"), "bagan")
        for name in ("ana", "budi", "dewi"):
            self.posts(name, f"{name} at the end")
        self.network.advance(SOON)
        self.assertEqual(
            self.same("ana", "budi", "dewi"),
            [
                *("ana: ana at the end", "ana: one", "budi: budi at the end"),
                *("budi: to the lost home", "dewi: after the backup", "dewi: dewi at the end"),
            ],
        )
