"""Rosters: a change costs the same in groups of all sizes, and the cache agrees with the database."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import (
    GroupFull,
    NotAdmin,
    NotMember,
    NotTheirGroup,
    RealmFull,
    TooManyGroups,
)
from chatd.base.model import Group, Party
from chatd.base.names import Address
from chatd.federation.amp import wire
from chatd.federation.parcels import Joined, Removed
from chatd.service.rosters import Actor, RosterChange
from chatd.store import members as store
from chatd.store import mirrors
from chatd.store.members import Bounds, find_named, roster_of
from chatd.store.roster import Delta, Roster
from chatd.store.schema import remote_members, rosters
from tests.support.engines import only_sqlite
from tests.support.inline import result_of
from tests.unit.federation.test_realm_groups import GroupTestCase
from tests.unit.service.test_groups import BAGAN, GroupsTestCase

NO_BOUNDS = Bounds(1 << 30, 1 << 30, 1 << 30)


@only_sqlite("the instructions")
class Constant(GroupsTestCase):
    def steps(self, job: Callable[[Connection], Any]) -> int:
        """How many hundreds of instructions SQLite executes for a job."""
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        def counted(connection: Connection) -> None:
            driver: Any = connection.connection.driver_connection
            driver.set_progress_handler(step, 100)
            try:
                job(connection)
            finally:
                driver.set_progress_handler(None, 0)

        result_of(self.database.run(counted))
        return count

    def test_join_and_leave(self) -> None:
        """With 3,000 more members, a join, a leave and the last admin's leave execute as many
        instructions."""
        group = self.create(self.ana)
        result_of(self.rosters.find(BAGAN))
        emma = Party("emma@realm2", "emma@realm2", realm="realm2")

        def join(connection: Connection) -> None:
            store.join_group(connection, group, emma, 1, NO_BOUNDS, 1, invited=False)

        def leave(connection: Connection) -> None:
            store.leave_group(connection, group, emma)

        def heir(connection: Connection) -> None:
            self.join_all(connection, group.id, [])
            party = Party(self.ana.key, "ana", self.ana.id)
            store.leave_group(connection, group, party)

        few = [self.steps(join), self.steps(leave)]
        many = [f"m{number}@realm3" for number in range(3000)]
        result_of(self.database.run(self.join_all, group.id, many))
        self.assertLess(sum([self.steps(join), self.steps(leave)]), 2 * sum(few) + 5)
        self.assertLess(self.steps(heir), 5 * sum(few) + 5)

    @staticmethod
    def join_all(connection: Connection, group: int, names: list[str]) -> None:
        if names:
            connection.execute(
                insert(remote_members),
                [
                    {"conversation_id": group, "key": each, "address": each, "realm": "realm3",
                     "joined_at": 2 + number}
                    for number, each in enumerate(names)
                ],
            )  # fmt: skip
            connection.execute(rosters.update().values(members=1 + len(names)))

    def test_nothing_is_read_again(self) -> None:
        """A change of a cached group does not read its members."""
        self.create(self.ana)
        result_of(self.rosters.find(BAGAN))
        self.patch(store, "roster_of", None)
        self.join(self.budi)
        self.assertNotIsInstance(self.post(self.budi, "halo"), type)
        result_of(self.groups.kick(self.ana, BAGAN, Address("budi")))
        result_of(self.groups.leave(self.ana, BAGAN))


class Agreeing(GroupsTestCase):
    def test_memory_and_disk(self) -> None:
        """After any changes, with many in one transaction, the cached roster equals the stored one."""
        random = Random(11)  # noqa: S311 - the same in each run
        group = self.create(self.ana)
        result_of(self.rosters.find(BAGAN))
        guests = [Party(f"g{n}@realm{n % 3}", f"g{n}@realm{n % 3}", realm=f"realm{n % 3}")
                  for n in range(6)]  # fmt: skip
        people = [Party(each.key, each.name, each.id) for each in (self.budi, self.citra)]
        ana = Actor(Party(self.ana.key, "ana", self.ana.id))
        for _ in range(60):
            calls = []
            for _ in range(random.randrange(1, 5)):
                who = random.choice(guests + people)
                calls.append(random.choice(self.changes(group, ana, who)))
            self.together(*calls)
            self._compare()

    def changes(self, group: Group, ana: Actor, who: Party) -> list[Callable[[], Any]]:
        """What may happen to `who`, or to the group."""
        where, settings = Address(*who.name.split("@")), self.groups.settings.of_homes
        return [
            lambda: self.homes.join(Actor(who), BAGAN),
            lambda: self.homes.leave(Actor(who), BAGAN),
            lambda: self._kick(ana, where),
            lambda: self.service.groups.home_invites.invite(ana, BAGAN, [where]),
            lambda: self.rosters.change(lambda db: RosterChange(store.set_admin(db, group, who))),
            lambda: settings.set(ana, BAGAN, {"closed": True}),
            lambda: settings.set(ana, BAGAN, {"closed": False}),
        ]

    def _kick(self, ana: Actor, where: Address) -> Any:
        self.service.realms.name_of = lambda realm: realm  # type: ignore[method-assign]
        return self.homes.kick(ana, BAGAN, where)

    def _compare(self) -> None:
        def fresh(connection: Connection) -> Any:
            group = find_named(connection, "bagan")
            assert group is not None
            size = connection.scalar(select(rosters.c.members))
            return roster_of(connection, group), size

        roster, size = result_of(self.database.read(fresh))
        found = self.rosters.cached("bagan")
        assert found is not None
        self.assertEqual(found, roster)
        self.assertEqual(list(found.members), list(roster.members))
        self.assertEqual(len(roster.members) + len(roster.guests), size)

    def test_last_admin_of_many(self) -> None:
        """The longest-standing member becomes admin, even if several joined in the same millisecond."""
        self.create(self.ana)
        self.together(
            lambda: self.groups.join(self.citra, BAGAN), lambda: self.groups.join(self.budi, BAGAN)
        )
        result_of(self.groups.leave(self.ana, BAGAN))
        self.assertEqual(self.members(self.budi), [("citra", True), ("Budi", False)])


class Listed(GroupTestCase):
    def test_in_pages(self) -> None:
        """Another realm reads the members in pages, and the cost of a page depends only on its size."""
        self.patch(wire, "MAX_NAMES", 2)
        names = [f"m{number}" for number in range(4)]
        for name in names:
            self.two.person(name).joins("bagan@realm1")
        found = self.budi.joins("bagan@realm1") and self.budi.members("bagan@realm1")
        self.assertEqual(found, ["*ana@realm1+", *(f"{name}+" for name in names), "budi+"])
        page, more = self.network.result(
            self.one.federation.questions.members("realm2", "budi", "bagan", 1, 3)
        )
        self.assertEqual(([each.username for each in page], more),
                         (["m0@realm2", "m1@realm2", "m2@realm2"], 2))  # fmt: skip
        for start in (6, 1 << 70, -1):
            page, more = self.network.result(
                self.one.federation.questions.members("realm2", "budi", "bagan", start, 3)
            )
            self.assertEqual((len(page), more), (3, 3) if start < 0 else (0, 0))


class Bounded(GroupTestCase):
    def test_members_of_one_realm(self) -> None:
        """A group has a limit on the members of one other realm. Members of other realms can still join."""
        self.bound(members=10, realm_members=1)
        self.budi.joins("bagan@realm1")
        with self.assertRaises(RealmFull) as caught:
            self.bela.joins("bagan@realm1")
        self.assertIn("has 1 members from realm2", str(caught.exception))
        self.citra.joins("bagan@realm1")
        self.assertEqual(self.invite(self.ana, "bela@realm2", "agus"),
                         "2 invited to bagan; they have to accept: bela@realm2")  # fmt: skip
        self.network.settle()
        with self.assertRaises(RealmFull):
            self.bela.accepts("bagan@realm1")

    def bound(self, members: int, realm_members: int) -> None:
        context = self.one.service.context
        limits, peers = context.config.limits, context.config.peers
        replace = msgspec.structs.replace
        limits = replace(limits, group_members=members, account_groups=1000)
        peers = replace(peers, group_members=realm_members)
        context.use(replace(context.config, limits=limits, peers=peers))

    def test_members(self) -> None:
        self.bound(members=2, realm_members=10)
        self.budi.joins("bagan@realm1")
        with self.assertRaises(GroupFull):
            self.bela.joins("bagan@realm1")
        with self.assertRaises(GroupFull):
            self.agus.joins("bagan")
        self.kick(self.ana, "budi@realm2")
        self.agus.joins("bagan")

    def test_groups_elsewhere(self) -> None:
        """An account that is in too many groups can't join one elsewhere, invited or not."""
        context = self.two.service.context
        limits = msgspec.structs.replace(context.config.limits, account_groups=1)
        context.use(msgspec.structs.replace(context.config, limits=limits))
        self.budi.creates("rumah")
        with self.assertRaises(TooManyGroups):
            self.budi.joins("bagan@realm1")
        self.invite(self.ana, "budi@realm2")
        self.network.settle()
        with self.assertRaises(TooManyGroups):
            self.budi.accepts("bagan@realm1")
        self.assertEqual(self.budi.mine(), ["rumah"])
        self.assertEqual(self.ana.members("bagan"), ["*ana+"])

    def test_groups_of_one_realm(self) -> None:
        """The number of groups of one realm that are remembered here is limited."""
        self.patch(mirrors, "MAX_MIRRORS", 3)
        for n in range(5):
            self.budi.has_asked_for(f"g{n}@realm1")
        verdicts = self.two.receives(
            "realm1", *((n + 100, Joined(f"g{n}", n + 100, "budi", 0)) for n in range(5))
        )
        self.assertEqual([each.code for each in verdicts], [""] * 3 + ["too-many-groups"] * 2)
        self.two.receives("realm1", (200, Removed("g0", 100, "budi")))
        self.assertEqual(len(self.budi.mine()), 2)


