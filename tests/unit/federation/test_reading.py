"""Reading what someone of another realm wrote, directly and in groups of both realms."""

from __future__ import annotations

from chatd.base.model import Message
from chatd.base.names import parse_address
from chatd.commands import values as ask
from tests.support.network import NetworkTestCase, Person


class BySender(NetworkTestCase):
    """ana and agus live in realm1, budi in realm2. Each realm has a group with all of them."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.pair()
        self.ana, self.agus = self.one.person("ana"), self.one.person("agus")
        self.budi = self.two.person("Budi")
        self.ana.creates("near")
        self.agus.joins("near")
        self.budi.joins("near@realm1")
        self.budi.creates("far")
        for person in (self.ana, self.agus):
            person.joins("far@realm2")

    def by(self, reader: Person, sender: str) -> list[str]:
        command = ask.ReadInbox(sender=parse_address(sender), own=True, contents=True)
        items = reader.does(command).items
        return [each.text for each in items if isinstance(each, Message) and each.text is not None]

    def write(self, number: int) -> None:
        self.agus.posts("near", f"x{number}")
        self.budi.sends("ana@realm1", f"direct {number}")
        self.budi.posts("near@realm1", f"near {number}")
        self.agus.posts("far@realm2", f"y{number}")
        self.budi.posts("far", f"far {number}")
        self.agus.sends("ana", f"z{number}")
        self.network.settle()

    def test_of_another_realm(self) -> None:
        """However the address is written, all that this person wrote is shown, and nothing else is read."""
        self.write(1)
        found = self.by(self.ana, "BUDI@REALM2")
        self.assertEqual(sorted(found), ["direct 1", "far 1", "near 1"])
        self.write(2)
        found = self.by(self.ana, "budi@realm2")
        self.assertEqual(sorted(found), ["direct 2", "far 2", "near 2"])
        left = [f"agus: {text}{number}" for number in (1, 2) for text in "xz"]
        left += [f"agus: y{number}" for number in (1, 2)]
        self.assertEqual(sorted(self.ana.reads()), sorted(left))
        self.assertEqual(self.ana.reads(), [])

    def test_in_a_group_of_another_realm(self) -> None:
        """The same in the other direction; a late acknowledgement changes nothing."""
        self.write(1)
        found = self.by(self.ana, "agus")
        self.assertEqual(sorted(found), ["x1", "y1", "z1"])
        self.ana.does(ask.CheckAlive())
        self.network.settle()
        self.budi.posts("far", "far 2")
        self.network.settle()
        everything = ["direct 1", "far 1", "far 2", "near 1"]
        self.assertEqual(sorted(text.partition(": ")[2] for text in self.ana.reads()), everything)
