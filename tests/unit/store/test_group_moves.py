"""What the database keeps of a group that moves to another realm."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import GroupExists
from chatd.base.model import FormerHome, Group, Party
from chatd.store import schema
from chatd.store.group_moves import NewHome, OtherHome, demote, promote, repoint
from chatd.store.groups import find_group, group_of
from chatd.store.handovers import (
    HandedAddress,
    HandedMember,
    banned_in,
    guests_of,
    invited_in,
    keep_package,
    members_of,
    package_of,
)
from chatd.store.lineage import (
    PLANNED,
    HomeStep,
    address_now,
    moved_with,
    place_of_home,
    steps_of,
)
from chatd.store.members import find_named
from chatd.store.names import taken
from chatd.store.past_pages import PastQuestion, past_rows
from tests.support.engines import new_database

GROUP, OTHER = 7, 8
MEMBERS = (
    HandedMember("ana@realm1", True, 10, 0),
    HandedMember("budi@realm2", True, 20, 3),
    HandedMember("dewi@realm3", False, 30, 4),
    HandedMember("gone@realm2", False, 40, 0),
)
HOME = OtherHome("realm2", "Realm2", 70, "bagan")


class MoveTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        engine = new_database(self)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)
        for ident, name in ((1, "ana"), (2, "budi"), (3, "gone"), (4, "nobody")):
            self.add(schema.accounts, id=ident, key=name, name=name, display_name=name)
        self.add(schema.conversations, id=GROUP, kind="group", created_at=0)
        self.add(schema.conversations, id=OTHER, kind="group", created_at=0)

    def add(self, to: sa.Table, **values: Any) -> None:
        required = {
            column.name: 0 if isinstance(column.type, sa.BigInteger | sa.Integer) else ""
            for column in to.c
            if not column.nullable and column.server_default is None and not column.primary_key
        }
        self.connection.execute(sa.insert(to).values({**required, **values}))

    def group(self, **values: Any) -> Group:
        self.add(schema.groups, conversation_id=GROUP, **values)
        self.add(schema.rosters, conversation_id=GROUP, members=1)
        return self.found()

    def found(self) -> Group:
        group = group_of(self.connection, GROUP)
        assert group is not None
        return group

    def member(self, account: int, realm: str | None = None, **values: Any) -> None:
        self.add(
            schema.participants, account_id=account, conversation_id=GROUP, realm=realm, **values
        )

    def rows(self, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
        query = sa.select(*(table.c[each] for each in columns)).order_by(*table.primary_key)
        return [tuple(row) for row in self.connection.execute(query)]


def step(realm: str, ident: int, address: str, **more: Any) -> HomeStep:
    return HomeStep(realm, ident, "bagan", address, 9, PLANNED, b"proof", **more)


class Demoted(MoveTestCase):
    """A group of this realm, realm1, which lives in realm2 from now on."""

    def setUp(self) -> None:
        super().setUp()
        self.home = self.group(name="Bagan", key="bagan", code="abc:def", private=True)
        self.add(schema.names, key="bagan", kind="group", skeleton="bagan")
        self.member(1, read_seq=5, admin=True, joined_at=10)
        for key, first in (("budi@realm2", 3), ("dewi@realm3", 4), ("eko@realm3", 6)):
            realm = key.partition("@")[2]
            self.add(
                schema.remote_members,
                conversation_id=GROUP,
                key=key,
                address=key,
                realm=realm,
                first_seq=first,
            )
        self.add(schema.bans, conversation_id=GROUP, key="fajar", address="fajar", at=1)
        self.add(schema.invited, conversation_id=GROUP, key="gita@realm3", at=2)
        self.add(
            schema.invitations,
            account_id=4,
            key="bagan",
            group="Bagan",
            realm="",
            home_id=GROUP,
            at=3,
        )
        self.add(schema.avatars, place="#bagan", hash="h", body=b"p", at=1)

    def demote(self) -> Group:
        guests = guests_of(self.connection, GROUP)
        left = step("realm1", GROUP, "bagan", code="abc:def", guests=guests)
        return demote(self.connection, self.home, HOME, left)

    def test_past_after_a_rescue(self) -> None:
        """The new home gets the whole log if a move was agreed, and after a rescue what its members see."""
        left = step("realm1", GROUP, "bagan", guests={"realm2": 3, "realm3": 4})
        moved = demote(self.connection, self.home, HOME, left)
        self.assertEqual(past_rows(self.connection, PastQuestion("realm2", GROUP, 9, 0)).first, 0)
        lost = HomeStep("realm2", 70, "bagan", "bagan@realm2", 9, "rescue", b"proof")
        repoint(self.connection, moved, OtherHome("realm3", "Realm3", 71, "bagan"), lost)
        for realm, first in (("realm3", 4), ("realm2", 3)):
            found = past_rows(self.connection, PastQuestion(realm, GROUP, 9, 0))
            self.assertEqual(found.first, first)

    def test_handed_over(self) -> None:
        """The new home gets members, bans and invitations, by addresses with their realms."""
        members = members_of(self.connection, GROUP, "realm1")
        self.assertEqual([each.address for each in members[:2]], ["budi@realm2", "dewi@realm3"])
        self.assertEqual(members[-1], HandedMember("ana@realm1", True, 10, 0))
        self.assertEqual(
            banned_in(self.connection, GROUP, "realm1"), [HandedAddress("fajar@realm1", 1)]
        )
        self.assertEqual(
            invited_in(self.connection, self.home, "realm1"),
            [HandedAddress("gita@realm3", 2), HandedAddress("nobody@realm1", 3)],
        )
        self.assertEqual(guests_of(self.connection, GROUP), {"realm2": 3, "realm3": 4})

    def test_package(self) -> None:
        keep_package(self.connection, GROUP, "realm2", b"0123456789")
        self.assertEqual(package_of(self.connection, GROUP, "realm2", 3, 4), (b"3456", 10))
        self.assertEqual(package_of(self.connection, GROUP, "realm2", 10, 4), (b"", 10))
        self.assertIsNone(package_of(self.connection, GROUP, "realm3", 0, 4))

    def test_copy(self) -> None:
        """The people here stay members, and what they have chosen stays."""
        copy = self.demote()
        self.assertEqual(
            (copy.name, copy.key, copy.code, copy.realm, copy.home_id),
            ("bagan@Realm2", "bagan@realm2", "", "realm2", 70),
        )
        self.assertEqual(copy.former, (FormerHome("realm1", GROUP, "bagan"),))
        self.assertEqual(
            self.rows(schema.participants, "account_id", "read_seq", "admin", "realm"),
            [(1, 5, True, "realm2")],
        )
        for table in (schema.remote_members, schema.bans, schema.invited):
            self.assertEqual(self.rows(table, "conversation_id"), [])
        self.assertEqual(self.rows(schema.rosters, "members", "floor"), [(1, 9)])
        self.assertEqual(
            self.rows(schema.invitations, "key", "group", "realm", "home_id"),
            [("bagan@realm2", "bagan@Realm2", "realm2", 70)],
        )
        self.assertEqual(self.rows(schema.avatars, "place", "realm"), [("#bagan@realm2", "realm2")])

    def test_name(self) -> None:
        """The name stays in use, and leads members to the group, also people of realms with members."""
        self.demote()
        self.assertIsNone(find_group(self.connection, "bagan"))
        self.assertEqual(taken(self.connection, "bagan"), "is taken")
        known = (Party("ana", "ana", 1), Party("dewi@realm3", "dewi@realm3", realm="realm3"), None)
        for viewer in known:
            found = find_named(self.connection, "bagan", viewer)
            self.assertEqual(found, self.found())
        strange = Party("nobody", "nobody", 4), Party("x@realm4", "x@realm4", realm="realm4")
        for viewer in strange:
            self.assertIsNone(find_named(self.connection, "bagan", viewer))
            self.assertEqual(find_named(self.connection, "abc:def", viewer), self.found())
        ana = Party("ana", "ana", 1)
        self.assertEqual(address_now(self.connection, "bagan", ana), "bagan@Realm2")
        self.assertIsNone(address_now(self.connection, "bagan@realm2", ana))
        self.assertIsNone(address_now(self.connection, "bagan", strange[0]))

    def test_lineage(self) -> None:
        self.demote()
        [left] = steps_of(self.connection, GROUP)
        self.assertEqual((left.last, left.proof), (9, b"proof"))
        self.assertEqual(left.guests, {"realm2": 3, "realm3": 4})
        self.assertEqual(place_of_home(self.connection, "realm1", GROUP), GROUP)
        self.assertEqual(place_of_home(self.connection, "realm2", 70), GROUP)
        self.assertIsNone(place_of_home(self.connection, "realm2", GROUP))
        self.assertEqual(moved_with(self.connection, "realm3", 10), [GROUP])
        self.assertEqual(moved_with(self.connection, "realm4", 10), [])

    def test_back(self) -> None:
        """A group may come back: then it has had two homes."""
        copy = self.demote()
        new = NewHome("realm1", "Bagan", "abc:def", MEMBERS, last=12)
        back = promote(self.connection, copy, new, step("realm2", 70, "bagan@realm2")).group
        self.assertEqual((back.key, back.realm, back.home_id), ("bagan", None, None))
        self.assertEqual([each.realm for each in back.former], ["realm1", "realm2"])
        self.assertEqual(find_named(self.connection, "bagan@realm2"), back)


class Promoted(MoveTestCase):
    """The copy of a group of realm1, which lives in this realm, realm2, from now on."""

    def setUp(self) -> None:
        super().setUp()
        self.copy = self.group(
            name="bagan@realm1", key="bagan@realm1", realm="realm1", home_id=GROUP
        )
        self.member(2, "realm1", read_seq=5, joined_at=11, first_seq=3)
        self.member(4, "realm1", joined_at=12)
        self.add(schema.pasts, conversation_id=GROUP)
        self.new = NewHome(
            "realm2",
            "bagan",
            "abc:def",
            MEMBERS,
            (HandedAddress("fajar@realm2", 1), HandedAddress("eko@realm3", 2)),
            (HandedAddress("gita@realm3", 2), HandedAddress("nobody@realm2", 3)),
            {"closed": True, "topic": "Rapat"},
            9,
        )

    def promote(self) -> Any:
        left = step("realm1", GROUP, "bagan@realm1")
        return promote(self.connection, self.copy, self.new, left)

    def test_home(self) -> None:
        """Roles and bans are those of the former home. It makes nobody here a member."""
        promoted = self.promote()
        group = promoted.group
        self.assertEqual(
            (group.name, group.code, group.closed, group.topic, group.realm),
            ("bagan", "abc:def", True, "Rapat", None),
        )
        self.assertEqual(promoted.absent, ["gone"])
        self.assertEqual(
            self.rows(schema.participants, "account_id", "read_seq", "admin", "realm", "first_seq"),
            [(2, 5, True, None, 3)],
        )
        self.assertEqual(
            self.rows(schema.remote_members, "key", "realm", "admin", "first_seq"),
            [("ana@realm1", "realm1", True, 0), ("dewi@realm3", "realm3", False, 4)],
        )
        self.assertEqual(
            self.rows(schema.bans, "key", "address"),
            [("eko@realm3", "eko@realm3"), ("fajar", "fajar")],
        )
        self.assertEqual(self.rows(schema.invited, "key"), [("gita@realm3",)])
        self.assertEqual(self.rows(schema.rosters, "members", "floor"), [(3, 9)])
        self.assertEqual(self.rows(schema.pasts, "conversation_id"), [])
        self.assertEqual(taken(self.connection, "bagan"), "is taken")

    def test_invited_here(self) -> None:
        """An invitation that the former home has sent is one of this realm now."""
        self.add(
            schema.invitations,
            account_id=4,
            key="bagan@realm1",
            group="bagan@realm1",
            realm="realm1",
            home_id=GROUP,
        )
        self.promote()
        self.assertEqual(
            self.rows(schema.invitations, "key", "group", "realm", "home_id"),
            [("bagan", "bagan", "", GROUP)],
        )

    def test_name_in_use(self) -> None:
        self.add(schema.groups, conversation_id=OTHER, name="bagan", key="bagan")
        self.assertRaises(GroupExists, self.promote)

    def test_code_in_use(self) -> None:
        """A code that another group has stays there."""
        self.add(schema.groups, conversation_id=OTHER, name="lain", key="lain", code="abc:def")
        self.assertEqual(self.promote().group.code, "")


class Repointed(MoveTestCase):
    """The copy of a group of realm1 that lives in realm2 from now on."""

    def setUp(self) -> None:
        super().setUp()
        self.copy = self.group(
            name="bagan@realm1", key="bagan@realm1", realm="realm1", home_id=GROUP
        )
        self.member(2, "realm1", read_seq=5)

    def repoint(self) -> Group:
        left = step("realm1", GROUP, "bagan@realm1")
        return repoint(self.connection, self.copy, HOME, left)

    def test_followed(self) -> None:
        followed = self.repoint()
        self.assertEqual(
            (followed.id, followed.key, followed.realm, followed.home_id),
            (GROUP, "bagan@realm2", "realm2", 70),
        )
        self.assertEqual(
            self.rows(schema.participants, "account_id", "read_seq", "realm"), [(2, 5, "realm2")]
        )
        self.assertEqual(find_named(self.connection, "bagan@realm1"), followed)

    def test_files_on_the_way(self) -> None:
        """What still arrives comes from the new home."""
        self.add(schema.attachments, id=1, code="a", stored="a")
        self.add(schema.messages, conversation_id=GROUP, seq=1, attachment_id=1)
        self.add(schema.arrivals, attachment_id=1, realm="realm1")
        self.repoint()
        self.assertEqual(self.rows(schema.arrivals, "realm"), [("realm2",)])

    def test_former_group_of_that_address(self) -> None:
        """What had the address before has ended there."""
        self.add(
            schema.groups,
            conversation_id=OTHER,
            name="bagan@realm2",
            key="bagan@realm2",
            realm="realm2",
            home_id=5,
        )
        followed = self.repoint()
        self.assertEqual(find_group(self.connection, "bagan@realm2"), followed)
