"""What the home of a group can't do with a statement that the group has moved."""

from __future__ import annotations

from unittest import mock

from twisted.internet.defer import succeed

from chatd.federation.group_mover import AGAIN
from chatd.federation.handed_groups import HandedGroup
from chatd.federation.parcels import KEPT, Joined, Moved, Relay
from chatd.federation.signing.statements import GroupAttributes, encode
from chatd.store.groups import find_group
from chatd.store.move_agreements import GroupMove, move_of, put_move
from tests.support.signing import START
from tests.unit.federation.test_hostile_home import BAGAN, HomeTestCase

SECRET = 77  # a group of realm3


class HostileMoves(HomeTestCase):
    """realm2, the home of bagan, says that it is a group of realm3 now, which has not agreed to that."""

    def moved(self, name: str = "rahasia", home_id: int = SECRET, realm: str = "realm3") -> Moved:
        home: dict[str, str | bool | None] = {"home": f"{name}@{realm}", "home_id": str(home_id)}
        entry = self.signers["realm2"].signs(
            GroupAttributes(home | {"last": "10"}), home="realm2", group=BAGAN, author="system"
        )
        return Moved((entry,))

    def has_member(self, name: str = "rahasia") -> None:
        """budi is a member of a group of realm3, and ana is none."""
        self.budi.has_asked_for(f"{name}@realm3")
        self.assertEqual(self.says(Joined(name, SECRET, "budi", 1), "realm3"), KEPT)

    def says_secret(self) -> None:
        entry = self.signers["realm3"].says("rahasia", home="realm3", group=SECRET, author="eka")
        self.assertEqual(self.says(Relay(entry, "rahasia", SECRET, 12), "realm3").code, "")

    def test_group_that_comes_later(self) -> None:
        """People of the hostile realm's group do not get into a group that somebody here joins later."""
        self.says(self.moved())
        self.has_member()
        self.says_secret()
        self.assertEqual(self.budi.mine(), ["rahasia@realm3"])
        self.assertEqual(self.budi.history(group="rahasia@realm3"), ["eka@realm3: rahasia"])
        self.assertIn("bagan@realm2", self.ana.mine())
        self.assertEqual(self.history(), [])

    def test_group_that_is_here(self) -> None:
        """A group of a third realm does not lose its address, whatever id is said to have it."""
        self.has_member()
        for home_id in (SECRET, SECRET + 1):
            self.says(self.moved(home_id=home_id))
            self.assertEqual(self.budi.mine(), ["rahasia@realm3"])
            self.assertIn("bagan@realm2", self.ana.mine())
        self.says_secret()
        self.assertEqual(self.budi.history(group="rahasia@realm3"), ["eka@realm3: rahasia"])

    def test_both_realms_say_so(self) -> None:
        """Not even both realms together make two groups one."""
        self.has_member()
        self.assertEqual(self.says(self.moved(), "realm3").code, "bad-signature")
        self.assertEqual(self.budi.mine(), ["rahasia@realm3"])

    def test_new_home_agrees(self) -> None:
        """The group follows when the new home says so, too."""
        self.says(self.moved("bagan"))
        self.assertIn("bagan@realm2", self.ana.mine())
        self.assertEqual(self.says(self.moved("bagan"), "realm3"), KEPT)
        self.assertIn("bagan@realm3", self.ana.mine())

    def test_other_name(self) -> None:
        """A group that comes here gets the name and the id that were agreed, and no account's name."""
        database = self.one.realm.service.database
        group = self.network.result(database.read(find_group, "bagan@realm2"))
        agreed = GroupMove(group.id, "realm2", "citra", "ana", b"", group.id, "bagan", START + 1000)
        self.network.result(database.run(put_move, agreed))
        for name, ident in (("budi", group.id), ("bagan", group.id + 1)):
            verdict = self.says(self.moved(name, ident, "realm1"))
            self.assertEqual(verdict.code, "bad-signature")
        kept = self.network.result(database.read(move_of, group.id))
        self.assertEqual(kept, agreed)
        self.assertEqual(self.says(self.moved("bagan", group.id, "realm1")), KEPT)

    def test_no_consent(self) -> None:
        """A group that this realm has not agreed to take is fetched once, and not every 30 seconds."""
        database, links = self.one.realm.service.database, self.one.federation.mover._links
        group = self.network.result(database.read(find_group, "bagan@realm2"))
        for package in (b"x", encode(HandedGroup([], [], [], {}, "", b"", b"x"))):
            answer = mock.Mock(side_effect=lambda *_, data=package: succeed((data, len(data))))
            with mock.patch.object(links, "handover", answer):
                self.assertEqual(self.says(self.moved("bagan", group.id, "realm1")), KEPT)
                self.network.advance(4 * AGAIN)
            self.assertLessEqual(answer.call_count, 1)
            self.assertGreater(answer.call_count, 0)
            self.assertIsNone(self.network.result(database.read(move_of, group.id)))
        self.assertIn("bagan@realm2", self.ana.mine())
