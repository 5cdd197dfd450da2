"""Realms that follow a group to another realm, also those that were away while it moved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from chatd.base.entries import GroupFact, MadeFact
from chatd.base.errors import GroupExists, GroupMoved, PeerFailed, StorageFailed
from chatd.base.model import Group
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.federation import group_follower
from chatd.federation.move_steps import entries_of
from chatd.federation.parcels import Direct, GroupMark, Moved, MoveOffer, Parcel, Post
from chatd.federation.rerouting import GroupPlace, reroute
from chatd.federation.signing.entries import SignedEntry, decode_entry
from chatd.service.group_log import HOME
from chatd.store.groups import find_group
from chatd.store.lineage import planned_steps
from chatd.store.new_entries import NewMessage
from chatd.store.outbox import NewParcel
from chatd.store.pending import NewPost
from tests.support.network import Person, Server
from tests.unit.federation.test_group_moves import MovingTestCase, log_of
from tests.unit.federation.test_moved_posts import hold_posts
from tests.unit.federation.test_rescues import SOON, RescueTestCase


class FollowingTestCase(MovingTestCase):
    def moves_back(self) -> None:
        self.move(self.budi, "bagan", "realm1")
        self.move(self.ana, "bagan@realm2", "realm1")
        self.network.settle()
        self.assertEqual(self.ana.mine(), ["bagan"])


class Late(FollowingTestCase):
    def test_joined_between(self) -> None:
        """A realm that has only joined the group in its second home follows to the third one. What it has
        kept of the group from before that is in nobody's way."""
        self.citra.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.network.settle()
        self.moves()
        self.citra.joins("bagan@realm2")
        self.network.settle()
        self.moves_back()
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])
        self.citra.posts("bagan@realm2", "here, too")
        self.assertEqual(self.ana.history(group="bagan")[-1], "citra@realm3: here, too")


class AfterRescue(RescueTestCase):
    realms = 3

    def test_moves_on(self) -> None:
        """A group that was rescued can move to another realm."""
        self.away(self.home)
        self.rescues("budi")
        self.network.advance(SOON)
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        for person, group in ((self.budi, "bagan"), (self.citra, "bagan@realm2")):
            person.does(ask.MoveGroup(parse_address(group), "realm3"))
        self.network.settle()
        self.assertEqual(self.citra.mine(), ["bagan"])
        self.assertEqual(self.budi.mine(), ["bagan@realm3"])
        self.posts("budi", "on", "bagan@realm3")
        self.assertEqual(self.citra.history(group="bagan")[-1], "budi@realm2: on")


class CutOffTestCase(FollowingTestCase):
    def separate(self, one: Server, other: Server) -> None:
        for each in (one, other):
            self.network.refusing[each.where] = OSError()
        for connection in self.network.open_connections(one, other):
            connection.cut()
        self.network.settle()