class Viewers(SynchronousTestCase):
    def test_past_is_hidden(self) -> None:
        """A later member does not see earlier messages, nor those that are being passed on."""
        group = Group(1, "bagan", "bagan", "", closed=False)
        roster = Roster(group, {1: True, 2: False}, {}, {}, set(), firsts={2: 5})
        waiting = roster.viewers(8)
        roster.apply(Delta(1, ((Party("budi", "budi", 3), False),), first=9))
        self.assertEqual(set(waiting), {1, 2})
        for seq, seen_by in ((4, {1}), (5, {1, 2}), (8, {1, 2}), (9, {1, 2, 3})):
            viewers = roster.viewers(seq)
            self.assertEqual(set(viewers), seen_by)
            self.assertEqual({each for each in range(5) if each in viewers}, seen_by)
            self.assertGreaterEqual(len(viewers), len(seen_by))
        self.assertIs(roster.viewers(9), roster.members)


class Races(GroupsTestCase):
    def test_transfer_to_a_member_who_leaves(self) -> None:
        """It is refused, so that the group keeps its admin."""
        self.create(self.ana)
        self.join(self.budi)
        self.database.held = True
        leaving = Deferred.fromCoroutine(self.groups.leave(self.budi, BAGAN))
        moving = self.groups.settings.transfer(self.ana, BAGAN, Address("budi"))
        transferring = Deferred.fromCoroutine(moving)
        self.database.settle()
        self.successResultOf(leaving)
        self.failureResultOf(transferring, NotTheirGroup)
        group = result_of(self.rosters.find(BAGAN))
        self.assertEqual(group.members, {self.ana.id: True})

    def test_no_admin_any_more(self) -> None:
        """What an admin asks for is refused if they lose the role before it is done."""
        self.create(self.ana)
        for each in (self.budi, self.citra):
            self.join(each)
        settings, user = self.groups.settings, Address("citra")
        requests = (
            lambda: self.groups.kick(self.ana, BAGAN, user),
            lambda: self.groups.invite(self.ana, BAGAN, (Address("dewi"),)),
            lambda: self.groups.unban(self.ana, BAGAN, user),
            lambda: settings.promote(self.ana, BAGAN, Address("ana")),
            lambda: settings.set(self.ana, BAGAN, {"topic": "Rapat"}),
            lambda: settings.renew_code(self.ana, BAGAN),
        )
        for lose, refusal in (
            (lambda: settings.transfer(self.ana, BAGAN, Address("budi")), NotAdmin),
            (lambda: self.groups.leave(self.ana, BAGAN), NotMember),
        ):
            self.database.held = True
            lost = Deferred.fromCoroutine(lose())
            asked = [Deferred.fromCoroutine(request()) for request in requests]
            self.database.settle()
            self.successResultOf(lost)
            self.database.held = False
            for done in asked:
                self.failureResultOf(done, refusal)
            result_of(self.groups.invite(self.budi, BAGAN, (Address("ana"),)))
            result_of(settings.promote(self.budi, BAGAN, Address("ana")))
