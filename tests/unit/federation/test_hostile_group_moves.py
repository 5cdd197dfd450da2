"""What the home of a group can't do with a statement that the group has moved."""

from __future__ import annotations

from chatd.federation.parcels import KEPT, Joined, Moved, Relay
from chatd.federation.signing.statements import GroupAttributes
from tests.unit.federation.test_hostile_home import BAGAN, HomeTestCase

SECRET = 77  # a group of realm3


class HostileMoves(HomeTestCase):
    """realm2, the home of bagan, says that it is a group of realm3 now, which has not agreed to that."""

    def moved(self, name: str = "rahasia", home_id: int = SECRET) -> Moved:
        home: dict[str, str | bool | None] = {"home": f"{name}@realm3", "home_id": str(home_id)}
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
