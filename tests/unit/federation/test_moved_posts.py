"""Posts that wait for the home of a group, while the group gets a new home in the realm of their authors."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.python.monkey import MonkeyPatcher
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import Banned, GroupFull, GroupMoved, StorageFailed
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.federation.entry_reader import EntryReader
from chatd.federation.group_mover import AGAIN
from chatd.federation.membership import MembershipNews
from chatd.federation.moved_posts import Adopted
from chatd.federation.parcels import Post, Verdict, encode
from chatd.federation.receive import Receiver
from chatd.federation.refusals import verdict_of
from chatd.federation.rerouting import GroupPlace, WaitingParcel, waiting_for
from chatd.federation.signing.entries import SignedEntry
from chatd.simulate.people import Person
from chatd.store.groups import find_group
from chatd.store.outbox import NewParcel
from chatd.store.schema import accounts
from tests.unit.federation.test_group_moves import MovingTestCase, decode, log_of
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

    def waiting(self) -> list[WaitingParcel]:
        database = self.two.realm.database
        place = GroupPlace("realm1", database.now(home_id_of), "bagan")
        return list(database.now(lambda db: list(waiting_for(db, place))))

    def moves_after(self, posts: int) -> None:
        self.network.settle()
        self.assertEqual(sum(isinstance(each.parcel, Post) for each in self.waiting()), posts)
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

    def stored_but_not_answered(self) -> None:
        """Let the home of bagan keep what comes, and its verdicts say that the group has moved."""
        self.held.restore()
        read = EntryReader._post
        receive = Receiver.receive

        async def kept(receiver: Any, realm: str, batch: Any, stream: Any = None) -> list[Verdict]:
            verdicts = await receive(receiver, realm, batch, stream)
            moved = GroupMoved(group="bagan", to="bagan")
            return [
                verdict_of(moved) if isinstance(each, Post) else verdict
                for (_, each), verdict in zip(batch, verdicts, strict=True)
            ]

        self.held = MonkeyPatcher((EntryReader, "_post", read), (Receiver, "receive", kept))
        self.held.patch()
        self.addCleanup(self.held.restore)

    def test_known_already(self) -> None:
        """What the former home has taken, and has not acknowledged, is there once. The message waits again as
        after a restore."""
        place = Place(None, parse_group("bagan@realm1"))
        liked = seq_of(self.budi, "bagan@realm1", "before, ana")
        begins_to_post(self.budi, "bagan@realm1", "once")
        self.network.settle()
        [[message, _]] = self.waiting()
        self.stored_but_not_answered()
        self.two.restart()
        self.network.until(lambda: not self.waiting())
        self.begins(self.budi, ask.ReactToMessage(place, liked, "👍"))
        writer = self.two.federation.outbox.writer

        def restore(connection: sa.Connection) -> None:
            sent = message.parcel, message.created_at, message.sender_id, None, message.id
            writer.store(connection, [NewParcel("realm1", *sent)])

        self.network.result(self.two.realm.database.run(restore))
        self.moves_after(2)
        shown = self.shown()
        self.assertEqual(shown.count("once"), 1)
        found = self.ana.does(ask.ShowHistory(Place(None, parse_group("bagan@realm2")), 500)).items
        [message] = [each for each in found if each.text == "before, ana"]
        self.assertEqual([(each.emoji, each.count) for each in message.reactions], [("👍", 1)])
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_deleted_since(self) -> None:
        """Of an edited message that is deleted nothing is left. An edit of what is not there is refused."""
        place = Place(None, parse_group("bagan@realm1"))
        budi = seq_of(self.budi, "bagan@realm1", "before, budi")
        self.begins(self.budi, ask.EditMessage(place, budi, "edited"))
        self.network.settle()
        self.begins(self.budi, ask.DeleteMessage(place, budi))
        self.moves_after(2)
        shown = self.shown()
        self.assertNotIn("edited", shown)
        self.assertNotIn("before, budi", shown)
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_can_not_be_made(self) -> None:
        """A reaction to a message that is deleted meanwhile is refused, and so is what has no place."""
        place = Place(None, parse_group("bagan@realm1"))
        seq = seq_of(self.budi, "bagan@realm1", "before, ana")
        self.begins(self.budi, ask.ReactToMessage(place, seq, "👍"))
        begins_to_post(self.budi, "bagan@realm1", "no place")
        self.network.settle()
        own = seq_of(self.ana, "bagan", "before, ana")
        self.ana.does(ask.DeleteMessage(Place(None, parse_group("bagan")), own))
        messages = self.two.service.context.writers.messages
        receive = messages.receive

        def full(connection: sa.Connection, items: Any, *rest: Any) -> Any:
            if items[0].text == "no place":
                return [Failure(GroupFull(group="bagan", limit=1))]
            return receive(connection, items, *rest)

        self.patch(messages, "receive", full)
        self.moves_after(2)
        self.assertNotIn("no place", self.shown())
        self.assertTrue(any("no place" in each for each in self.budi.reads()), "budi is told")
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_author_is_gone(self) -> None:
        """The post of a deleted account is refused, and keeps no other one waiting."""
        begins_to_post(self.dewi, "bagan@realm1", "gone")
        begins_to_post(self.budi, "bagan@realm1", "stays")
        self.network.settle()
        deleted = sa.update(accounts).where(accounts.c.key == "dewi").values(key="~dewi")

        def delete(connection: sa.Connection) -> None:
            connection.execute(deleted)

        self.network.result(self.two.realm.database.run(delete))
        self.moves_after(2)
        shown = self.shown()
        self.assertEqual(shown[-1], "stays")
        self.assertNotIn("gone", shown)
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_not_signed(self) -> None:
        """A post that can't be read as an entry is refused, and keeps no other one waiting."""
        bad = encode(Post(SignedEntry(b"x", None, b"", b""), "bagan"))
        writer = self.two.federation.outbox.writer

        def store(connection: sa.Connection) -> None:
            writer.store(connection, [NewParcel("realm1", bad, 1, self.bela.account.id, None)])

        self.network.result(self.two.realm.database.run(store))
        begins_to_post(self.budi, "bagan@realm1", "stays")
        self.moves_after(2)
        self.assertEqual(self.shown()[-1], "stays")
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_full_disk(self) -> None:
        """If a post can't be stored, the group is taken over later, with all of them."""
        begins_to_post(self.budi, "bagan@realm1", "one")
        begins_to_post(self.bela, "bagan@realm1", "two")
        posts = self.two.federation.mover._posts
        take, errors = posts._take, [None, StorageFailed()]

        def full(*args: Any) -> None:
            error = errors.pop(0) if errors else None
            if error is not None:
                raise error
            take(*args)

        self.patch(posts, "_take", full)
        self.moves_after(2)
        self.network.advance(AGAIN + 1)
        self.assertEqual((self.budi.mine(), errors), (["bagan"], []))
        self.assertEqual(self.shown()[-2:], ["one", "two"])

    def test_author_can_not_be_told(self) -> None:
        """A failure with one refused post does not keep the others from being told."""
        for person in (self.bela, self.dewi):
            begins_to_post(person, "bagan@realm1", "I stay")
        self.network.settle()
        for name in ("bela", "dewi"):
            self.kick(self.ana, f"{name}@realm2")
        outcomes = self.two.federation.outcomes
        refuse, errors = outcomes.refuse, [ZeroDivisionError()]

        async def failing(*args: Any) -> Any:
            if errors:
                raise errors.pop()
            return await refuse(*args)

        self.patch(outcomes, "refuse", failing)
        self.moves_after(2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(any("banned" in each for each in self.dewi.reads()), "dewi is told")

    def test_refused_late(self) -> None:
        """What the former home refuses after the group came here is taken here, too."""
        posts = self.two.federation.mover._posts
        adopt, left = posts.adopt, [Adopted()]
        self.patch(posts, "adopt", lambda *args: left.pop() if left else adopt(*args))
        begins_to_post(self.budi, "bagan@realm1", "late")
        self.moves_after(1)
        self.assertNotIn("late", "".join(self.budi.history(group="bagan")))
        self.two.restart()
        self.network.advance(60)
        self.assertEqual(self.shown()[-1], "late")
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_moved_on(self) -> None:
        """Nothing is taken into the log of a group that lives elsewhere."""
        begins_to_post(self.budi, "bagan@realm1", "waits")
        self.network.settle()
        database, posts = self.two.realm.database, self.two.federation.mover._posts
        group = database.now(lambda db: find_group(db, "bagan@realm1"))
        place = GroupPlace("realm1", group.home_id, "bagan")
        self.network.result(posts.adopt_waiting(group.id, place))
        self.moves_after(1)
        self.assertEqual(self.shown()[-1], "waits")


class Alone(MovingTestCase):
    def test_no_other_realm(self) -> None:
        """The only members left are of the new home: its posts go nowhere else."""
        held = hold_posts(self)
        begins_to_post(self.budi, "bagan@realm1", "waits")
        self.network.settle()
        held.restore()
        handing_over = self.one.federation.handing_over
        make_package = handing_over._package

        def package(*args: Any) -> bytes:
            members, *rest = decode(make_package(*args))
            return encode([[each for each in members if each[0].endswith("@realm2")], *rest])

        self.patch(handing_over, "_package", package)
        self.moves()
        self.assertEqual(self.budi.members("bagan"), ["*budi+"])
        self.assertEqual(self.budi.history(group="bagan")[-1], "budi: waits")
        self.assertEqual(self.two.parcels_waiting(), 0)


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
