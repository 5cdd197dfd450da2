"""What waits for the former home of a group, or comes from there, while the group moves."""

from __future__ import annotations

from typing import Any
from unittest import mock

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatd.base.entries import GroupFact, MadeFact
from chatd.base.errors import GroupMoved, StorageFailed
from chatd.base.model import Group
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.federation.move_steps import entries_of
from chatd.federation.parcels import Direct, GroupMark, Moved, MoveOffer, Parcel, Post
from chatd.federation.rerouting import GroupPlace, reroute
from chatd.federation.signing.entries import SignedEntry, decode_entry
from chatd.service.group_log import HOME
from chatd.service.realm_news import GroupRead
from chatd.store.groups import find_group
from chatd.store.lineage import planned_steps
from chatd.store.new_entries import NewMessage
from chatd.store.outbox import NewParcel
from chatd.store.pending import NewPost
from tests.support.network import Person, Server
from tests.unit.federation.test_group_follower import CutOffTestCase, FollowingTestCase
from tests.unit.federation.test_moved_posts import hold_posts

HOME_PLACE = Place(None, parse_group("bagan"))


class WaitingForTheFormerHome(CutOffTestCase):
    """What waits in realm3 for the former home, or comes back from there."""

    def readers(self, person: Person, text: str) -> list[str]:
        place = Place(None, parse_group("bagan@realm1"))
        found = person.does(ask.ShowHistory(place, 500)).items
        [seq] = [each.seq for each in found if each.text == text]
        return [each.username for each in person.does(ask.ShowReaders(place, seq)).items]

    def test_posts_of_a_realm_without_members(self) -> None:
        """Nobody tells it of the move. The author of what waits is told, so that nothing waits for ever."""
        self.ana.does(ask.KickMember(parse_address("bagan"), parse_address("citra@realm3")))
        self.network.settle()
        self.separate(self.one, self.three)
        self.citra.begins_to_post("bagan@realm1", "waits")
        self.network.settle()
        self.moves()
        self.assertEqual(self.three.parcels_waiting(), 1)
        self.meet()
        self.assertEqual(self.three.parcels_waiting(), 0)
        [told] = [each for each in self.citra.reads() if "bagan@realm2" in each]
        self.assertIn("system", told)

    def test_read_marks_of_others(self) -> None:
        """They come when the group has followed. A former home says nothing about what was written in the
        next one."""
        shown = self.budi.does(ask.ShowHistory(Place(None, parse_group("bagan@realm1")), 1)).items
        [home_id] = {
            each.conversation for each in self.ana.does(ask.ShowHistory(HOME_PLACE, 1)).items
        }
        self.separate(self.one, self.three)
        self.budi.does(ask.MarkRead(shown[-1].conversation, shown[-1].seq))
        self.network.settle()
        self.moves()
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        self.assertEqual(self.readers(self.citra, "before, ana"), [])
        self.meet()
        self.assertEqual(self.readers(self.citra, "before, ana"), ["budi@realm2"])
        self.budi.posts("bagan", "away")
        self.network.settle()
        [news] = self.citra.does(ask.ShowHistory(Place(None, parse_group("bagan@realm1")), 1)).items
        receipts = self.three.realm.service.receipts
        forged = GroupRead("ana", "realm1", home_id, news.seq)
        self.network.result(Deferred.fromCoroutine(receipts.arrived("realm1", forged)))
        self.assertEqual(self.readers(self.citra, "away"), [])

    def test_read_marks(self) -> None:
        self.ana.posts("bagan", "news")
        self.network.settle()
        self.separate(self.one, self.three)
        self.citra.begins_to_post("bagan@realm1", "waits")
        shown = self.citra.does(ask.ShowHistory(Place(None, parse_group("bagan@realm1")), 1)).items
        self.citra.does(ask.MarkRead(shown[-1].conversation, shown[-1].seq))
        self.network.settle()
        self.assertEqual(self.three.parcels_waiting("realm2"), 2)
        self.moves()
        self.assertEqual(self.three.parcels_waiting(), 0)
        self.assertIn("citra@realm3", self.readers(self.budi, "news"))

    def places(self) -> tuple[GroupPlace, GroupPlace]:
        """bagan in the former home, and in the new one, as realm3 knows it after the move."""

        def read(connection: Connection) -> Group | None:
            return find_group(connection, "bagan@realm2")

        group = self.three.realm.database.now(read)
        [former] = group.former
        left = GroupPlace(former.realm, former.home_id, former.name)
        return left, GroupPlace("realm2", group.home_id or 0, "bagan")

    def test_stored_after_the_move(self) -> None:
        """Of posts that are stored together, those for a home that the group has left are written again."""
        old, present = (
            NewPost(
                NewMessage(self.place_of("bagan@realm1"), self.citra.account.id, "citra", 1, text),
                f"bagan@{realm}",
                NewParcel(realm, b"", 1, None, None),
                epoch=-1,
            )
            for text, realm in (("old", "realm1"), ("present", "realm2"))
        )
        self.moves()
        posts = self.three.service.context.writers.posts
        database = self.three.realm.service.database
        for items in ([old], [old, present, old], [present]):
            found = self.network.result(database.run(posts.store, items))
            self.assertEqual(
                [isinstance(each, Failure) for each in found], [each is old for each in items]
            )
            for each in found:
                if isinstance(each, Failure):
                    self.assertTrue(each.check(GroupMoved))

    def place_of(self, name: str) -> int:
        group = self.three.realm.database.now(lambda db: find_group(db, name))
        return int(group.id)

    def test_stored_for_the_former_home(self) -> None:
        """What was written in the moment of the move goes to the former home, and on from there."""
        self.moves()
        self.separate(self.two, self.three)
        self.citra.begins_to_post("bagan@realm1", "waited")
        self.network.settle()
        left, present = self.places()
        writer = self.three.federation.outbox.writer
        database = self.three.realm.service.database
        sent = self.network.result(database.run(reroute, writer, present, left, 1))
        self.assertEqual([each.realm for each in sent], ["realm1"])
        del self.network.refusing[self.three.where]  # only realm1 reaches it
        self.three.restart()
        self.network.advance(60)
        self.assertEqual(self.three.parcels_waiting(), 1)
        self.assertEqual(self.three.parcels_waiting("realm2"), 0)
        self.meet()
        self.assertEqual(self.three.parcels_waiting(), 0)
        self.assertEqual(self.budi.history(group="bagan")[-1], "citra@realm3: waited")

    def test_former_home_again(self) -> None:
        """What the home answers that is not ready yet waits, also if the group has lived there before."""
        self.moves()
        self.moves_back()
        held = hold_posts(self)
        self.citra.begins_to_post("bagan@realm1", "waited")
        self.network.settle()
        held.restore()
        self.assertEqual(self.three.parcels_waiting("realm2"), 1)
        for connection in self.network.open_connections(self.one, self.three):
            connection.cut()
        self.network.advance(60)
        self.assertEqual(self.three.parcels_waiting(), 0)
        self.assertEqual(self.ana.history(group="bagan")[-1], "citra@realm3: waited")


