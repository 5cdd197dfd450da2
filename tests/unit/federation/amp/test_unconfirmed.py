"""Realms that no operator has added: how many are remembered, and which are forgotten."""

from __future__ import annotations

from typing import Any
from unittest import mock

from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from chatd.base.config import PeerConfig
from chatd.base.errors import RealmNotAllowed
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation.amp import unconfirmed as module
from chatd.federation.amp import wire
from chatd.federation.amp.unconfirmed import _to_evict
from chatd.federation.parcels import encode
from chatd.store.peer_marks import PeerMark
from chatd.store.peers import Use, all_peers
from chatd.store.schema import peer_marks
from tests.support.amp_peer import AmpPeer, direct, hello
from tests.support.network import NetworkTestCase, Server, outcome

DAY = 86400.0 / 24
MARGIN = 7200.0 / 24


def _marked(connection: Connection) -> list[str]:
    """The realms with stored marks."""
    return list(connection.scalars(peer_marks.select().with_only_columns(peer_marks.c.realm)))


class StrangersTestCase(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one: Server = self.network.server("realm1")
        self.ana = self.one.person("ana", operator=True)

    def comes(self, realm: str, parcel: Any = None) -> Any:
        """A realm links, delivers a message if it has one, and leaves. Returns its answer to Hello, or the
        refusal."""
        raw: AmpPeer = self.network.connect_by_hand(self.one, realm, AmpPeer())
        found: list[Any] = []
        raw.callRemote(wire.HelloCommand, **hello(realm)).addBoth(found.append)
        self.network.settle()
        if parcel is not None:
            outcome(raw.callRemote(wire.DeliverCommand, parcels=encode([(1, parcel)])))
            self.network.settle()
        self.network.cut()
        self.network.settle()
        return found[0]

    def known(self) -> set[str]:
        peers = set(self.one.peers())
        rows = {each.name for each in self.one.realm.database.now(all_peers)}
        self.assertEqual(rows, peers, "what is in memory is on disk")
        return peers


class RoomTestCase(StrangersTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(module, "MAX_UNCONFIRMED", 20)

    def test_invented_names(self) -> None:
        """They make room for each other, so an honest realm always gets in."""
        for number in range(50):
            self.assertEqual(self.comes(f"invented{number}")["realm"], "realm1", number)
        self.assertEqual(self.known(), {f"invented{number}" for number in range(30, 50)})
        self.assertEqual(self.comes("honest")["realm"], "realm1")
        self.assertIn("honest", self.known())

    def test_two_at_once(self) -> None:
        """Two realms that come at the same moment need room only once, if there is enough of it then."""
        for number in range(20):
            self.comes(f"invented{number}")
        making = self.one.realm.directory._discovery._unconfirmed.make_room
        rooms = [Deferred.fromCoroutine(making(realm)) for realm in ("satu", "dua")]
        self.network.settle()
        for each in rooms:
            self.successResultOf(each)
        self.assertEqual(len(self.known()), 19)

    def test_files_that_are_not_given_up(self) -> None:
        """If the files of one realm can't be given up, the others are forgotten nevertheless."""
        self.patch(module, "MAX_UNCONFIRMED", 3)
        for number in range(3):
            self.comes(f"invented{number}")
        with mock.patch.object(
            self.one.federation.arrivals, "forget", side_effect=ZeroDivisionError
        ):
            self.assertEqual(self.comes("honest")["realm"], "realm1")
        self.assertIn("honest", self.known())
        self.assertNotIn("invented0", self.known())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_is_used_stays(self) -> None:
        """A realm that somebody here has written to or has a contact in, or for which parcels wait, is
        kept."""
        self.comes("written", direct("halo"))
        self.comes("contact")
        self.ana.does(ask.AddContact(parse_address("x@contact")))
        self.comes("waited")
        self.ana.sends("x@waited", "halo")
        self.ana.sends("budi@written", "halo")
        self.comes("unused")
        for number in range(50):
            self.comes(f"invented{number}")
        known = self.known()
        self.assertEqual(len(known), 20)
        self.assertLessEqual({"written", "contact", "waited"}, known)
        self.assertNotIn("unused", known)

    def test_writing_to_somebody_is_no_hold(self) -> None:
        """An invented realm that writes to somebody is kept while there is room."""
        for number in range(20):
            self.comes(f"invented{number}", direct("halo"))
        self.assertEqual(len(self.known()), 20)
        self.assertEqual(self.comes("honest")["realm"], "realm1")
        self.assertEqual(len(self.ana.inbox()), 20, "what they wrote stays")
        standings = self.one.federation.standings
        self.network.advance(5)
        marks = [standings.of(f"invented{number}").received for number in range(20)]
        self.assertEqual(sorted(marks), [0] + [1] * 19, "one is forgotten")
        self.assertEqual(len(self.one.realm.database.now(_marked)), 19)

    def test_forgotten_while_it_delivers(self) -> None:
        """What arrives meanwhile leaves no trace of the realm."""
        raw: AmpPeer = self.network.connect_by_hand(self.one, "invented", AmpPeer())
        raw.callRemote(wire.HelloCommand, **hello("invented"))
        self.network.settle()
        wait: Deferred[list[Any]] = Deferred()
        self.patch(self.one.federation.receiver, "receive", lambda *_: wait)
        self.patch(self.one.federation.returned, "take", lambda *_: wait)
        outcome(raw.callRemote(wire.DeliverCommand, parcels=encode([(1, direct("halo"))])))
        outcome(raw.callRemote(wire.ReturnCommand, parcels=encode([]), upto=9))
        self.network.settle()
        self.network.result(self.one.realm.directory.forget("invented"))
        wait.callback([])
        self.network.advance(5)
        self.assertEqual(self.one.federation.standings.of("invented"), PeerMark())
        self.assertEqual(self.one.realm.database.now(_marked), [])

    def test_all_in_use(self) -> None:
        for number in range(20):
            self.comes(f"used{number}")
            self.ana.sends(f"x@used{number}", "halo")
        self.comes("honest")
        self.assertNotIn("honest", self.known())
        two = self.network.server("realm2")
        with self.assertRaises(RealmNotAllowed) as caught:
            two.add(self.one)
        self.assertIn("it knows too many already", str(caught.exception))
        self.one.add(two)
        self.network.settle()
        self.assertEqual(self.one.peers()["realm2"].state, "up", "an operator has added it")

    def test_added_ones_do_not_count(self) -> None:
        for number in range(20):
            self.comes(f"invented{number}")
        self.one.add(self.network.server("realm2"))
        self.assertEqual(len(self.known()), 21)

    def test_those_that_are_linked(self) -> None:
        """Realms that keep their links open make room too; their links are closed."""
        held = []
        for number in range(25):
            raw = self.network.connect_by_hand(self.one, f"invented{number}", AmpPeer())
            raw.callRemote(wire.HelloCommand, **hello(f"invented{number}")).addErrback(
                lambda _: None
            )
            self.network.settle()
            held.append(raw)
        self.assertEqual([raw.is_lost for raw in held], [True] * 5 + [False] * 20)


class FairTestCase(NetworkTestCase):
    """Which realms are forgotten first."""

    def setUp(self) -> None:
        super().setUp()
        self.registry = self.network.server("realm1").realm.directory.peers

    def peer(self, name: str, source: str, linked_at: int, *, linked: bool = False) -> Any:
        self.network.servers["realm1"].knows(name)
        peer: Any = self.registry.find(name)
        peer.source = source
        peer.known = type(peer.known)(name, name, linked_at=linked_at)
        peer.link = object() if linked else None
        self.addCleanup(setattr, peer, "link", None)
        return peer

    def goes(self, count: int, *peers: Any, **uses: Use) -> list[str]:
        found = {peer.known.key: Use.NONE for peer in peers} | uses
        return [peer.known.key for peer in _to_evict(list(peers), found, count)]

    def test_busiest_source_first(self) -> None:
        """A source with many names loses its own names, the oldest first."""
        honest = self.peer("honest", "192.0.2.1", 1)
        many = [self.peer(f"m{at}", "192.0.2.2", at) for at in range(2, 7)]
        self.assertEqual(self.goes(3, *many, honest), ["m2", "m3", "m4"])

    def test_order_in_a_source(self) -> None:
        old = self.peer("old", "a", 1, linked=True)
        wrote = self.peer("wrote", "a", 2)
        newer = self.peer("newer", "a", 4)
        idle = self.peer("idle", "a", 3)
        used = self.peer("used", "a", 0)
        order = self.goes(9, old, wrote, newer, idle, used, wrote=Use.BY_THEM, used=Use.BY_US)
        self.assertEqual(order, ["idle", "newer", "old", "wrote"])


class IdleTestCase(StrangersTestCase):
    """A day is an hour here, because the timers of links are turned one by one."""

    def setUp(self) -> None:
        self.assertEqual((module.IDLE, module.CHECK_EVERY), (86_400_000, 3600.0))
        for name in ("IDLE", "CHECK_EVERY"):
            patched = mock.patch.object(module, name, getattr(module, name) / 24)
            patched.start()
            self.addCleanup(patched.stop)
        super().setUp()

    def test_forgotten_after_a_day(self) -> None:
        self.comes("unused")
        self.comes("written", direct("halo"))
        self.one.add(self.network.server("realm2"))
        self.network.advance(DAY - MARGIN)
        self.assertEqual(self.known(), {"unused", "written", "realm2"})
        self.network.advance(1.5 * MARGIN)
        self.assertEqual(self.known(), {"written", "realm2"})

    def test_of_another_node(self) -> None:
        """The node that links with a realm forgets it: others do not know how long its link was up."""
        self.comes("unused")
        peer = self.one.realm.directory.peers.by_key["unused"]
        peer.owned = False
        self.network.advance(DAY + MARGIN)
        self.assertEqual(self.known(), {"unused"})
        peer.owned = True
        self.network.advance(MARGIN)
        self.assertEqual(self.known(), set())

    def test_a_link_counts(self) -> None:
        self.comes("seldom")
        self.network.advance(DAY - MARGIN)
        self.comes("seldom")
        self.network.advance(DAY - MARGIN)
        self.assertEqual(self.known(), {"seldom"})

    def test_a_long_link_counts_from_its_end(self) -> None:
        loyal = self.network.server("loyal")
        loyal.add(self.one)
        self.network.advance(2 * DAY)
        loyal.close()
        self.network.settle()
        self.one.restart()
        self.network.advance(MARGIN)
        self.assertEqual(self.known(), {"loyal"})

    def test_over_a_restart(self) -> None:
        self.comes("unused")
        self.network.advance(DAY - MARGIN)
        self.one.restart()
        self.network.advance(1.5 * MARGIN)
        self.assertEqual(self.known(), set())

    def test_known_by_configuration(self) -> None:
        three = self.network.server("realm3", known={"friend": PeerConfig()})
        self.network.advance(2 * DAY)
        self.assertEqual(set(three.peers()), {"friend"})
