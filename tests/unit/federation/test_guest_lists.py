"""Comparing who is in groups of other realms: what a home answers, and what may be made of answers."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.errors import RealmDown, StorageFailed
from chatd.base.names import Address, parse_address
from chatd.commands import values as ask
from chatd.federation import guest_lists, parcels
from chatd.federation.amp import delivery
from chatd.federation.amp.contents import decode_answer, decode_list
from chatd.federation.amp.wire import Refused
from chatd.federation.capabilities import GUESTS
from chatd.federation.guest_lists import GuestAnswer, GuestList
from chatd.federation.parcels import Joined
from chatd.federation.restores import Returned
from chatd.federation.signing.statements import MemberAttributes
from chatd.store.guest_lists import Guest
from chatd.store.invitations import add_request
from chatd.store.parcel_stream import ParcelStream
from chatd.store.schema import outbox
from tests.support.network import LinkedTestCase, lacks
from tests.unit.federation.test_receive import InboundTestCase


class AnswerTestCase(InboundTestCase):
    """realm1 has the groups bagan, with citra and dewi of realm2, and nusa, without guests."""

    def setUp(self) -> None:
        super().setUp()
        for group in ("bagan", "nusa"):
            self.ana.creates(group)
        for user in ("citra", "dewi"):
            self.joins(user, "bagan")
        self.one.realm.database.now(lambda db: db.exec_driver_sql("DELETE FROM outbox"))
        find = self.one.service.rosters.find
        self.bagan, self.nusa = (
            self.network.result(find(parse_address(name))).group.id for name in ("bagan", "nusa")
        )

    def answer(self, *guests: Guest, **between: Any) -> tuple[list[int], list[str]]:
        listed = GuestList(guests, **{"after": (0, ""), **between})
        found = self.network.result(self.one.federation.guests.answer("realm2", listed))
        return [*found.unknown], [each.user for each in found.missing]

    def test_answers(self) -> None:
        citra, dewi, eka = (Guest(self.bagan, "bagan", user) for user in ("citra", "dewi", "eka"))
        self.assertEqual(self.answer(citra, dewi), ([], []))
        self.assertEqual(self.answer(citra), ([], ["dewi"]))
        self.assertEqual(self.answer(citra, dewi, eka), ([2], []))
        self.assertEqual(self.answer(), ([], ["citra", "dewi"]))
        middle = self.bagan, "citra@realm2"
        self.assertEqual(self.answer(upto=middle), ([], ["citra"]))
        self.assertEqual(self.answer(after=middle), ([], ["dewi"]))
        self.assertEqual(self.answer(after=(self.bagan, "x"), upto=(self.nusa, "y")), ([], []))

    def test_groups_that_it_does_not_know(self) -> None:
        """Nothing is said of groups that never had members of the realm, as of those that do not exist."""
        for ident, name in ((self.nusa, "nusa"), (self.bagan, "nusa"), (1 << 60, "bagan")):
            unknown, _ = self.answer(Guest(ident, name, "eka"))
            self.assertEqual(unknown, [])

    def test_groups_that_have_ended(self) -> None:
        for user in ("citra", "dewi"):
            self.ana.does(ask.KickMember(parse_address("bagan"), Address(user, "realm2")))
        self.ana.does(ask.LeaveGroup(parse_address("bagan")))
        self.one.realm.database.now(lambda db: db.exec_driver_sql("DELETE FROM outbox"))
        self.assertEqual(self.answer(Guest(self.bagan, "bagan", "citra")), ([0], []))

    def test_parcels_that_wait(self) -> None:
        """They may tell of it, so they are sent before the answer."""
        self.joins("eka", "bagan")
        listed = GuestList((), (0, ""))
        guests, database = self.one.federation.guests, self.one.realm.database
        for _ in range(2):
            with self.assertRaises(RealmDown):
                self.network.result(guests.answer("realm2", listed))
        numbers = sa.select(outbox.c.id).order_by(outbox.c.id)
        before = database.now(lambda db: db.scalars(numbers).all())
        self.joins("fajar", "bagan")
        database.now(lambda db: db.execute(sa.delete(outbox).where(outbox.c.id.in_(before))))
        self.network.result(guests.answer("realm2", listed))
        with self.assertRaises(RealmDown):
            self.network.result(guests.answer("realm2", listed))
        guests.link_down("realm2")

    def test_malformed(self) -> None:
        for data in (
            b"",
            b"\xc1",
            parcels.encode([[], [-1, ""]]),
            parcels.encode([[[1]], [0, ""]]),
        ):
            with self.assertRaises(Refused):
                decode_list(data)
            with self.assertRaises(Refused):
                decode_answer(data)


class ComparedTestCase(LinkedTestCase):
    """budi of realm2 is in bagan, a group of realm1 with the id 1."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.network.advance(5)
        self.asked: list[GuestList] = []

    def compare(self, unknown: Any = (), missing: Any = ()) -> bool:
        """Let realm2 compare, with a home that answers so."""
        asked = self.asked

        class Link:
            async def guests(self, listed: GuestList) -> GuestAnswer:
                asked.append(listed)
                return GuestAnswer(tuple(unknown), tuple(missing))

        done: bool = self.network.result(self.two.federation.guests.compare(Link(), "realm1"))
        self.network.advance(5)
        return done

    def members(self) -> tuple[str, int]:
        return "".join(self.ana.members("bagan")), len(self.budi.mine())

    def test_answers_without_an_effect(self) -> None:
        """Places that are not in the list; people who are members, join just now, or have bad names."""
        guests = [Guest(1, "bagan", user) for user in ("budi", "", "x@y", "agus")]
        agus = self.two.person("agus")
        self.two.realm.database.now(
            lambda db: add_request(db, agus.account.id, "bagan@realm1", "realm1", 1)
        )
        self.assertTrue(self.compare((-1, 1, 99), [*guests, Guest(1, "b@d", "eka")]))
        self.assertEqual(self.asked, [GuestList((Guest(1, "bagan", "budi"),), (0, ""))])
        self.assertEqual(self.members(), ("*ana+budi@realm2+", 1))
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_unknown(self) -> None:
        """The home does not have a member: that is like a kick, twice or once."""
        self.compare((0, 0))
        self.assertEqual(self.budi.mine(), [])

    def test_many_missing(self) -> None:
        """After a full answer the list goes on from its last member, but not for ever."""
        self.patch(guest_lists, "MAX_GUESTS", 2)
        self.patch(guest_lists, "MAX_FULL", 3)
        eka, fajar = Guest(1, "bagan", "eka"), Guest(2, "nusa", "fajar")
        for missing, places in (
            ((eka, fajar), [(0, ""), (2, "fajar@realm2")]),
            ((eka, Guest(0, "bagan", "")), [(0, ""), (0, "@realm2")]),
        ):
            self.asked.clear()
            self.assertTrue(self.compare((), missing))
            self.assertEqual([each.after for each in self.asked], places)
        self.asked.clear()
        ever = (Guest(number, "nusa", "fajar") for number in itertools.count(5))

        class Pairs:
            def __iter__(self) -> Any:
                return iter((next(ever), next(ever)))

        self.assertTrue(self.compare((), Pairs()))
        self.assertEqual(len(self.asked), 4)

    def test_full_disk(self) -> None:
        """Members whom the disk does not let go are compared again."""
        compare = guest_lists.GuestLists.compare
        times: list[str] = []

        async def comparing(lists: Any, link: Any, realm: str) -> bool:
            times.append(realm)
            if len(times) == 1:
                raise StorageFailed
            return await compare(lists, link, realm)

        self.patch(guest_lists.GuestLists, "compare", comparing)
        lacks(self, "realm2", GUESTS)
        self.two.restart()
        self.network.advance(4 * delivery.AGAIN)
        self.assertGreater(len(times), 1)
        self.assertFalse(self.compare_needed())

    def compare_needed(self) -> bool:
        return bool(self.two.realm.directory.peers.by_key["realm1"].delivery._is_in_doubt)

    def test_missing(self) -> None:
        """The home is told that somebody has left who does not exist, and ignores it."""
        self.compare((), [Guest(1, "bagan", "eka")])
        self.assertEqual(self.members(), ("*ana+budi@realm2+", 1))

    def test_parcels_that_wait(self) -> None:
        self.part()
        self.budi.sends("ana@realm1", "halo")
        self.assertFalse(self.compare())
        self.assertEqual(self.asked, [])

    def test_what_is_not_returned(self) -> None:
        self.part()
        self.two.restart()
        self.network.result(self.two.federation.standings.tell("realm1"))
        self.assertFalse(self.compare())

    def test_again(self) -> None:
        """What can't be compared now is compared later, over the same link."""
        times: list[str] = []

        async def compare(_lists: Any, _link: Any, realm: str) -> bool:
            times.append(realm)
            if len(times) == 1:
                raise RealmDown(realm=realm)
            return len(times) > 2

        self.patch(guest_lists.GuestLists, "compare", compare)
        lacks(self, "realm2", GUESTS)
        self.two.restart()
        self.network.advance(delivery.AGAIN - 1)
        for count in (2, 3, 3):
            self.network.advance(delivery.AGAIN)
            self.assertEqual(times, ["realm1"] * count)

    def test_a_realm_that_lacks_it(self) -> None:
        lacks(self, "realm1", GUESTS)
        compared: list[str] = []

        async def compare(_lists: Any, _link: Any, realm: str) -> bool:
            compared.append(realm)
            return True

        self.patch(guest_lists.GuestLists, "compare", compare)
        self.two.restart()
        self.network.advance(5)
        self.assertEqual(compared, ["realm2"])


