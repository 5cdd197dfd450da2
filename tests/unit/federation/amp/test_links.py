"""What the rest of a realm asks of its links, and the work that they do from time to time."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred

from chatd.base.errors import NotSupportedThere
from chatd.federation.amp import link_manager, links, wire
from chatd.federation.amp.link_sender import LinkSender
from chatd.federation.capabilities import ACCOUNT_MOVES, PAST, PROFILES
from chatd.service.remote import QUEUED, TheirState
from chatd.simulate.servers import SimulatedDoor
from tests.support.amp_peer import AmpPeer, AmpPeerTestCase, hello
from tests.support.network import LinkedTestCase, NetworkTestCase, lacks, outcome
from tests.unit.federation.amp.test_resting import RestTestCase

NEWS = {"Typing", "FileReady", "RosterChanged", "PresenceChanged", "ProfileChanged"}


class WithoutLink(LinkedTestCase):
    def tells(self, realm: str) -> None:
        """Tell a realm all that needs no answer."""
        directory = self.one.realm.directory
        directory.type(realm, "ana", "budi")
        directory.file_ready(realm, "realm1", 1)
        directory.rosters_changed(realm, [(1, 2)])
        directory.presence_changed(realm, [TheirState("ana", "online")])
        directory.profile_changed(realm, "ana")
        directory.file_taken(realm, 1)
        directory.blanked(realm, 1, b"")

    def test_news(self) -> None:
        """News are for the moment: a realm that is not linked, or not known, does not get them later."""
        self.part()
        for realm in ("realm2", "realm9"):
            self.tells(realm)
        self.meet()
        self.assertEqual(NEWS & set(self.connection.near.log), set())
        self.tells("realm2")
        self.network.settle()
        self.assertEqual(NEWS - set(self.connection.near.log), set())

    def test_parcels_for_unknown_realms(self) -> None:
        """They wait in the outbox, in case that the realm is added again."""
        directory, told = self.one.realm.directory, list[Any]()
        directory.dispatch("realm9", 1, b"", None, None, told.append)
        self.assertEqual(told, [QUEUED])
        self.assertFalse(directory.post("realm9", 1, b"", None))

    def test_nothing_is_known_of_them(self) -> None:
        """A realm that can't be asked now is not taken for one that lacks something."""
        directory = self.one.realm.directory
        self.part()
        for realm in ("realm2", "realm9"):
            self.assertFalse(directory.lacks(realm, PAST))
            self.assertFalse(directory.hears_presence(realm))
            directory.check_moves(realm)
        directory.wake(["realm9"])
        self.assertNotIn("realm9", self.one.peers())

    def test_lacks_moves(self) -> None:
        lacks(self, "realm2", ACCOUNT_MOVES)
        self.two.restart()
        self.network.advance(3)
        with self.assertRaises(NotSupportedThere):
            self.one.realm.directory.check_moves("realm2")


class FailingSender(LinkedTestCase):
    """The code that hands a parcel to a link fails once."""

    def fails_once(self) -> Any:
        add, left = LinkSender.add, [1]

        def failing(sender: LinkSender, *what: Any) -> None:
            if left and left.pop():
                raise ZeroDivisionError
            add(sender, *what)

        return mock.patch.object(LinkSender, "add", failing)

    def test_message(self) -> None:
        """The sender is told that it is queued, and the next link sends it."""
        first = self.connection
        with self.fails_once():
            sent = outcome(self.ana.begins_to_send("budi@realm2", "halo"))
            self.network.settle()
        self.assertEqual(sent[0].data["state"], "queued")
        self.assertFalse(first.is_open)
        self.network.advance(5)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_relay(self) -> None:
        """A member here has what was written, and the other realm gets it over the next link."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.network.settle()
        first = self.connection
        with self.fails_once():
            self.ana.posts("bagan", "halo")
        self.assertFalse(first.is_open)
        self.network.advance(5)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class FromTimeToTime(NetworkTestCase):
    def test_each_for_itself(self) -> None:
        """Work that fails does not keep the rest from being done, now and later."""
        one = self.network.server("realm1")
        federation, directory = one.federation, one.realm.directory
        done: list[str] = []
        places = (
            (federation.outcomes, "expire"),
            (federation.mover, "expire"),
            (federation.arrivals, "expire"),
            (directory._unconfirmed, "forget_idle"),
        )
        for place, name in places:

            async def fails(*_: Any, what: str = f"{type(place).__name__}.{name}") -> None:
                done.append(what)
                raise ZeroDivisionError

            self.patch(place, name, fails)
        self.patch(directory, "_visit", lambda: done.append("visit"))
        for _ in range(2):
            done.clear()
            self.network.advance(links.EXPIRE_EVERY)
            self.assertEqual(len(set(done)), len(places) + 1, done)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), len(places))


class Lacking(RestTestCase):
    def test_asked_after_a_rest(self) -> None:
        """A realm whose link rests may lack something, which is known once it is dialled."""
        lacks(self, "realm2", PROFILES, PAST)
        self.two.restart()
        self.network.until(self.linked)
        self.rest()
        directory = self.one.realm.directory
        for question in (
            lambda: directory.profile("realm2", "budi", ""),
            lambda: directory.group_picture("realm2", "ana", "bagan"),
            lambda: directory.past("realm2", 1, 5, 0),
        ):
            with self.assertRaises(NotSupportedThere):
                self.network.result(question(), 5)


class Stopping(LinkedTestCase):
    def test_other_end_does_not_read(self) -> None:
        """A realm stops although the other end reads nothing more, and takes no new links meanwhile."""
        self.connection.near.held = True
        self.ana.begins_to_send("budi@realm2", "halo")
        self.network.settle()
        stopping = outcome(Deferred.fromCoroutine(self.one.realm.directory.stop()))
        self.network.advance(link_manager.CLOSING_TIME / 2)
        self.assertEqual(stopping, [])
        late: AmpPeer = self.network.connect_by_hand(self.one, "realm3", AmpPeer())
        self.assertTrue(late.is_lost)
        self.network.advance(link_manager.CLOSING_TIME / 2)
        self.assertEqual(stopping, [None])


class Beginning(AmpPeerTestCase):
    def test_bad_keys(self) -> None:
        """A realm that states no keys can't be believed later, so it is not let in."""
        answer = self.refuses(wire.HelloCommand, **hello(keys=b"rubbish"))
        self.assertEqual(answer, "bad-keys")
        self.network.advance(1)
        self.assertTrue(self.raw.is_lost)

    def test_certificate_that_breaks_the_parser(self) -> None:
        """The connection ends, and others are accepted as before."""
        with mock.patch.object(SimulatedDoor, "authenticate", side_effect=ValueError("broken")):
            raw: AmpPeer = self.network.connect_by_hand(self.one, "realm3", AmpPeer())
        self.assertTrue(raw.is_lost)
        self.assertEqual(raw.told, [])
        self.greets()
