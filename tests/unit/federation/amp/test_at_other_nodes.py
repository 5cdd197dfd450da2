"""What people use of other realms at a node that has no link with them: the node with the link does it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from chatd.base.errors import RealmDown, UnknownGroup
from chatd.base.events import PresenceChange, ProfileChange, Typing
from chatd.base.model import Message
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation.amp.link_states import OwnedLink
from chatd.federation.amp.links import MEET
from chatd.federation.amp.node_questions import PATIENCE
from chatd.federation.group_rosters import SOON
from chatd.federation.outcome_waiters import PATIENCE as PATIENCE_OF_SENDERS
from chatd.federation.returning_posts import KNOWN_FOR
from chatd.service.presence_news import GRACE, INTERVAL
from chatd.service.remote_presence import LOST_AFTER
from chatd.service.remote_profiles import CHANGED
from chatd.simulate.people import Person
from tests.support.node_servers import NodesTestCase

Kind = TypeVar("Kind")

RAMAI = parse_address("ramai@realm2")


class AtOtherNodes(NodesTestCase):
    """Node `a` has the link with realm2, and ana uses node `b`. budi has the group `ramai` in realm2."""

    def setUp(self) -> None:
        super().setUp()
        self.budi = self.two.person("budi")
        self.a.add(self.two)
        self.network.advance(1.0)
        self.assertEqual([self.a.links, self.b.links], [["realm2"], []])
        self.ana = self.person(self.b, "ana")
        self.budi.creates("ramai")

    def join(self) -> None:
        self.ana.does(ask.JoinGroup(RAMAI))
        self.network.settle()


class Questions(AtOtherNodes):
    def test_groups(self) -> None:
        """Joining, members, what the realm refuses, and earlier messages, which the node with the link
        fetches."""
        self.budi.posts("ramai", "lama")
        pasts, fetched = self.a.federation.pasts, list[int]()
        fetch = pasts.fetch

        def note(conversation: int) -> Any:
            fetched.append(conversation)
            return fetch(conversation)

        self.patch(pasts, "begin", lambda _realm: None)
        self.patch(pasts, "fetch", note)
        self.join()
        self.assertEqual(self.ana.members("ramai@realm2"), ["*budi@realm2+", "ana+"])
        self.assertEqual(self.ana.history(group="ramai@realm2"), ["budi@realm2: lama"])
        self.assertEqual(len(fetched), 1)
        with self.assertRaises(UnknownGroup):
            self.ana.does(ask.JoinGroup(parse_address("sepi@realm2")))
        near = self.person(self.a, "ana")
        near.does(ask.LeaveGroup(RAMAI))
        joining = self.ana.begins(ask.JoinGroup(RAMAI))  # must not overtake that
        self.network.advance(1.0)
        self.network.result(joining)
        self.assertEqual(self.ana.members("ramai@realm2"), ["*budi@realm2+", "ana+"])
        shown = self.ana.does(ask.ListRealms()).items
        self.assertEqual([(each.realm, each.state) for each in shown], [("realm2", "up")])

    def test_lost(self) -> None:
        """A question that only reads is asked once more. A change is not made twice: it fails as over a link
        that drops, and the realm may have made it."""
        self.a.bus.lost = True
        sent = len(self.b.bus.sent)
        directory = self.b.realm.directory
        changing: Any = directory.change("realm2", "ana", "ramai", "stay", ())
        asking: Any = directory.change("realm2", "ana", "ramai", "describe", ())
        self.network.settle()
        self.a.bus.lost = False
        self.network.advance(PATIENCE + 1.0)
        self.failureResultOf(changing, RealmDown)
        self.assertEqual(self.successResultOf(asking)["members"], ["1"])
        self.assertEqual(len(self.b.bus.sent), sent + 3)

    def test_no_link(self) -> None:
        """If the realm is not linked, the error is the same as at the node that dials it."""
        self.two.kill()
        self.network.advance(1.0)
        for node in (self.a, self.b):
            with self.assertRaises(RealmDown):
                self.person(node, "ana").does(ask.JoinGroup(RAMAI))

    def test_rests(self) -> None:
        """The node that has the lease dials a realm whose link rests."""
        peer = self.a.realm.directory.peers.by_key["realm2"]
        assert peer.link is not None
        peer.resting = True
        peer.link.close()
        self.network.advance(0.5)
        self.assertEqual(self.a.links, [])
        self.join()
        self.assertEqual(self.a.links, ["realm2"])
        self.assertEqual(self.ana.mine(), ["ramai@realm2"])

    def test_owner_dies(self) -> None:
        """A question on its way to a node that dies fails soon, or is asked at the next one."""
        self.join()
        self.a.kill()
        asking = self.ana.begins(ask.ListMembers(RAMAI))
        self.network.settle()
        self.assertNoResult(asking)
        self.expire()
        self.network.advance(PATIENCE + 1.0)
        self.assertEqual(len(self.network.result(asking).items), 2)
        self.assertEqual(self.b.links, ["realm2"])


class Work(AtOtherNodes):
    """The node with the link does the background work for a realm."""

    def test_left_to_the_owner(self) -> None:
        begun: list[str] = []

        def note(name: str, *_: object) -> None:
            begun.append(name)

        for name, node in (("a", self.a), ("b", self.b)):
            self.patch(node.federation.mover, "begin", partial(note, f"{name} moves"))
            self.patch(node.federation.pasts, "begin", partial(note, f"{name} fetches"))
        for node in (self.b, self.a):
            node.realm.directory.begin_move("realm2")
            node.realm.directory.begin_past("realm2")
        self.assertEqual(begun, 2 * ["a moves", "a fetches"])
        self.b.bus.lost = True
        self.b.realm.directory.begin_move("realm2")
        self.assertEqual(len(begun), 4)
        self.b.bus.lost = False
        self.patch(self.a.federation.rescues, "_begin_meeting", begun.append)
        self.patch(self.b.federation.rescues, "_begin_meeting", self.fail)
        shared: Any = self.b.realm.directory._shared
        shared.tell_all(MEET)
        self.assertEqual(begun[4:], ["realm2"])

    def test_rosters(self) -> None:
        """A realm is told of the new roster of a group, at whichever node that has changed."""
        self.ana.creates("kita")
        self.budi.does(ask.JoinGroup(parse_address("kita@realm1")))
        self.network.advance(SOON + 1.0)
        told: list[str] = []

        async def note(realm: str, _numbers: object) -> None:
            told.append(realm)

        self.patch(self.two.federation.roster_copies, "told", note)
        self.ana.does(ask.PromoteMember(parse_address("kita"), parse_address("budi@realm2")))
        self.network.advance(2 * SOON)
        self.assertEqual(told, ["realm1"])
        self.a.kill()
        self.b.realm.service.context.news.gone("a")
        self.assertEqual(self.b.federation.rosters._linked, set())

    def test_node_dies_before_it_tells(self) -> None:
        """A node stores work for a realm, and dies before it can tell the others. The node with the link
        begins that work."""
        self.ana.creates("kita")
        self.budi.does(ask.JoinGroup(parse_address("kita@realm1")))
        self.network.advance(SOON + 1.0)
        told: list[str] = []
        begun: list[str] = []

        async def note(realm: str, numbers: Sequence[tuple[int, int]]) -> None:
            told.extend([realm] * len(numbers))

        self.patch(self.two.federation.roster_copies, "told", note)
        for part in ("pasts", "mover", "handover"):
            self.patch(getattr(self.a.federation, part), "begin", begun.append)
        self.ana.does(ask.PromoteMember(parse_address("kita"), parse_address("budi@realm2")))
        self.b.kill()
        self.network.advance(2 * SOON)
        self.assertEqual((told, begun), ([], []))
        self.a.realm.service.context.news.gone("b")
        self.network.advance(2 * SOON)
        self.assertEqual(
            told, ["realm1"] * 2
        )  # the number that it has already, and that of the new one
        self.assertEqual(begun, ["realm2"] * 3)

    def test_renewed_links(self) -> None:
        """All nodes make their links anew, and wake realms that rest."""
        link = self.a.realm.directory.peers.by_key["realm2"].link
        self.b.realm.directory.renew()
        self.network.advance(3.0)
        peer = self.a.realm.directory.peers.by_key["realm2"]
        self.assertEqual(self.a.links, ["realm2"])
        self.assertIsNot(peer.link, link)
        assert peer.link is not None
        peer.resting = True
        peer.link.close()
        self.network.advance(0.5)
        self.b.realm.directory.wake(["realm2"])
        self.network.advance(2.0)
        self.assertEqual(self.a.links, ["realm2"])


class Telling(AtOtherNodes):
    """What crosses without an answer, and what comes back."""

    def setUp(self) -> None:
        super().setUp()
        self.near = self.person(self.a, "ana")

    def follow(self, *people: Person) -> None:
        for person in people:
            person.does(ask.SetListening(True, True))
        self.network.advance(GRACE + 2 * INTERVAL)
        self.forget()

    def forget(self) -> None:
        for person in (self.ana, self.near, self.budi):
            person.events.clear()

    def told(self, person: Person, kind: type[Kind]) -> list[Kind]:
        found: list[Any] = [each for each in person.events if isinstance(each, kind)]
        person.events.clear()
        return found

    def test_post(self) -> None:
        """A sender at the other node waits until the message has come back. Only its other connections get it
        as an event. If that news is lost, the sender learns a moment later that the home has the
        message, and gets it as an event."""
        self.join()
        self.follow(self.ana, self.near)
        reply = self.ana.posts("ramai@realm2", "halo")
        self.network.settle()
        self.assertEqual((reply.data["state"], reply.data["seq"]), ("delivered", 3))
        self.assertEqual(self.told(self.ana, Message), [])
        self.assertEqual([each.seq for each in self.told(self.near, Message)], [3])
        self.assertEqual(self.budi.history(group="ramai"), ["ana@realm1: halo"])
        self.near.posts("ramai@realm2", "lagi")
        self.network.settle()
        self.assertEqual([each.text for each in self.told(self.ana, Message)], ["lagi"])
        shared: Any = self.a.realm.directory._shared
        self.patch(shared.parcels, "_tell_returned", lambda *_: None)
        sending = self.ana.begins_to_post("ramai@realm2", "hilang")
        self.network.advance(PATIENCE_OF_SENDERS + 1.0)
        self.assertEqual(self.network.result(sending).data["seq"], 5)
        self.assertEqual([each.text for each in self.told(self.ana, Message)], ["hilang"])
        self.network.advance(2 * KNOWN_FOR)
        self.assertEqual(self.b.federation.forwarder.posts._origins, {})

    def states(self, person: Person) -> list[str]:
        return [f"{each.who} {each.state}" for each in self.told(person, PresenceChange)]

    def test_presence(self) -> None:
        """People at the other node are told who comes, goes and writes there, and are seen there to do so. A
        block is told by the node with the link."""
        self.budi.sends("ana@realm1", "halo")
        self.ana.sends("budi@realm2", "halo")
        self.near.leaves()
        self.follow(self.ana, self.budi)
        for away, state in ((True, "away"), (False, "online")):
            self.budi.does(ask.SetAway(away))
            self.ana.does(ask.SetAway(away))
            self.network.advance(2 * INTERVAL + 1.0)
            self.assertEqual(self.states(self.ana), [f"budi@realm2 {state}"])
            self.assertEqual(self.states(self.budi), [f"ana@realm1 {state}"])
        known = self.b.service.remote_presence.known(self.ana.account, parse_address("budi@realm2"))
        self.assertEqual(known, "online")
        self.ana.does(ask.TellTyping(Place(parse_address("budi@realm2"))))
        self.budi.does(ask.TellTyping(Place(parse_address("ana@realm1"))))
        self.network.settle()
        self.assertEqual([each.who for each in self.told(self.budi, Typing)], ["ana@realm1"])
        self.assertEqual([each.who for each in self.told(self.ana, Typing)], ["budi@realm2"])
        for command, state in ((ask.BlockPerson, "offline"), (ask.UnblockPerson, "online")):
            self.ana.does(command(parse_address("budi@realm2")))
            self.network.advance(2 * INTERVAL + 1.0)
            self.assertEqual(self.states(self.budi), [f"ana@realm1 {state}"])
        followed = self.a.service.remote_presence.is_followed
        self.assertTrue(self.network.result(followed("realm2")))
        self.ana.leaves()
        self.network.advance(GRACE + 2 * INTERVAL)
        self.assertEqual(self.states(self.budi), ["ana@realm1 offline"])
        self.assertFalse(self.network.result(followed("realm2")))  # so its link may rest

    def test_third_realm(self) -> None:
        """Node `b` is linked with another realm, which has a member in a group here: it is told of members of
        a realm that is linked with `a`."""
        three = self.network.server("realm3")
        self.b.add(three)
        three.add(self.two)
        self.network.advance(1.0)
        self.assertEqual([self.a.links, self.b.links], [["realm2"], ["realm3"]])
        citra = three.person("citra")
        self.ana.creates("kita")
        for person in (self.budi, citra):
            person.does(ask.JoinGroup(parse_address("kita@realm1")))
        self.follow(self.budi, citra)
        citra.events.clear()
        self.budi.does(ask.SetAway(True))
        self.network.advance(4 * INTERVAL + 2.0)
        self.assertEqual(self.states(citra), ["budi@realm2 away"])

    def test_realm_lost(self) -> None:
        """If a realm is lost, its people are offline at all nodes, and are told once."""
        self.budi.sends("ana@realm1", "halo")
        self.ana.sends("budi@realm2", "halo")
        self.follow(self.ana)
        self.ana.does(ask.ListContacts())
        self.two.kill()
        self.network.advance(LOST_AFTER + 2 * INTERVAL)
        self.assertEqual(self.states(self.ana), ["budi@realm2 offline"])
        seen = parse_address("budi@realm2")
        for node in (self.a, self.b):
            self.assertIsNone(node.service.remote_presence.known(self.ana.account, seen))

    def test_owner_changes(self) -> None:
        """If another node links, no client is told that people have gone, even if the news that the
        earlier node has lost its link arrives late."""
        self.budi.sends("ana@realm1", "halo")
        self.ana.sends("budi@realm2", "halo")
        self.follow(self.ana)
        self.a.kill()
        self.expire()
        self.network.advance(LOST_AFTER + 4.0)
        self.assertEqual(self.b.links, ["realm2"])
        shared: Any = self.b.realm.directory._shared
        shared._changed("realm2", OwnedLink(1, 0, ()), None)
        self.assertEqual(self.b.federation.rosters._linked, {"realm2"})
        self.network.advance(LOST_AFTER + 1.0)
        self.assertEqual(self.states(self.ana), [])
        self.budi.does(ask.SetAway(True))
        self.network.advance(2 * INTERVAL + 1.0)
        self.assertEqual(self.states(self.ana), ["budi@realm2 away"])
        known = self.b.service.remote_presence.known(self.ana.account, parse_address("budi@realm2"))
        self.assertEqual(known, "away")

    def test_profiles(self) -> None:
        """New profiles cross both ways."""
        self.budi.sends("ana@realm1", "halo")
        self.ana.sends("budi@realm2", "halo")
        self.follow(self.ana, self.budi)
        for person, other in ((self.ana, "budi@realm2"), (self.budi, "ana@realm1")):
            person.does(ask.AddContact(parse_address(other)))
            person.does(ask.ListContacts())
        self.network.advance(CHANGED)
        for person, sees in ((self.budi, self.ana), (self.ana, self.budi)):
            self.forget()
            person.does(ask.ChangeProfile(f"{person.name} baru"))
            self.network.advance(1.0)
            names = [each.name for each in self.told(sees, ProfileChange)]
            self.assertEqual(names, [f"{person.name} baru"])