class JoinedBeforeTestCase(InboundTestCase):
    def test_not_taken(self) -> None:
        """A home can't make people members by what they have not signed, or have signed before they left."""
        own, other = self.signers["realm1"], self.signers["realm2"]
        joined = MemberAttributes("joined", "ana@realm1")
        left = MemberAttributes("left", "ana@realm1")
        said: dict[str, Any] = {"author": "ana", "home": "realm2", "group": 5, "number": 7}
        entries = [
            own.signs(left, **said),
            own.signs(joined, **{**said, "group": 6}),
            own.signs(joined, **{**said, "home": "realm3"}),
            other.signs(joined, **said),
            msgspec.structs.replace(own.signs(joined, **said), proof=None),
            own.signs(joined, **said),  # this realm has told of no loss
        ]
        for entry in entries:
            parcel = msgspec.Raw(parcels.encode(Joined("bagan", 5, "ana", 2, entry=entry)))
            taking = self.one.federation.returned.take(
                "realm2", [Returned(0, parcel, theirs=True)], ParcelStream()
            )
            self.network.result(taking)
        self.assertEqual(self.ana.mine(), [])

    def test_again_and_again(self) -> None:
        """What proves a join counts once, also if the home never says that it has returned everything."""
        standings = self.one.federation.standings
        self.network.result(standings.tell("realm2"))
        joined = MemberAttributes("joined", "ana@realm1")
        lost = self.one.realm.database.now(self.one.service.context.writers.parcels.take) + 1000
        for number, mine in ((lost - 1000, 0), (lost, 1), (lost, 0), (lost + 1, 1)):
            entry = self.signers["realm1"].signs(
                joined, author="ana", home="realm2", group=5, number=number
            )
            parcel = msgspec.Raw(parcels.encode(Joined("bagan", 5, "ana", 2, entry=entry)))
            taking = self.one.federation.returned.take(
                "realm2", [Returned(0, parcel, theirs=True)], ParcelStream()
            )
            self.network.result(taking)
            self.assertEqual(len(self.ana.mine()), mine, number - lost)
            if mine:
                self.ana.does(ask.LeaveGroup(parse_address("bagan@realm2")))
