"""Texts of several lines between realms, also with a realm that takes one line only."""

from __future__ import annotations

from chatd.base.errors import NotSupportedThere
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation import capabilities, parcels
from chatd.federation.capabilities import check_fits
from tests.support.network import LinkedTestCase, lacks
from tests.support.signing import example_relay

TEXT = "satu\n\ndua"


class BothNew(LinkedTestCase):
    def test_direct(self) -> None:
        self.ana.sends("budi@realm2", TEXT)
        self.budi.sends("ana@realm1", TEXT)
        self.assertEqual(self.budi.reads(), [f"ana@realm1: {TEXT}"])
        self.assertEqual(self.ana.reads(), [f"budi@realm2: {TEXT}"])

    def test_group(self) -> None:
        """What a member of another realm posts comes back with its signature."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.ana.posts("bagan", TEXT)
        self.budi.posts("bagan@realm1", TEXT)
        expected = [f"ana@realm1: {TEXT}", f"budi: {TEXT}"]
        self.assertEqual(self.budi.history(group="bagan@realm1"), expected)


class OtherTakesOneLine(LinkedTestCase):
    """realm2 does not take texts of several lines."""

    def setUp(self) -> None:
        lacks(self, "realm2", capabilities.LINES)
        super().setUp()

    def test_direct(self) -> None:
        """The sender is told at once, and the link stays."""
        with self.assertRaises(NotSupportedThere) as caught:
            self.ana.sends("budi@realm2", TEXT)
        self.assertIn("realm2 does not support texts of several lines", str(caught.exception))
        self.ana.sends("budi@realm2", "halo")
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(len(self.network.dialled), 1)
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_queued(self) -> None:
        """A sender who is not waiting any more gets a notice, which quotes the text on one line."""
        self.part()
        self.assertTrue(self.ana.sends("budi@realm2", TEXT).data["state"] == "queued")
        self.meet()
        (notice,) = self.ana.reads()
        self.assertRegex(
            notice,
            r'\Asystem: Your message "satu  dua" of .* to budi@realm2 was not delivered: realm2 does not ',
        )
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_group_there(self) -> None:
        self.budi.creates("bagan")
        self.ana.joins("bagan@realm2")
        with self.assertRaises(NotSupportedThere):
            self.ana.posts("bagan@realm2", TEXT)
        self.ana.posts("bagan@realm2", "halo")
        self.assertEqual(self.budi.history(group="bagan"), ["ana@realm1: halo"])

    def test_group_here(self) -> None:
        """Its members do not get the text, which is signed and can't be changed; those of this realm do."""
        self.ana.creates("bagan")
        dewi = self.one.person("dewi")
        dewi.joins("bagan")
        self.budi.joins("bagan@realm1")
        self.ana.posts("bagan", TEXT)
        self.ana.does(ask.SendGroupMessage(parse_address("bagan"), "halo"))
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(dewi.reads(), [f"ana: {TEXT}", "ana: halo"])

    def test_parcels(self) -> None:
        lacks_lines = (capabilities.LINES,)
        with self.assertRaises(NotSupportedThere):
            check_fits(parcels.encode(example_relay(text=TEXT)), lacks_lines, "realm2")
        for other in (
            parcels.Direct("ana", "budi", 10, "satu"),
            parcels.Joined("bagan", 10, "budi", 10),
            example_relay(),
        ):
            check_fits(parcels.encode(other), lacks_lines, "realm2")
        check_fits(b"\n\xc1", lacks_lines, "realm2")
