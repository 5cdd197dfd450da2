"""The home of a group is restored from a backup, and mirrors have different parts of what it has lost."""

from __future__ import annotations

from chatd.base.names import Place, parse_group
from chatd.commands import values as ask
from tests.support.restores import RestoredTestCase

HERE, THERE = Place(None, parse_group("bagan")), Place(None, parse_group("bagan@realm1"))


class TwoMirrorsTestCase(RestoredTestCase):
    """bagan is a group of realm1 with ana; budi of realm2 and dewi of realm3 are members."""

    def setUp(self) -> None:
        super().setUp()
        self.three = self.network.server("realm3")
        self.three.add(self.one)
        self.dewi = self.three.person("dewi")
        self.ana.creates("bagan")
        for person in (self.budi, self.dewi):
            person.joins("bagan@realm1")
        self.network.advance(5)

    def test_change_of_a_message_that_one_mirror_lacks(self) -> None:
        """realm2 returns a message of its own, and what people of the home did with it. realm3 gets it before
        that."""
        copy = self.back_up(self.one)
        self.network.connection(self.one, self.three).transport_of(self.one).held = True
        self.budi.posts("bagan@realm1", "halo")
        self.network.advance(1)
        [message] = self.ana.does(ask.ShowHistory(HERE, 5)).items
        self.ana.does(ask.ReactToMessage(HERE, message.seq, "👍", True))
        self.ana.does(ask.PinMessage(HERE, message.seq, True))
        self.network.advance(1)
        self.restore(self.one, copy)
        self.network.advance(10)
        for person, place in ((self.ana, HERE), (self.budi, THERE), (self.dewi, THERE)):
            [found] = person.does(ask.ShowHistory(place, 5)).items
            self.assertEqual(found.text, "halo")
            self.assertEqual(
                ([each.emoji for each in found.reactions], found.pinned), (["👍"], True)
            )
        self.assertEqual(self.one.parcels_waiting(), 0)
