"""A group's home that has lost a message and its deletion tells everybody of the deletion again."""

from __future__ import annotations

from chatd.base.names import Place, parse_group
from chatd.commands import values as ask
from chatd.simulate.people import Person
from tests.support.restores import RestoringTestCase
from tests.unit.federation.test_group_moves import MovingTestCase

HOME, ELSEWHERE = (Place(None, parse_group(each)) for each in ("bagan", "bagan@realm1"))


class LostDeletions(RestoringTestCase, MovingTestCase):
    """bagan is a group of realm1, with a member in each realm. realm2 is down when a message is deleted that
    it has; it is linked again when realm3 has returned to realm1 what was lost in a restore."""

    def lose(self, author: Person, place: Place) -> None:
        copy = self.back_up(self.one)
        author.posts(str(place.group), "secret")
        self.network.settle()
        self.two.kill()
        seq = self.citra.does(ask.ShowHistory(ELSEWHERE, 1)).items[-1].seq
        self.ana.does(ask.DeleteMessage(HOME, seq))
        self.network.settle()
        self.restore(self.one, copy)
        self.network.advance(60)
        self.two.open()
        self.network.advance(120)
        for person, seen in ((self.ana, HOME), (self.budi, ELSEWHERE), (self.citra, ELSEWHERE)):
            found = person.does(ask.ShowHistory(seen, 500)).items[3:]
            self.assertEqual([(each.text, each.deleted) for each in found], [(None, True)])

    def test_message_of_the_realm_that_returns_it(self) -> None:
        self.lose(self.citra, ELSEWHERE)

    def test_message_of_the_home(self) -> None:
        self.lose(self.ana, HOME)

    def test_message_of_the_realm_that_was_down(self) -> None:
        self.lose(self.budi, ELSEWHERE)
