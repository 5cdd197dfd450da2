"""Who is in a group that is founded again, by the roster of its lost home and by the log after it."""

from __future__ import annotations

import msgspec

from chatd.base.model import PAST_JOINED
from chatd.store import schema
from chatd.store.handovers import HandedAddress, HandedMember
from chatd.store.rescued_members import (
    RescuedMembers,
    leave_here,
    lost_rights,
    members_since,
    names_here,
    take_guests,
)
from tests.unit.store.test_group_moves import GROUP, MoveTestCase

LISTED = RescuedMembers(
    [
        HandedMember("Ana@realm1", True, 10, 0),
        HandedMember("budi@realm2", True, 20, 3),
        HandedMember("dewi@realm3", False, 30, 4),
    ],
    [HandedAddress("fajar@realm3", 5)],
)


class RescuedTestCase(MoveTestCase):
    """realm2 has a copy of bagan, whose lost home is realm1. The entry 5 came before the roster."""

    def setUp(self) -> None:
        super().setUp()
        self.copy = self.group(name="bagan@realm1", key="bagan@realm1", realm="realm1", home_id=1)
        self.seq = 5

    def says(self, what: str, who: str, author: str = "system") -> None:
        self.seq += 1
        self.add(
            schema.changes,
            conversation_id=GROUP,
            seq=self.seq,
            kind="member",
            author=author,
            at=100 + self.seq,
            data=msgspec.json.encode({"who": who, "what": what}).decode(),
        )

    def since(self, seq: int = 5) -> dict[str, tuple[bool, int, int]]:
        found = members_since(self.connection, self.copy, LISTED, seq, "realm2")
        self.bans = [(each.address, each.at) for each in found.bans]
        return {each.address: (each.admin, each.joined_at, each.first) for each in found.members}


class Since(RescuedTestCase):
    def test_roster(self) -> None:
        """Nothing came after it, and what came before is in it."""
        self.says("kicked", "dewi@realm3")
        self.assertEqual(
            self.since(6),
            {
                "Ana@realm1": (True, 10, 0),
                "budi@realm2": (True, 20, 3),
                "dewi@realm3": (False, 30, 4),
            },
        )
        self.assertEqual(self.bans, [("fajar@realm3", 5)])

    def test_joined(self) -> None:
        """People of this realm are written without it in the log. Somebody who comes back is not banned."""
        self.says("joined", "gone")
        self.says("invited", "hadi@realm3")
        self.says("joined", "fajar@realm3")
        found = self.since()
        self.assertEqual(found["gone@realm2"], (False, 106, 0))
        self.assertEqual(found["fajar@realm3"], (False, 108, 0))
        self.assertEqual((len(found), self.bans), (5, []))
        self.copy = msgspec.structs.replace(self.copy, past=PAST_JOINED)
        self.assertEqual(self.since()["gone@realm2"], (False, 106, 6))

    def test_left(self) -> None:
        self.says("left", "ana@realm1")
        self.says("kicked", "Dewi@realm3")
        self.assertEqual(list(self.since()), ["budi@realm2"])
        self.assertEqual(self.bans, [("fajar@realm3", 5), ("Dewi@realm3", 107)])

    def test_roles(self) -> None:
        self.says("promoted", "dewi@realm3")
        self.says("demoted", "budi")
        self.says("promoted", "gita@realm3")  # who is no member
        found = {address: each[0] for address, each in self.since().items()}
        self.assertEqual(found, {"Ana@realm1": True, "budi@realm2": False, "dewi@realm3": True})

    def test_moved(self) -> None:
        """A member who has moved keeps their place, also if the new address was a member before."""
        self.says("moved", "dina@realm4", author="dewi@realm3")
        self.says("moved", "budi@realm4", author="budi")
        self.says("moved", "dina@realm4", author="ana@realm1")
        self.says("moved", "x@realm4", author="nobody@realm1")
        found = self.since()
        self.assertEqual(found, {"budi@realm4": (True, 20, 3), "dina@realm4": (True, 10, 0)})

    def test_members_here(self) -> None:
        """The copy knows who is a member here, but not who was banned since."""
        self.member(1, "realm1", admin=True, joined_at=40, first_seq=2)
        self.member(3, "realm1", joined_at=41)
        self.says("kicked", "gone")
        self.assertEqual(self.since()["ana@realm2"], (True, 40, 2))
        self.assertNotIn("gone@realm2", self.since())


class LostRights(RescuedTestCase):
    def lost(self, address: str = "budi", seq: int = 5) -> bool:
        return lost_rights(self.connection, GROUP, address, seq)

    def test_each(self) -> None:
        for what in ("kicked", "left", "demoted"):
            self.says("joined", "budi")
            self.assertFalse(self.lost(), what)
            self.says(what, "Budi")
            self.assertTrue(self.lost(), what)
            self.assertFalse(self.lost("budi@realm3"))
            self.assertFalse(self.lost(seq=self.seq))
            self.says("promoted", "budi")
            self.assertFalse(self.lost(), what)

    def test_back_as_a_member(self) -> None:
        """An admin who was kicked, and was invited and joined after that, is no admin."""
        self.says("kicked", "budi")
        self.says("invited", "budi")
        self.assertTrue(self.lost())
        self.says("joined", "budi")
        self.assertTrue(self.lost())

    def test_moved(self) -> None:
        self.says("moved", "budi@realm4", author="budi")
        self.says("moved", "budi", author="dewi@realm3")
        self.assertTrue(self.lost())
        self.assertFalse(self.lost("budi@realm4"))


class Guests(RescuedTestCase):
    def guests(self) -> list[tuple[object, ...]]:
        return self.rows(schema.remote_members, "address", "realm", "admin", "first_seq")

    def size(self) -> int:
        [(size,)] = self.rows(schema.rosters, "members")
        return int(size)

    def test_taken(self) -> None:
        """Each is counted once, however often, and in whatever spelling, their realm names them."""
        news = [
            HandedMember("Eko@Realm3", True, 1, 2),
            HandedMember("dewi@realm3", False, 3, 4),
            HandedMember("DEWI@realm3", False, 3, 4),
        ]
        take_guests(self.connection, GROUP, news[:1])
        take_guests(self.connection, GROUP, news)
        self.assertEqual(self.size(), 3)
        self.assertEqual(
            self.guests(), [("DEWI@realm3", "realm3", False, 4), ("Eko@Realm3", "realm3", True, 2)]
        )
        take_guests(self.connection, GROUP, [])
        self.assertEqual((self.size(), len(self.guests())), (3, 2))

    def test_leave(self) -> None:
        """Those whom the new home refuses are members here no more."""
        for account in (1, 2, 3):
            self.member(account, "realm1")
        before = self.size()
        self.assertEqual(sorted(names_here(self.connection, GROUP)), ["ana", "budi", "gone"])
        refused = ["Gone", "ana", "nobody"]
        self.assertEqual(leave_here(self.connection, GROUP, refused), [(1, "ana"), (3, "gone")])
        self.assertEqual(names_here(self.connection, GROUP), ["budi"])
        self.assertEqual(self.size(), before - 2)
        self.assertEqual(leave_here(self.connection, GROUP, []), [])
        self.assertEqual(self.rows(schema.participants, "account_id"), [(2,)])
