"""The messages of an author stay in order when a group is rescued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatd.base.events import GroupChange
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation import rescue_following, rescue_founding
from chatd.federation.rescue_founding import GAP
from chatd.simulate.people import Person
from chatd.simulate.servers import Server
from chatd.store.groups import find_group
from tests.unit.federation.test_rescues import LONG, SOON, RescueTestCase

WAITING = ["waits 1", "waits 2", "waits 3"]


class RescueOrderTestCase(RescueTestCase):
    realms = 3

    def setUp(self) -> None:
        super().setUp()
        self.home.kill()
        for name in ("budi", "citra"):
            for text in WAITING:
                self.posts(name, text)

    def while_it_runs(self, module: Any, function: str, post: Callable[[], object]) -> None:
        """Call `post` while `function`, of the transaction that gives the group another home, runs."""
        run = getattr(module, function)

        def both(*arguments: Any) -> Any:
            post()
            return run(*arguments)

        self.patch(module, function, both)

    def begins(self, person: Person, text: str) -> Callable[[], object]:
        """Something that begins to post to the lost home."""
        return lambda: person.begins_to_post("bagan@realm1", text)

    def of(self, author: str, reader: str, group: str) -> list[str]:
        """The texts of an author, as a reader sees them in the log."""
        shown = (each.partition(": ") for each in self.shown(reader, group))
        return [text for name, _, text in shown if name == author]

    def is_rescued(self) -> None:
        """budi rescues the group, which has just been stored."""
        rescue = ask.RescueGroup(parse_address("bagan@realm1"))
        self.budi.begins(rescue).addErrback(lambda _failure: None)
        while not self.lives_here(self.second):
            self.network.step()

    def lives_here(self, server: Server) -> bool:
        group = server.realm.database.now(lambda db: find_group(db, "bagan"))
        return group is not None and group.realm is None

    def test_founder(self) -> None:
        """What is posted in the moment of the rescue comes after what waits."""
        self.away(self.home)
        self.while_it_runs(rescue_founding, "promote", self.begins(self.budi, "later"))
        self.rescues("budi")
        self.network.advance(SOON)
        self.posts("budi", "last", "bagan")
        self.network.advance(SOON)
        for reader, group in (("budi", "bagan"), ("citra", "bagan@realm2")):
            self.assertEqual(self.of("budi", reader, group), [*WAITING, "later", "last"], reader)
        self.nothing_waits()

    def test_after_the_rescue(self) -> None:
        """What is posted as soon as the rescue is stored comes after what waits."""
        self.away(self.home)
        self.is_rescued()
        self.budi.begins_to_post("bagan", "later")
        self.network.advance(SOON)
        self.assertEqual(self.of("budi", "budi", "bagan"), [*WAITING, "later"])
        self.assertEqual(self.of("budi", "citra", "bagan@realm2"), [*WAITING, "later"])
        self.nothing_waits()

    def test_follower(self) -> None:
        """What is posted in the moment in which a realm follows comes after what it reroutes."""
        self.away(self.home)
        self.while_it_runs(rescue_following, "switch", self.begins(self.citra, "later"))
        self.rescues("budi")
        self.network.advance(SOON)
        self.posts("citra", "last", "bagan@realm2")
        self.network.advance(SOON)
        for reader, group in (("budi", "bagan"), ("citra", "bagan@realm2")):
            self.assertEqual(self.of("citra", reader, group), [*WAITING, "later", "last"], reader)
        self.nothing_waits()

    def test_killed(self) -> None:
        """The founder's realm is killed right after the rescue, and is linked with nobody then."""
        self.away(self.home)
        self.partition([self.second], [self.third])
        self.is_rescued()
        self.second.restart()
        self.posts("budi", "last", "bagan")
        self.assertEqual(self.of("budi", "budi", "bagan"), [*WAITING, "last"])
        self.partition()
        self.network.advance(2 * SOON)
        self.assertEqual(self.of("budi", "citra", "bagan@realm2"), [*WAITING, "last"])
        self.nothing_waits()


class RescueGapTestCase(RescueTestCase):
    realms = 3

    def test_gap(self) -> None:
        """The first entry of the new home comes after the gap, also if its realm was not started since the
        lost home has numbered an entry."""
        self.partition([self.home], [self.second, self.third])
        self.posts("budi", "waits")
        self.network.advance(LONG + SOON)
        self.rescues("budi")
        [seq] = [
            each.seq
            for each in self.budi.events
            if isinstance(each, GroupChange) and "home" in each.fields
        ]
        self.assertGreater(seq, GAP)