class CutOff(CutOffTestCase):
    """realm3 does not reach one of the other realms while bagan moves, or neither of them."""

    def write(self) -> None:
        """ana writes what realm3 does not get, and citra what waits for realm1."""
        for number in range(5):
            self.ana.posts("bagan", f"missed {number}")
        self.citra.begins_to_post("bagan@realm1", "waited")
        self.network.settle()

    def check(self, *texts: str) -> None:
        """All have the same messages, and realm3 the same numbers of entries."""
        expected = [f"before, {name}" for name in ("ana", "budi", "citra")]
        expected += [*(f"missed {number}" for number in range(5)), *texts]
        for person in (self.ana, self.budi, self.citra):
            history = person.history(group="bagan@realm1")
            self.assertEqual([each.partition(": ")[2] for each in history], expected)
        logs = [
            [entry[0] for entry in log_of(server, person, "bagan@realm1")]
            for server, person in ((self.one, self.ana), (self.three, self.citra))
        ]
        self.assertEqual(logs[1], [each for each in logs[0] if each >= logs[1][0]])

    def test_from_the_former_home(self) -> None:
        """What realm3 lacks comes from the new home, in order, and the former one brings it in vain."""
        self.patch(group_follower, "PAGE", 2)
        self.separate(self.one, self.three)
        self.write()
        self.moves()
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        self.check("waited")
        self.meet()
        self.check("waited")

    def test_from_the_new_home(self) -> None:
        """What is written meanwhile waits until realm3 has followed, as the former home says."""
        self.separate(self.two, self.three)
        for number in range(5):
            self.ana.posts("bagan", f"missed {number}")
        self.moves()
        self.citra.begins_to_post("bagan@realm1", "waited")
        self.citra.reads()
        self.network.settle()
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])
        self.assertEqual(self.three.parcels_waiting("realm2"), 1)
        self.meet()
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        self.check("waited")
        self.assertEqual(self.three.parcels_waiting(), 0)

    def test_there_and_back(self) -> None:
        """realm3 is down while bagan moves away and comes back."""
        self.separate(self.one, self.three)
        self.write()
        self.three.kill()
        self.moves()
        self.budi.posts("bagan", "away")
        self.moves_back()
        self.three.open()
        self.meet()
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])
        self.check("away", "waited")

    def test_new_home_is_cut_off_meanwhile(self) -> None:
        """If the last entries do not come, the group does not follow yet."""
        self.separate(self.one, self.three)
        self.write()
        links = self.three.federation.follower._links
        unanswered = mock.Mock(side_effect=lambda *_: fail(PeerFailed(realm="realm2")))
        with mock.patch.object(links, "past", unanswered):
            self.moves()
            self.assertEqual(self.citra.mine(), ["bagan@realm1"])
        self.network.advance(60)
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        self.check("waited")


class WaitingForTheFormerHome(CutOffTestCase):
    """What waits in realm3 for the former home, or comes back from there."""

    def readers(self, person: Person, text: str) -> list[str]:
        place = Place(None, parse_group("bagan@realm1"))
        found = person.does(ask.ShowHistory(place, 500)).items
        [seq] = [each.seq for each in found if each.text == text]
        return [each.username for each in person.does(ask.ShowReaders(place, seq)).items]

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
        self.assertEqual(self.three.parcels_waiting("realm1"), 1)
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


class Opposite(FollowingTestCase):
    def test_do_not_wait_for_each_other(self) -> None:
        """Two groups move in opposite directions, and realm3 lacks the last entries of both: the parcels of
        each of the two realms need entries of the other one."""
        self.budi.creates("kota")
        self.ana.joins("kota@realm2")
        self.citra.joins("kota@realm2")
        self.promote_in("kota", self.budi, "ana@realm1")
        self.network.settle()
        self.three.kill()
        self.ana.posts("bagan", "last of bagan")
        self.moves()
        self.budi.posts("kota", "last of kota")
        self.move(self.budi, "kota", "realm1")
        self.move(self.ana, "kota@realm2", "realm1")
        self.network.settle()
        self.three.open()
        asked: list[tuple[str, Deferred[None]]] = []
        links = self.three.federation.follower._links
        past = links.past

        async def slow(realm: str, *rest: int) -> Any:
            waiting: Deferred[None] = Deferred()
            asked.append((realm, waiting))
            await waiting
            return await past(realm, *rest)

        with mock.patch.object(links, "past", lambda *args: Deferred.fromCoroutine(slow(*args))):
            self.network.advance(60)
            self.assertEqual({realm for realm, _ in asked}, {"realm1", "realm2"})
            while asked:
                asked.pop()[1].callback(None)
                self.network.settle()
        self.assertEqual(sorted(self.citra.mine()), ["bagan@realm2", "kota@realm1"])
        for group in ("bagan", "kota"):
            history = self.citra.history(group=f"{group}@realm1")
            self.assertIn(f"last of {group}", history[-1])

    def promote_in(self, group: str, who: Person, user: str) -> None:
        who.does(ask.PromoteMember(parse_address(group), parse_address(user)))


