"""Groups with members of several realms that operators pass on and delete."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred

from chatd.base.errors import (
    ChatError,
    GroupElsewhere,
    GroupEnding,
    NotMember,
    NotTheirGroup,
    UnknownGroup,
)
from chatd.base.events import MemberChange
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.service import group_removals as module
from chatd.service import managed_groups
from chatd.service.group_removals import GroupRemovals
from chatd.store import group_removals as store
from chatd.store.group_removals import local_members
from chatd.store.groups import group_of
from chatd.store.retention import RetentionLimits, put_limits, remove_messages
from chatd.store.schema import (
    attachments,
    changes,
    group_removals,
    groups,
    messages,
    outbox,
    reactions,
    reports,
    retention,
    shut_groups,
)
from tests.support.managing import close_at, delete_at, open_at, transfer_at
from tests.support.network import Person, Server
from tests.unit.federation.test_realm_groups import GroupTestCase
from tests.unit.federation.test_rescues import LONG, RescueTestCase

PLACE = Place(None, parse_group("bagan@realm1"))


class PeopleTestCase(GroupTestCase):
    """ana and agus of realm1, budi of realm2 and citra of realm3 are members."""

    def setUp(self) -> None:
        super().setUp()
        self.agus.joins("bagan")
        self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.network.settle()

    def told(self, person: Person) -> list[tuple[str, str, str]]:
        return [
            (each.by, each.what, each.who)
            for each in person.events
            if isinstance(each, MemberChange)
        ]


class Transferred(PeopleTestCase):
    def test_to_somebody_elsewhere(self) -> None:
        """The others become ordinary members, and all members read that it was the realm."""
        self.promote(self.ana, "agus")
        for person in (self.ana, self.budi, self.citra):
            person.does(ask.SetListening("all"))
        transfer_at(self.one, "budi@realm2")
        self.network.settle()
        expected = [
            ("system", "promoted", "budi@realm2"),
            ("system", "demoted", "ana"),
            ("system", "demoted", "agus"),
        ]
        self.assertEqual(self.told(self.ana), expected)
        there = [(f"{by}@realm1", what, who.split("@")[0]) for by, what, who in expected]
        found = [(by, what, who.split("@")[0]) for by, what, who in self.told(self.budi)]
        self.assertEqual(found, there)
        self.assertEqual(len(self.told(self.citra)), 3)
        members = [each.rstrip("+") for each in self.ana.members("bagan")]
        self.assertEqual(members, ["ana", "agus", "*budi@realm2", "citra@realm3"])
        self.budi.does(ask.SetGroup(parse_address("bagan@realm1"), title="Mine"))

    def test_many_admins(self) -> None:
        """They become ordinary members in several transactions."""
        self.patch(managed_groups, "AT_ONCE", 1)
        for name in ("agus", "budi@realm2", "citra@realm3"):
            self.promote(self.ana, name)
        transfer_at(self.one, "agus")
        admins = [each for each in self.ana.members("bagan") if each.startswith("*")]
        self.assertEqual([each.rstrip("+") for each in admins], ["*agus"])

    def test_keeping_the_admins(self) -> None:
        """Also of a closed group."""
        close_at(self.one)
        transfer_at(self.one, "citra@realm3", keep=True)
        members = [each.rstrip("+") for each in self.ana.members("bagan")]
        self.assertEqual(members, ["*ana", "agus", "budi@realm2", "*citra@realm3"])

    def test_refused(self) -> None:
        for user, server, group, error in (
            ("bela@realm2", self.one, "bagan", NotTheirGroup),
            ("budi", self.two, "bagan@realm1", GroupElsewhere),
            ("budi", self.two, "nihil", UnknownGroup),
        ):
            with self.assertRaises(error):
                transfer_at(server, user, group=group)


class Deleted(PeopleTestCase):
    def setUp(self) -> None:
        super().setUp()
        for person, group in ((self.ana, "bagan"), (self.budi, "bagan@realm1")):
            for n in range(4):
                person.posts(group, f"{person.name} {n}")
        self.ana.sends_file("#bagan", "a.txt", b"kucing" * 100)
        self.network.advance(5)

    def texts(self, server: Server) -> list[str]:
        query = sa.select(messages.c.text).where(messages.c.text.like("% _"))
        return list(server.realm.database.now(lambda db: db.scalars(query).all()))

    def count(self, server: Server, table: sa.Table) -> int:
        query = sa.select(sa.func.count()).select_from(table)
        return int(server.realm.database.now(lambda db: db.scalar(query)))

    def ended(self, server: Server) -> None:
        """Nothing is left of the group in a realm."""
        self.assertEqual(self.texts(server), [])
        self.assertEqual(self.count(server, attachments), 0)
        self.assertEqual(list(server.realm.state.uploads.glob("*-*")), [])
        if server is not self.one:
            return  # it keeps an empty copy, as after all its members have left
        for table in (group_removals, shut_groups):
            self.assertEqual(self.count(server, table), 0)
        query = sa.select(groups.c.key).where(groups.c.name == "bagan")
        self.assertEqual(server.realm.database.now(lambda db: db.scalars(query).all()), [None])

    def all_ended(self) -> None:
        for server in (self.one, self.two, self.three):
            self.ended(server)
        for person, group in ((self.ana, "bagan"), (self.budi, "bagan@realm1")):
            self.assertEqual(person.mine(), [])
            with self.assertRaises((UnknownGroup, NotMember)):
                person.history(group=group)

    def test_everywhere(self) -> None:
        """Members are told that they were removed, all realms erase what they have, and the name is free."""
        for person in (self.ana, self.agus, self.budi):
            person.does(ask.SetListening("all"))
        pages, was_told = list[int](), store.was_told

        def noted(*about: Any) -> None:
            pages.append(about[-1])
            was_told(*about)

        self.patch(store, "was_told", noted)
        delete_at(self.one)
        self.network.advance(30)
        self.all_ended()
        self.assertEqual(len(pages), 1)  # transaction for all nine messages
        self.assertIn(("system", "kicked", "agus"), self.told(self.agus))
        self.assertIn(("system@realm1", "kicked", "budi"), self.told(self.budi))
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.budi.posts("bagan@realm1", "anew")
        self.assertEqual(self.ana.history(group="bagan"), ["budi@realm2: anew"])

    def test_what_only_the_home_has_removed(self) -> None:
        """Other realms learn that, too."""
        now = self.one.service.context.now()
        old = self.one.realm.database.run(remove_messages, 1, now + 1, now, 40)
        self.assertEqual(self.network.result(old).count, 9)
        self.assertEqual(self.texts(self.one), [])
        self.assertEqual(len(self.texts(self.two)), 8)
        delete_at(self.one)
        self.network.advance(30)
        self.all_ended()

    def test_what_waits_is_emptied(self) -> None:
        """A realm that is away gets none of the contents when it is back, of messages and of edits. What was
        there before other realms had members is deleted, too."""
        self.ana.creates("nusa")
        self.ana.posts("nusa", "kucing early")
        self.budi.joins("nusa@realm1")
        self.network.settle()
        self.part(self.two)
        self.ana.posts("nusa", "kucing late")
        nusa = Place(None, parse_group("nusa"))
        [early, late] = self.ana.does(ask.ShowHistory(nusa, 5)).items
        self.ana.does(ask.EditMessage(nusa, late.seq, "kucing later"))
        self.ana.does(ask.ReactToMessage(nusa, early.seq, "👍", True))
        database = self.one.realm.database
        waiting = sa.select(outbox.c.parcel)
        held = b"".join(database.now(lambda db: db.scalars(waiting).all()))
        self.assertEqual((held.count(b"kucing late"), held.count(b"kucing later")), (2, 1))
        delete_at(self.one, "nusa")
        self.network.advance(5)
        held = b"".join(database.now(lambda db: db.scalars(waiting).all()))
        self.assertNotIn(b"kucing", held)
        self.assertEqual(self.count(self.one, reactions), 0)
        self.meet()
        self.network.advance(30)
        deleted = sa.select(changes.c.target).where(changes.c.kind == "deleted")
        for server in (self.one, self.two):
            found = server.realm.database.now(lambda db: db.scalars(deleted).all())
            self.assertEqual(sorted(found), [early.seq, late.seq], server.name)
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])

    def test_a_realm_is_behind(self) -> None:
        """If many parcels wait for it, it is told of the others more slowly."""
        self.patch(module, "DELETED", 1)
        self.patch(module, "BEHIND", 3)
        self.part(self.two)
        delete_at(self.one)
        self.network.advance(3.5)
        self.assertGreater(self.count(self.one, group_removals), 0)
        self.assertIn(len(self.texts(self.one)), range(2, 6))
        self.network.advance(20)
        self.ended(self.one)

    def test_killed_at_each_step(self) -> None:
        """A start continues where the kill has interrupted it."""
        for name, count in (("MEMBERS", 1), ("DELETED", 2), ("ERASED", 2)):
            self.patch(module, name, count)
        delete_at(self.one)
        for _ in range(60):
            if not self.count(self.one, group_removals):
                break
            self.one.kill()
            self.one.open()
            self.network.advance(0.02)
        self.assertEqual(self.count(self.one, group_removals), 0)
        self.network.advance(400)
        self.all_ended()

    def test_meanwhile(self) -> None:
        """It is closed, and neither opened nor deleted a second time."""
        self.one.service.group_removals.stop()
        delete_at(self.one)
        with self.assertRaises(ChatError) as caught:
            self.budi.posts("bagan@realm1", "late")
        self.assertIn("realm: it is being deleted;", str(caught.exception))
        for act in (open_at, delete_at, close_at):
            with self.assertRaises(GroupEnding):
                act(self.one)
        with self.assertRaises(GroupEnding):
            transfer_at(self.one, "agus")
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.agus.does(ask.LeaveGroup(parse_address("bagan")))
        self.one.restart()
        self.network.advance(400)
        self.ended(self.one)
        self.assertEqual(self.texts(self.three), [])

    def test_a_realm_is_away(self) -> None:
        """It learns everything when it is back, and the others do not wait."""
        self.part(self.two)
        delete_at(self.one)
        self.network.advance(30)
        self.ended(self.one)
        self.ended(self.three)
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])
        self.meet()
        self.network.advance(30)
        self.all_ended()

    def test_full_disk_and_errors(self) -> None:
        """It continues later, and one that fails does not stop another."""
        self.ana.creates("nusa")
        removals: Any = self.one.service.group_removals
        failing, take = True, removals._delete

        async def fail(*what: Any) -> None:
            if failing:
                raise ZeroDivisionError
            await take(*what)

        self.patch(removals, "_delete", fail)
        delete_at(self.one)
        delete_at(self.one, "nusa")
        self.network.advance(30)
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))
        self.assertEqual(self.ana.mine(), [])
        self.assertEqual(self.count(self.one, group_removals), 1)
        failing = False
        self.one.realm.database.full = True
        self.network.advance(70)
        self.one.realm.database.full = False
        self.network.advance(70)
        self.assertEqual(self.count(self.one, group_removals), 0)
        self.assertEqual(self.texts(self.one), [])

    def test_group_elsewhere(self) -> None:
        with self.assertRaises(GroupElsewhere):
            delete_at(self.two, "bagan@realm1")


class Rescued(RescueTestCase):
    """The home of a group is away in the middle of its deletion, and the group is rescued elsewhere."""

    realms = 3

    def count(self, table: sa.Table) -> int:
        query = sa.select(sa.func.count()).select_from(table)
        return int(self.home.realm.database.now(lambda db: db.scalar(query)))

    def test_lives_elsewhere(self) -> None:
        """The deletion ends. The members stay, and so does what the realm has noted of the group, which
        operators of its new home may open."""
        database = self.home.realm.database
        self.network.result(database.run(put_limits, 1, RetentionLimits(5)))
        self.posts("budi", "two")
        place = Place(None, parse_group("bagan"))
        [*_, two] = self.ana.does(ask.ShowHistory(place, 5)).items
        self.ana.does(ask.ReportMessage(place, two.seq, "rude"))
        run = GroupRemovals._run

        async def nothing(_removals: GroupRemovals) -> None: ...

        self.patch(GroupRemovals, "_run", nothing)
        self.home.restart()
        delete_at(self.home)
        before = self.network.result(self.home.realm.database.run(group_of, 1))
        self.home.kill()
        self.away(self.home, seconds=LONG + 60)
        self.rescues("budi")
        self.comes_back(self.home)
        self.assertEqual(self.address("ana"), "bagan@realm2")
        removals: Any = self.home.service.group_removals
        running = Deferred.fromCoroutine(run(removals))
        self.network.advance(5)
        self.assertTrue(running.called)
        # A step that began before.
        here = self.home.realm.database.now(lambda db: local_members(db, 1, 5))
        self.network.result(Deferred.fromCoroutine(removals._remove(before, here)))
        self.assertEqual(self.count(group_removals), 0)
        self.assertEqual([self.count(table) for table in (reports, retention)], [1, 1])
        self.assertEqual(self.address("ana"), "bagan@realm2")
        open_at(self.second)
        self.network.advance(5)
        self.posts("ana", "three", "bagan@realm2")
        self.assertIn("ana: three", self.shown("budi", "bagan"))
