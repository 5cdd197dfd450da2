"""Members whom only one of two realms knows, after one of them was restored or has refused something."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from twisted.internet.defer import fail

from chatd.base.entries import MadeFact, MemberFact
from chatd.base.errors import NotMember, UnknownGroup
from chatd.base.events import ConversationChange, MemberChange
from chatd.base.model import Party, party_of
from chatd.base.names import Address, parse_address
from chatd.commands import values as ask
from chatd.service.rosters import RosterChange
from chatd.store import losses
from chatd.store.guest_lists import Guest
from chatd.store.losses import Lost
from chatd.store.roster import Delta
from chatd.store.schema import changes
from tests.support.network import LinkedTestCase


class MembersTestCase(LinkedTestCase):
    """ana has made bagan in realm1, budi and citra of realm2 are members."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("bagan")
        for person in (self.budi, self.citra):
            person.joins("bagan@realm1")
        [group] = self.ana.does(ask.ListConversations()).items
        self.ident = group.conversation

    def members(self) -> list[str]:
        return sorted(each.strip("*+") for each in self.ana.members("bagan"))

    def run_now(self, waiting: Any) -> None:
        self.network.result(waiting)
        self.network.settle()


class LostMembersTestCase(MembersTestCase):
    """What realm2 makes of the answer of the home."""

    def setUp(self) -> None:
        super().setUp()
        self.lost = self.two.realm.federation.guests._lost

    def test_not_there(self) -> None:
        """The home does not have them: they are removed here, and told so."""
        self.budi.does(ask.SetListening("all"))
        self.run_now(self.lost.not_there("realm1", Guest(self.ident, "bagan", "budi")))
        self.assertEqual(self.budi.mine(), [])
        [event] = [each for each in self.budi.events if isinstance(each, MemberChange)]
        self.assertEqual((event.what, event.who), ("kicked", "budi"))
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])

    def test_gone_meanwhile(self) -> None:
        """The account, the realm or the group was deleted, or they have left."""
        for realm, guest in (
            ("realm1", Guest(self.ident, "bagan", "nobody")),
            ("realm9", Guest(self.ident, "bagan", "budi")),
            ("realm1", Guest(1 << 40, "bagan", "budi")),
        ):
            self.run_now(self.lost.not_there(realm, guest))
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.budi.does(ask.SetListening("all"))
        self.run_now(self.lost.not_there("realm1", Guest(self.ident, "bagan", "budi")))
        self.assertEqual(self.budi.events, [])

    def test_not_here(self) -> None:
        """The home has somebody who is no account: it is told that they have left. Members stay."""
        self.two.person("eko")
        for user in ("budi", "nobody", "eko"):
            self.run_now(self.lost.not_here("realm1", Guest(self.ident, "bagan", user)))
        self.assertEqual(self.members(), ["ana", "budi@realm2", "citra@realm2"])


class LostGuestsTestCase(MembersTestCase):
    """What the home makes of refusals of the other realm."""

    def setUp(self) -> None:
        super().setUp()
        self.lost = self.one.realm.federation.outcomes._lost

    def test_guest(self) -> None:
        """Only the person who is unknown there is removed, from the group that has the name and the id."""
        budi = Party("budi@realm2", "budi@realm2", realm="realm2")
        for name, ident in (("bagan", 1 << 40), ("nusa", self.ident)):
            self.run_now(self.lost.drop_guest(Address(name), ident, budi))
        self.assertEqual(self.members(), ["ana", "budi@realm2", "citra@realm2"])
        self.run_now(self.lost.drop_guest(Address("bagan"), self.ident, budi))
        self.assertEqual(self.members(), ["ana", "citra@realm2"])

    def test_realm(self) -> None:
        for name, ident in (("bagan", 1 << 40), ("nusa", self.ident)):
            self.run_now(self.lost.drop_realm(Address(name), ident, "realm2"))
        self.run_now(self.lost.drop_realm(Address("bagan"), self.ident, "realm9"))
        self.assertEqual(self.members(), ["ana", "budi@realm2", "citra@realm2"])
        self.run_now(self.lost.drop_realm(Address("bagan"), self.ident, "realm2"))
        self.assertEqual(self.members(), ["ana"])

    def test_group_elsewhere(self) -> None:
        """A group that lives in another realm by now is left alone."""
        lost = self.two.realm.federation.outcomes._lost
        self.run_now(lost.drop_realm(parse_address("bagan@realm1"), self.ident, "realm1"))
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])


