"""Blocks of people of other realms, and of whole realms."""

from __future__ import annotations

from chatd.base.errors import NotAccepted
from chatd.base.events import ReadMoved, Typing
from chatd.base.names import Address, Place
from chatd.commands import values as ask
from chatd.service.read_events import INTERVAL
from tests.support.network import LinkedTestCase

BUDI = Place(Address("budi", "realm2"))


class Blocked(LinkedTestCase):
    def test_directs(self) -> None:
        """The sender is told, and the message stays in their log, marked. An edit does not arrive."""
        self.ana.sends("budi@realm2", "1")
        for whom in (Address("ana", "realm1"), "realm1"):
            self.budi.does(ask.BlockPerson(whom))
            with self.assertRaises(NotAccepted):
                self.ana.sends("budi@realm2", "2")
            self.ana.does(ask.EditMessage(BUDI, 1, f"not by {whom}"))
            self.network.settle()
            last = self.ana.does(ask.ShowHistory(BUDI, 1)).items[0]
            self.assertEqual((last.text, last.state), ("2", "refused"))
            self.budi.does(ask.UnblockPerson(whom))
        self.ana.sends("budi@realm2", "3")
        self.assertEqual(self.budi.reads(), ["ana@realm1: 1", "ana@realm1: 3"])
        told = [each for each in self.ana.reads() if "does not accept messages from you" in each]
        self.assertEqual(len(told), 2)

    def test_before_the_first_message(self) -> None:
        self.budi.does(ask.BlockPerson("realm1"))
        with self.assertRaises(NotAccepted):
            self.ana.sends("budi@realm2", "1")
        self.assertEqual(self.citra.reads(), [])
        self.ana.sends("citra@realm2", "2")
        self.assertEqual(self.citra.reads(), ["ana@realm1: 2"])

    def test_deletions_still_cross(self) -> None:
        self.ana.sends("budi@realm2", "1")
        self.budi.does(ask.BlockPerson("realm1"))
        self.ana.does(ask.DeleteMessage(BUDI, 1))
        self.network.settle()
        shown = self.budi.does(ask.ShowHistory(Place(Address("ana", "realm1")), 1)).items[0]
        self.assertTrue(shown.deleted)

    def test_nothing_is_told(self) -> None:
        """Neither side hears of the other's marks and typing."""
        for each in (self.ana, self.budi):
            each.does(ask.SetListening("all"))
        self.ana.sends("budi@realm2", "1")
        here = self.budi.does(ask.ShowHistory(Place(Address("ana", "realm1")), 1)).items[0]
        self.budi.does(ask.BlockPerson(Address("ana", "realm1")))
        self.budi.does(ask.MarkRead(here.conversation, 1))
        self.budi.does(ask.TellTyping(Place(Address("ana", "realm1"))))
        self.ana.does(ask.TellTyping(BUDI))
        self.network.advance(INTERVAL)
        self.network.settle()
        for each in (self.ana, self.budi):
            told = [event for event in each.events if isinstance(event, ReadMoved | Typing)]
            self.assertEqual(told, [])

    def test_invitations(self) -> None:
        self.ana.does(ask.AddGroup("bola"))
        for whom in (Address("ana", "realm1"), "realm1"):
            self.budi.does(ask.BlockPerson(whom))
            self.ana.does(ask.InviteMembers(Address("bola"), (Address("budi", "realm2"),)))
            self.network.settle()
            self.assertEqual(self.budi.does(ask.ListInvitations()).items, ())
            self.budi.does(ask.UnblockPerson(whom))
