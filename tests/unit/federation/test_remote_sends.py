"""Messages to other realms, as their senders here see them."""

from __future__ import annotations

from unittest import mock

from chatd.base.events import StateChange
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation.forwarder import Forwarder
from tests.support.network import LinkedTestCase


class Senders(LinkedTestCase):
    def test_stored_but_not_sent_on(self) -> None:
        """If a fault keeps a stored message from its link, the sender hears of the fault. The message is
        stored, and goes out with the next link."""
        self.ana.does(ask.AddGroup("bagan"))
        self.budi.joins("bagan@realm1")
        self.network.settle()
        for method, sending in (
            ("deliver", lambda: self.budi.sends("ana@realm1", "halo")),
            ("send_post", lambda: self.budi.posts("bagan@realm1", "halo")),
        ):
            with mock.patch.object(Forwarder, method, side_effect=ZeroDivisionError):
                self.assertRaises(ZeroDivisionError, sending)
        self.assertEqual(self.ana.reads(), [])
        self.network.cut()
        self.network.until(lambda: not self.two.parcels_waiting())
        self.assertEqual(self.ana.reads(), ["budi@realm2: halo"] * 2)
        self.assertEqual(self.ana.history(group="bagan"), ["budi@realm2: halo"])

    def test_who_hears_of_a_delivery(self) -> None:
        """The connections of the sender, and those of nobody else."""
        self.citra.does(ask.SetListening("all"))
        self.part()
        for sender in (self.budi, self.citra):
            sender.sends("ana@realm1", "halo")
        self.budi.leaves()
        self.meet()
        told = [each for each in self.citra.events if isinstance(each, StateChange)]
        self.assertEqual([each.state for each in told], ["delivered"])
        there = Place(user=parse_address("ana@realm1"))
        for person in (self.budi, self.citra):
            (shown,) = person.does(ask.ShowHistory(there, 9)).items
            self.assertEqual(shown.state, "delivered")
