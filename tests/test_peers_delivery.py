"""Messages to people of other realms: when they arrive, when they wait, and when they come back."""

from __future__ import annotations

from chatd.errors import UnknownUser
from tests.play import PlayTestCase, outcome


class SendingTestCase(PlayTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.world.pair()
        self.ana, self.budi = self.one.person("ana"), self.two.person("budi")

    def test_known(self) -> None:
        reply = self.ana.sends("budi@realm2", "halo")
        self.assertEqual(reply.message, "Message sent")
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_unknown(self) -> None:
        """The verdict comes while ana waits: nothing is left of the message."""
        with self.assertRaises(UnknownUser) as caught:
            self.ana.sends("citra@realm2", "halo")
        self.assertEqual(str(caught.exception), "There is no user citra in realm2")
        self.assertEqual(self.ana.history("citra@realm2"), [])
        self.assertEqual(self.one.parcels_waiting(), 0)