class Restored(FollowingTestCase):
    """Realms that have lost in a restore that a group has moved."""

    def back_up(self, server: Server) -> Path:
        copy = Path(self.mktemp())
        server.close()
        shutil.copytree(server.config.state, copy)
        server.open()
        self.network.advance(5)
        return copy

    def restore(self, server: Server, copy: Path) -> None:
        server.kill()
        shutil.rmtree(server.config.state)
        shutil.copytree(copy, server.config.state)
        server.open()
        self.network.advance(60)

    def moves_on(self) -> None:
        """bagan moves from realm2 to realm3, where citra is an admin now."""
        self.promote(self.budi, "citra@realm3")
        self.network.settle()
        self.move(self.budi, "bagan", "realm3")
        self.move(self.citra, "bagan@realm2", "realm3")
        self.network.settle()
        self.assertEqual(self.citra.mine(), ["bagan"])

    def check(self, *groups: str) -> None:
        people = (self.ana, self.budi, self.citra)
        self.assertEqual([each.mine() for each in people], [[each] for each in groups])
        for person in people:
            person.posts("bagan@realm1", f"after, {person.name}")
            self.network.settle()
        expected = [f"before, {each.name}" for each in people]
        expected += ["between", *(f"after, {each.name}" for each in people)]
        for person in people:
            history = person.history(group="bagan@realm1")
            self.assertEqual([each.partition(": ")[2] for each in history], expected)

    def test_former_home(self) -> None:
        """A home that has forgotten that it has handed the group over becomes a copy again."""
        copy = self.back_up(self.one)
        self.moves()
        self.budi.posts("bagan", "between")
        self.restore(self.one, copy)
        self.check("bagan@realm2", "bagan", "bagan@realm2")

    def test_new_home_of_two_moves(self) -> None:
        """The third home has forgotten both moves, and that it has agreed to the second one."""
        copy = self.back_up(self.three)
        self.moves()
        self.budi.posts("bagan", "between")
        self.moves_on()
        self.restore(self.three, copy)
        self.check("bagan@realm3", "bagan@realm3", "bagan")

    def test_home_between(self) -> None:
        """A home in which the group has lived for a while has forgotten that altogether."""
        copy = self.back_up(self.two)
        self.moves()
        self.budi.posts("bagan", "between")
        self.moves_on()
        self.restore(self.two, copy)
        self.check("bagan@realm3", "bagan@realm3", "bagan")
        self.assertEqual(self.budi.history(group="bagan"), self.budi.history(group="bagan@realm3"))
        with self.assertRaises(GroupExists):
            self.budi.creates("bagan")

    def test_name_is_taken(self) -> None:
        """A group that was created since the restore keeps its name."""
        copy = self.back_up(self.two)
        self.moves()
        self.budi.posts("bagan", "between")
        self.moves_on()
        self.network.refusing[self.two.where] = OSError()
        with mock.patch.object(self.network, "connect", side_effect=lambda *_: fail(OSError())):
            self.restore(self.two, copy)
            self.budi.creates("bagan")
        self.network.refusing.clear()
        self.network.advance(310)
        self.assertEqual(sorted(self.budi.mine()), ["bagan", "bagan@realm3"])
        self.assertEqual(self.budi.history(group="bagan"), [])
        self.assertEqual(
            self.budi.history(group="bagan@realm3"),
            [each.replace("budi@realm2", "budi") for each in self.ana_history()],
        )

    def ana_history(self) -> list[str]:
        """What ana sees, as budi does."""
        shown = self.ana.history(group="bagan@realm3")
        return [each.replace("ana: ", "ana@realm1: ") for each in shown]

    def test_posts_to_a_home_that_is_not_ready(self) -> None:
        """What comes to the new home before it has taken the group over again waits for that."""
        copy = self.back_up(self.two)
        self.moves()
        self.budi.posts("bagan", "between")
        down = mock.Mock(side_effect=lambda *_: fail(PeerFailed(realm="realm1")))
        self.two.kill()
        shutil.rmtree(self.two.config.state)
        shutil.copytree(copy, self.two.config.state)
        self.two.open()
        with mock.patch.object(self.two.federation.mover._links, "handover", down):
            self.network.advance(20)
            self.assertEqual(self.budi.mine(), ["bagan@realm1"])
            self.citra.begins_to_post("bagan@realm2", "soon")
            self.network.advance(20)
            self.assertEqual(self.three.parcels_waiting(), 1)
        self.network.advance(60)
        self.assertEqual(self.budi.mine(), ["bagan"])
        self.assertEqual(self.three.parcels_waiting(), 0)
        self.assertEqual(self.budi.history(group="bagan")[-1], "citra@realm3: soon")