class OldMembersTestCase(MembersTestCase):
    def test_joined_without_an_entry(self) -> None:
        """They joined before there were such entries: what came after their time counts."""
        self.ana.posts("bagan", "one")
        self.one.realm.database.now(
            lambda db: db.execute(changes.delete().where(changes.c.author == "budi@realm2"))
        )
        self.one.realm.database.now(
            lambda db: db.execute(changes.delete().where(changes.c.author == "citra@realm2"))
        )
        lost = Lost("realm2", 0, 1 << 61)
        [group] = self.one.realm.database.now(lambda db: losses.homes(db, lost))
        self.assertEqual((group.conversation, group.name), (self.ident, "bagan"))
        self.assertEqual(self.one.realm.database.now(lambda db: losses.lost_joins(db, lost)), [])
        self.assertEqual(self.one.realm.database.now(lambda db: losses.directs(db, lost)), [])


class ChangesTestCase(MembersTestCase):
    """chatd.service.rosters, where something has changed meanwhile."""

    def setUp(self) -> None:
        super().setUp()
        self.agus = self.one.person("agus")
        self.rosters = self.one.service.rosters
        self.bagan = parse_address("bagan")

    def account(self, name: str) -> Any:
        return self.network.result(self.one.service.accounts.find(name))

    def test_no_member(self) -> None:
        found = self.network.result(self.rosters.find_mine(self.account("ana"), self.bagan))
        self.assertEqual(found.group.id, self.ident)
        with self.assertRaises(NotMember):
            self.network.result(self.rosters.find_mine(self.account("agus"), self.bagan))

    def test_ended_meanwhile(self) -> None:
        """The group ends between two steps of a search for what has a name."""
        self.rosters._cache._rosters.pop(self.ident)
        viewer = party_of(self.account("ana"))
        self.patch(self.rosters, "load", lambda *_: fail(UnknownGroup(name="bagan")))
        self.assertIsNone(self.network.result(self.rosters.named(self.bagan, viewer)))

    def test_dropped_meanwhile(self) -> None:
        """A roster that leaves the cache while it is looked up is read again."""
        run, dropped = self.rosters._database.run, []

        def drop(*job: Any) -> Any:
            dropped.append(self.rosters._cache._rosters.pop(self.ident))
            return run(*job)

        self.patch(self.rosters._database, "run", drop)
        found = self.network.result(self.rosters.load(self.bagan))
        self.assertEqual(found.group.id, self.ident)
        self.assertEqual(len(dropped), 2)

    def test_facts_without_a_group(self) -> None:
        """Nothing is written about a group that has ended."""
        ana = party_of(self.account("ana"))
        made = MadeFact(MemberFact(ana, "left"), ana, 5)
        before = self.log()
        self.run_now(self.rosters.change(lambda _db: RosterChange(Delta(0), (made,))))
        self.assertEqual(self.log(), before)

    def log(self) -> int:
        count = sa.select(sa.func.count()).select_from(changes)
        return int(self.one.realm.database.now(lambda db: db.scalar(count)))

    def test_moved_and_gone(self) -> None:
        """Nobody is told of a group that is not there any more."""
        self.ana.does(ask.SetListening("all"))
        group = self.network.result(self.rosters.find(self.bagan)).group
        gone = msgspec.structs.replace(group, id=1 << 40)
        self.run_now(self.rosters.tell_moved(gone))
        self.assertEqual(self.ana.events, [])
        self.run_now(self.rosters.tell_moved(group))
        [event] = self.ana.events
        self.assertIsInstance(event, ConversationChange)

    def test_no_standing(self) -> None:
        """A realm that says nothing of its losses does not compare members."""
        self.assertFalse(self.one.realm.federation.guests.is_needed("realm2", None))
