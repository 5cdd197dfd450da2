"""Posts that wait for the home of a group, while the group gets a new home in the realm of their authors."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred
from twisted.python.monkey import MonkeyPatcher
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import Banned, GroupMoved
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.federation.entry_reader import EntryReader
from chatd.federation.membership import MembershipNews
from chatd.federation.parcels import Post
from chatd.federation.rerouting import GroupPlace, waiting_for
from chatd.simulate.people import Person
from chatd.store.groups import find_group
from tests.unit.federation.test_group_moves import MovingTestCase, log_of
from tests.unit.federation.test_rescues import SOON, RescueTestCase


def hold_posts(case: SynchronousTestCase) -> MonkeyPatcher:
    """Let homes of groups say of all posts, and of people who leave, that the group has moved. So they wait,
    until `restore` of the returned patches is called."""

    async def refuse(_reader: Any, _realm: str, parcel: Any, *_opened: Any) -> None:
        name = parse_address(parcel.group)
        raise GroupMoved(group=name, to=name)

    held = MonkeyPatcher((EntryReader, "_post", refuse), (MembershipNews, "_leave", refuse))
    held.patch()
    case.addCleanup(held.restore)
    return held


def begins_to_post(person: Person, group: str, text: str) -> None:
    person.begins_to_post(group, text).addErrback(lambda _failure: None)


def leaves(person: Person, group: str) -> None:
    person.does(ask.LeaveGroup(parse_address(group)))


def seq_of(person: Person, group: str, text: str) -> int:
    found = person.does(ask.ShowHistory(Place(None, parse_group(group)), 500)).items
    return next(int(each.seq) for each in found if each.text == text)


def home_id_of(connection: sa.Connection) -> int:
    """The id in realm1 of bagan."""
    group = find_group(connection, "bagan@realm1")
    return 0 if group is None else group.home_id or 0


class PlannedMove(MovingTestCase):
    """bagan moves from realm1 to realm2. Posts of people of realm2 wait meanwhile."""

    def setUp(self) -> None:
        super().setUp()
        self.dewi = self.two.person("dewi")
        for person in (self.bela, self.dewi):
            person.joins("bagan@realm1")
            person.posts("bagan@realm1", f"before, {person.name}")
        self.network.settle()
        self.held = hold_posts(self)

    def begins(self, person: Person, command: Any) -> Deferred[Any]:
        return person.begins(command).addErrback(lambda _failure: None)

    def moves_after(self, posts: int) -> None:
        self.network.settle()
        place = GroupPlace("realm1", self.two.realm.database.now(home_id_of), "bagan")
        waiting = self.two.realm.database.now(lambda db: list(waiting_for(db, place)))
        self.assertEqual(sum(isinstance(each.parcel, Post) for each in waiting), posts)
        self.held.restore()
        self.moves()

    def shown(self) -> list[str]:
        """What all see, the same in all realms: text by text."""
        own, *others = [
            [each.partition(": ")[2] for each in history] for history in self.histories()
        ]
        for other in others:
            self.assertEqual(other, own)
        self.assertEqual(len(set(own)), len(own))
        return own

    def test_messages(self) -> None:
        """They are in the log of the new home in their order, each once."""
        for number in range(3):
            begins_to_post(self.budi, "bagan@realm1", f"waiting {number}")
        sending = self.budi.begins_to_send_file("#bagan@realm1", "notes.txt", b"hello")
        sending.addErrback(lambda _failure: None)
        self.moves_after(4)
        shown = self.shown()
        self.assertEqual(shown[-4:], ["waiting 0", "waiting 1", "waiting 2", "file notes.txt"])
        messages = self.citra.does(ask.ShowHistory(Place(None, parse_group("bagan@realm2")), 500))
        file = messages.items[-1].file
        self.network.until(lambda: self.citra.files() != [])
        self.assertEqual(self.citra.fetches(file.code), b"hello")
        self.budi.posts("bagan", "after")
        self.network.settle()
        self.assertEqual(self.shown()[-1], "after")

    def test_changes(self) -> None:
        """Edits, deletions and reactions take effect in all realms."""
        group = "bagan@realm1"
        edited = seq_of(self.budi, group, "before, budi")
        deleted = seq_of(self.bela, group, "before, bela")
        liked = seq_of(self.budi, group, "before, ana")
        place = Place(None, parse_group(group))
        self.begins(self.budi, ask.EditMessage(place, edited, "edited"))
        self.begins(self.bela, ask.DeleteMessage(place, deleted))
        self.begins(self.budi, ask.ReactToMessage(place, liked, "👍"))
        self.moves_after(3)
        shown = self.shown()
        self.assertIn("edited", shown)
        self.assertNotIn("before, bela", shown)
        for person, address in ((self.ana, "bagan@realm2"), (self.citra, "bagan@realm2")):
            seq = seq_of(person, address, "before, ana")
            found = person.does(ask.ShowHistory(Place(None, parse_group(address)), 500)).items
            [message] = [each for each in found if each.seq == seq]
            self.assertEqual([each.emoji for each in message.reactions], ["👍"])

    def test_author_has_left(self) -> None:
        """A post is kept if its author left after writing it, and so are their edits and deletions."""
        place = Place(None, parse_group("bagan@realm1"))
        bela = seq_of(self.bela, "bagan@realm1", "before, bela")
        dewi = seq_of(self.dewi, "bagan@realm1", "before, dewi")
        begins_to_post(self.bela, "bagan@realm1", "farewell")
        self.begins(self.bela, ask.EditMessage(place, bela, "bela, edited"))
        self.begins(self.dewi, ask.DeleteMessage(place, dewi))
        self.network.settle()
        leaves(self.bela, "bagan@realm1")
        leaves(self.dewi, "bagan@realm1")
        self.moves_after(3)
        shown = self.shown()
        self.assertEqual(shown[-1], "farewell")
        self.assertIn("bela, edited", shown)
        self.assertNotIn("before, dewi", shown)
        self.assertEqual(self.bela.reads(), [])
        self.assertEqual(self.bela.mine(), [])
        said = [entry[2] or "" for entry in log_of(self.three, self.citra, "bagan@realm2")]
        farewell = said.index("farewell")
        self.assertEqual(sum('"left"' in each for each in said[:farewell]), 0)
        self.assertEqual(sum('"left"' in each for each in said[farewell:]), 2)

    def test_author_was_removed(self) -> None:
        """A post is refused if the home has banned its author. They can still delete their messages."""
        place = Place(None, parse_group("bagan@realm1"))
        bela = seq_of(self.bela, "bagan@realm1", "before, bela")
        dewi = seq_of(self.dewi, "bagan@realm1", "before, dewi")
        begins_to_post(self.bela, "bagan@realm1", "I stay")
        self.begins(self.bela, ask.EditMessage(place, bela, "bela, edited"))
        self.begins(self.dewi, ask.DeleteMessage(place, dewi))
        self.network.settle()
        self.kick(self.ana, "bela@realm2")
        self.kick(self.ana, "dewi@realm2")
        begins_to_post(self.budi, "bagan@realm1", "so do I")
        self.moves_after(4)
        shown = self.shown()
        self.assertEqual(shown[-1], "so do I")
        self.assertNotIn("I stay", shown)
        self.assertIn("before, bela", shown)
        self.assertNotIn("before, dewi", shown)
        self.assertTrue(any("banned" in each for each in self.bela.reads()), "bela is told")
        self.assertEqual(self.dewi.reads(), [])


class Rescue(RescueTestCase):
    """bagan is founded again in realm2."""

    realms = 3

    def test_author_has_left(self) -> None:
        eko = self.second.person("eko")
        eko.joins("bagan@realm1")
        self.network.advance(SOON)
        self.home.kill()
        begins_to_post(eko, "bagan@realm1", "farewell")
        self.network.settle()
        leaves(eko, "bagan@realm1")
        self.away()
        self.rescues("budi")
        self.network.advance(SOON)
        self.assertEqual(self.same("budi", "citra"), ["ana: one", "eko: farewell"])
        self.nothing_waits()

    def test_author_was_removed(self) -> None:
        eko = self.second.person("eko")
        eko.joins("bagan@realm1")
        self.network.advance(SOON)
        held = hold_posts(self)
        begins_to_post(eko, "bagan@realm1", "I stay")
        self.posts("budi", "so do I")
        self.ana.does(ask.KickMember(parse_address("bagan"), parse_address("eko@realm2")))
        self.network.advance(SOON)
        held.restore()
        self.home.kill()
        self.away()
        self.rescues("budi")
        self.network.advance(SOON)
        self.assertEqual(self.same("budi", "citra"), ["ana: one", "budi: so do I"])
        self.assertTrue(any(str(Banned(group="bagan")) in each for each in eko.reads()))
        self.nothing_waits()
