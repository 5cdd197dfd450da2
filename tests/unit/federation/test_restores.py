"""A realm that was restored from a backup: what its people send arrives exactly once, in both directions."""

from __future__ import annotations

from chatd.base.names import parse_address
from chatd.commands import values as ask
from tests.support.restores import RestoredTestCase


class RestoreTestCase(RestoredTestCase):
    def sender_is_restored(self, *, linked: bool) -> None:
        self.ana.sends("budi@realm2", "satu")
        copy = self.back_up(self.one)
        for text in ("dua", "tiga"):
            self.ana.sends("budi@realm2", text)
            self.budi.sends("ana@realm1", f"jawab {text}")
        if not linked:
            self.part()
        self.restore(self.one, copy)
        for text in ("empat", "lima"):
            self.ana.sends("budi@realm2", text)
        if not linked:
            self.meet()
        self.budi.sends("ana@realm1", "enam")
        self.network.advance(5)
        self.assertEqual(
            self.budi.history("ana@realm1"),
            [
                "ana@realm1: satu",
                "ana@realm1: dua",
                "budi: jawab dua",
                "ana@realm1: tiga",
                "budi: jawab tiga",
                "ana@realm1: empat",
                "ana@realm1: lima",
                "budi: enam",
            ],
        )
        lost = ["ana: dua", "budi@realm2: jawab dua", "ana: tiga", "budi@realm2: jawab tiga"]
        since = ["ana: empat", "ana: lima"]
        self.assertEqual(
            self.ana.history("budi@realm2"),
            ["ana: satu", *(lost + since if linked else since + lost), "budi@realm2: enam"],
        )
        self.assertEqual(self.one.parcels_waiting() + self.two.parcels_waiting(), 0)

    def test_sender(self) -> None:
        self.sender_is_restored(linked=True)

    def test_sender_without_a_link(self) -> None:
        self.sender_is_restored(linked=False)

    def test_twice(self) -> None:
        """The same backup is restored twice: what was sent in between is not taken for what follows."""
        copy = self.back_up(self.one)
        for text in ("satu", "dua", "tiga"):
            self.ana.sends("budi@realm2", text)
            self.restore(self.one, copy)
        self.ana.sends("budi@realm2", "empat")
        self.assertEqual(
            self.budi.reads(), [f"ana@realm1: {text}" for text in ("satu", "dua", "tiga", "empat")]
        )

    def test_queued_in_the_backup(self) -> None:
        """What waited when the backup was made has arrived since, and is sent again."""
        self.part()
        self.ana.sends("budi@realm2", "satu")
        self.ana.sends("budi@realm2", "dua")
        copy = self.back_up(self.one)
        self.meet()
        self.network.advance(5)
        self.ana.sends("budi@realm2", "tiga")
        self.restore(self.one, copy)
        self.ana.sends("budi@realm2", "empat")
        self.network.advance(5)
        self.assertEqual(
            self.budi.reads(), [f"ana@realm1: {text}" for text in ("satu", "dua", "tiga", "empat")]
        )
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_receiver(self) -> None:
        """The receiver is restored: it gets again what it has lost, and nothing twice."""
        self.ana.sends("budi@realm2", "satu")
        copy = self.back_up(self.two)
        self.ana.sends("budi@realm2", "dua")
        self.part()
        self.ana.sends("budi@realm2", "tiga")
        self.restore(self.two, copy)
        self.meet()
        self.network.advance(5)
        self.ana.sends("budi@realm2", "empat")
        self.assertEqual(
            self.budi.reads(),
            [f"ana@realm1: {text}" for text in ("satu", "dua", "tiga", "empat")],
        )

    def test_membership(self) -> None:
        """Budi has left, and joined again. The news that he has left comes again: it changes nothing."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.part()
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        copy = self.back_up(self.two)
        self.meet()
        self.network.advance(5)
        self.assertEqual(self.ana.members("bagan"), ["*ana+"])
        self.budi.joins("bagan@realm1")
        self.restore(self.two, copy)
        self.network.advance(5)
        self.assertEqual(self.two.parcels_waiting(), 0)
        self.assertIn("budi@realm2", "".join(self.ana.members("bagan")))