class Refused(FollowingTestCase):
    """Parcels that have no effect, or a hostile one."""

    def says(self, server: Server, realm: str, parcel: Parcel) -> str:
        self.number = getattr(self, "number", 1 << 60) + 1
        [verdict] = server.receives(realm, (self.number, parcel))
        return verdict.code

    def proof(self, home: str, home_id: int) -> SignedEntry:
        """The present home of bagan, which is realm1, says that it is there now."""

        def sign(connection: Connection) -> SignedEntry:
            group = find_group(connection, "bagan")
            assert group is not None
            fields: dict[str, Any] = {"home": home, "home_id": str(home_id), "last": "99"}
            fact = MadeFact(GroupFact(fields), HOME, self.one.service.context.now())
            sign_facts = self.one.federation.forwarder.sign_facts
            [entry] = sign_facts(connection, "realm1", group.id, [fact])
            return decode_entry(entry)

        entry: SignedEntry = self.network.result(self.one.realm.service.database.run(sign))
        return entry

    def test_unknown_group(self) -> None:
        """Nothing becomes of a group that this realm does not know."""
        self.assertEqual(self.says(self.three, "realm1", MoveOffer("kota", 77, "ana")), "")
        self.ana.creates("kota")
        self.budi.joins("kota@realm1")
        self.promote_in_kota()
        self.move(self.ana, "kota", "realm2")
        self.move(self.budi, "kota@realm1", "realm2")
        self.network.settle()
        steps = self.steps_of("kota")
        self.assertEqual(self.says(self.three, "realm2", Moved(steps)), "")
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])

    def promote_in_kota(self) -> None:
        self.network.settle()
        self.promote(self.ana, "budi@realm2", "kota")
        self.network.settle()

    def steps_of(self, group: str) -> tuple[SignedEntry, ...]:
        def read(connection: Connection) -> tuple[SignedEntry, ...]:
            found = find_group(connection, group)
            assert found is not None
            return entries_of(planned_steps(connection, found.id))

        steps: tuple[SignedEntry, ...] = self.network.result(
            self.two.realm.service.database.read(read)
        )
        return steps

    def test_answers(self) -> None:
        """Only what is for a group that this realm knows waits if its home says that the group has moved."""
        home_id = self.three.realm.database.now(
            lambda db: getattr(find_group(db, "bagan@realm1"), "home_id", 0)
        )
        entry = SignedEntry(b"", None, b"", b"")
        for parcel, waits in (
            (None, False),
            (Direct("citra", "ana", 1, "halo"), False),
            (Post(entry, "kota"), False),
            (Post(entry, "bagan"), True),
            (GroupMark("citra", "realm1", home_id + 1, 1), False),
            (GroupMark("citra", "realm1", home_id, 1), True),
        ):
            refused = self.three.federation.follower.refused("realm1", parcel)
            self.assertEqual(self.network.result(refused), waits)

    def test_two_homes(self) -> None:
        """A home can't let the group move to another realm once it has left it."""
        other = self.proof("bagan@realm2", 1234)
        self.moves()
        self.assertEqual(self.says(self.three, "realm2", Moved((other,))), "bad-signature")
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])

    def test_nobody_is_a_member(self) -> None:
        """A copy without members follows, and fetches nothing."""
        self.citra.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.network.settle()
        links = self.three.federation.follower._links
        with mock.patch.object(links, "past") as past:
            self.moves()
            self.assertEqual(self.says(self.three, "realm2", Moved(self.steps_of("bagan"))), "")
            self.assertEqual(past.call_count, 0)
        self.citra.joins("bagan@realm1")
        self.network.settle()
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])

    def test_full_disk(self) -> None:
        """If the last entries can't be stored, the group follows later."""
        for connection in self.network.open_connections(self.one, self.three):
            connection.cut()
        self.network.refusing[self.one.where] = OSError()
        self.network.refusing[self.three.where] = OSError()
        self.ana.posts("bagan", "missed")
        take, left = self.three.federation.receiver.take, [StorageFailed()]

        async def full(*args: Any) -> Any:
            if left:
                raise left.pop()
            return await take(*args)

        self.patch(self.three.federation.receiver, "take", full)
        self.moves()
        self.assertEqual((self.citra.mine(), left), (["bagan@realm1"], []))
        self.meet()
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        self.assertEqual(self.citra.history(group="bagan@realm2")[-1], "ana@realm1: missed")

    def test_moves_meanwhile(self) -> None:
        """A group that has followed while its last entries were fetched does not follow again."""
        follower = self.three.federation.follower
        catch_up = follower._catch_up

        async def twice(group: Group, *rest: Any) -> None:
            await catch_up(group, *rest)
            if left:
                await follower._moved("realm2", Moved(left.pop()))

        left: list[Any] = []
        self.patch(follower, "_catch_up", twice)
        self.network.connection(self.two, self.three).cut()
        self.network.refusing[self.two.where] = self.network.refusing[self.three.where] = OSError()
        self.moves()
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])
        left.append(self.steps_of("bagan"))
        self.meet()
        self.assertEqual((self.citra.mine(), left), (["bagan@realm2"], []))
        self.citra.posts("bagan@realm2", "after")
        self.network.settle()
        self.assertEqual(self.ana.history(group="bagan@realm2")[-1], "citra@realm3: after")
